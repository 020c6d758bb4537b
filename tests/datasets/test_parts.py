"""Parts of a build: what is damaged is named, and workers end with the process that started them."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from amp_tf.errors import InputError
from datasets.parts import Parts

ROOT = Path(__file__).resolve().parent.parent.parent


def header(shape):
    """The bytes of a .npy file that declares ``shape`` and holds eight bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(8)


def archive(content, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        opened.writestr("energy.npy", content)
    return file.getvalue()


def plain():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def pickled():
    file = io.BytesIO()
    np.savez(file, energy=np.array([{}], dtype=object))
    return file.getvalue()


BAD = {
    "empty": b"", "binary": b"\x00\xff" * 100, "one array": plain(), "no array": archive(b"text"), "pickle": pickled(),
    "large": archive(header((10**12,))), "larger than memory": archive(header((10**6, 10**6, 10**6))),
    "bomb": archive(bytes(50_000_000), zipfile.ZIP_DEFLATED),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_damaged_parts_are_named(tmp_path, bad):
    parts = Parts(tmp_path / "parts", {})
    (tmp_path / "parts" / "1.npz").write_bytes(bad)
    with pytest.raises(InputError, match=r"1\.npz is damaged; delete it and run the same command again"):
        parts["1"]


def test_every_flipped_bit_of_a_part_is_noticed_or_without_effect(tmp_path, random):
    parts, numbers = Parts(tmp_path / "parts", {}), random.normal(size=30)
    parts["1"] = {"energy": numbers}
    path = tmp_path / "parts" / "1.npz"
    good = path.read_bytes()
    for _ in range(200):
        content = bytearray(good)
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(content))
        try:
            found = parts["1"]
        except InputError:
            continue
        np.testing.assert_array_equal(next(iter(found.values())), numbers)


@pytest.mark.parametrize("record", [b"", b"\xff\xfe\x00", None])
def test_parts_whose_settings_are_damaged_or_missing_are_not_taken(tmp_path, record):
    Parts(tmp_path / "parts", {"a": 1})["1"] = {"energy": np.zeros(1)}
    (tmp_path / "parts" / "settings.json").unlink()
    if record is not None:
        (tmp_path / "parts" / "settings.json").write_bytes(record)
    with pytest.raises(InputError, match="holds parts of another engine, version or setting"):
        Parts(tmp_path / "parts", {"a": 1})


def test_a_folder_of_parts_that_is_a_file(tmp_path):
    (tmp_path / "parts").write_text("")
    with pytest.raises(InputError, match="parts is no folder"):
        Parts(tmp_path / "parts", {})


BUILD = """
import os, subprocess, sys, time
from pathlib import Path
from datasets.parts import Parts, run_all

def work(task):
    program = subprocess.Popen(["sleep", "600"]) if task == 0 else None
    Path(sys.argv[1], f"{os.getpid()}.pid").write_text(str(program.pid if program else ""))
    if program:
        with program:
            program.wait()
    time.sleep(600)

run_all({"0": 0, "1": 1}, work, Parts(Path(sys.argv[1], "parts"), {}), workers=2)
"""


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_with_the_builder_that_is_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("*.pid"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.3)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert all(map(is_running, workers))
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert os.getpid() not in workers
