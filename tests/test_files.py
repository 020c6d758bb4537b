"""Outputs are checked before work starts, files are whole or not there, and a folder has one owner, which a killed process is not."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from amp_tf.errors import AmpTFError, DataFileError, InputError
from amp_tf.files import (
    LOCK,
    as_folder,
    check_archive,
    check_outputs,
    locked,
    no_file,
    require_space,
    sha256_of,
    whole_file,
    write_json,
    write_text,
)


@pytest.fixture
def place(tmp_path):
    """A folder with a file of each kind."""
    (tmp_path / "file").write_text("content")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "alias").symlink_to("folder")
    os.link(tmp_path / "file", tmp_path / "other name")
    (tmp_path / "read only").write_text("content")
    (tmp_path / "read only").chmod(0o444)
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder", "is a folder; give the name of a file"),
        (".", "is a folder"),
        ("", "is a folder"),
        ("link", "is a symbolic link"),
        ("broken", "is a symbolic link"),
        ("fifo", "is a device or pipe"),
        ("/dev/null", "is a device or pipe"),
        ("read only", "is write-protected"),
        ("file/below", r"file is no folder; choose another output"),
        ("file/far/below", r"file is no folder"),
        ("link/below", r"link is no folder"),
        ("x" * 300, "the name is too long"),
        ("none/" + "x" * 300 + "/below", "the name is too long"),
        ("bad\udcff", "the name is not UTF-8"),
        ("bad\0", "cannot be written"),
        ("file", "is the source; choose another output"),
        ("other name", "is the source"),
        ("alias/../file", "is the source"),
    ],
)
def test_outputs_that_would_do_harm_are_refused(place, name, sentence):
    before = {path: path.lstat() for path in place.iterdir()}
    with pytest.raises(InputError, match=sentence) as refused:
        check_outputs([place / "new", f"{place}/{name}" if not name.startswith("/") else name], {"the source": place / "file", "pc": None})
    str(refused.value).encode()  # can be printed
    assert {path: path.lstat() for path in place.iterdir()} == before
    if sentence != "is the source" and "source" not in sentence:
        with pytest.raises(AmpTFError, match=sentence), whole_file(f"{place}/{name}" if not name.startswith("/") else name):
            pytest.fail("written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_write_protected(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="is write-protected"):
        check_outputs([tmp_path / "new"])


def test_outputs_that_do_no_harm_are_taken_and_not_created(place):
    check_outputs([place / "file", place / "new" / "deep" / "file", place / "alias" / "file", place / ("x" * 250)], {"a": place / "none"})
    assert not (place / "new").exists()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "file", "old")
    with contextlib.suppress(KeyError), whole_file(tmp_path / "file") as partial:
        partial.write_text("new")
        raise KeyError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_json_has_a_list_of_numbers_on_one_line_and_no_nan(tmp_path):
    record = {"curve": [1.0, 2.5, None], "rows": [{"value": 3}], "names": ["a, b", "c"], "shape": "of [n,   3] or [2,  3]"}
    write_json(tmp_path / "record.json", record)
    text = (tmp_path / "record.json").read_text()
    assert json.loads(text) == record
    assert "[ 1.0, 2.5, null ]" in text
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "record.json", {"curve": [float("nan")]})
    assert (tmp_path / "record.json").read_text() == text


def test_names_of_the_greatest_length_are_written(tmp_path):
    for name in ("x" * 250 + ".text", "ü" * 127):
        write_text(tmp_path / name, "content")
        assert (tmp_path / name).read_text() == "content"


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    barrier, seen = threading.Barrier(2), set()

    def write(text):
        with whole_file(tmp_path / "file.txt") as partial:
            seen.add(partial)
            barrier.wait(10)
            partial.write_text(text)
            barrier.wait(10)
            assert partial.read_text() == text

    threads = [threading.Thread(target=write, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2
    assert {path.suffix for path in seen} == {".txt"}
    assert (tmp_path / "file.txt").read_text() in "ab"


def test_space_is_asked_for_before(tmp_path):
    require_space(tmp_path / "partial", 3_000_000)
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_owner_and_is_left_as_it_was(tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(InputError, match="is in use by another run"), locked(tmp_path / "run"):
            pytest.fail("locked twice")
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "file").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]


def test_a_lock_that_is_deleted_while_it_is_taken_is_taken_anew(tmp_path, monkeypatch):
    take, taken = fcntl.flock, []

    def taken_late(descriptor, operation):
        take(descriptor, operation)
        if not taken:
            (tmp_path / LOCK).unlink()  # as its last owner does
        taken.append(descriptor)

    monkeypatch.setattr(fcntl, "flock", taken_late)
    with locked(tmp_path):
        assert len(taken) == 2
        assert (tmp_path / LOCK).is_file()


@pytest.mark.parametrize(
    "make",
    [lambda path: path.write_text("notes"), lambda path: path.mkdir(), lambda path: path.symlink_to("file"), lambda path: os.mkfifo(path)],
)
def test_what_stands_where_the_lock_does_is_left_there(place, make):
    make(place / LOCK)
    before = (place / LOCK).lstat()
    with pytest.raises(InputError, match=rf"{LOCK} is not of ours; move it away"), locked(place):
        pytest.fail("locked")
    assert (place / LOCK).lstat() == before


def test_files_of_others_named_lock_are_left_alone(tmp_path):
    (tmp_path / "lock").write_text("notes")
    with locked(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == "notes"


@pytest.mark.parametrize(
    ("name", "stands"),
    [
        ("file", None), ("link", None), ("folder", "a folder, no file"), ("fifo", "a device or pipe, no regular file"),
        ("/dev/zero", "a device or pipe, no regular file"), ("none", "no such file"), ("broken", "no such file"), ("a\0", "no such file"),
    ],
)  # fmt: skip
def test_what_stands_in_place_of_a_file(place, name, stands):
    assert no_file(place / name) == stands


def test_folders_of_runs(place):
    assert as_folder(f"{place}/folder") == place / "folder"
    assert as_folder(place / "new") == place / "new"
    assert as_folder(".") == Path()
    with pytest.raises(InputError, match="the name of the folder is empty"):
        as_folder("")
    with pytest.raises(InputError, match="is a file; give a folder"):
        as_folder(place / "file")


def test_a_killed_owner_leaves_no_lock(tmp_path):
    code = """
import sys, time
from pathlib import Path
from amp_tf.files import locked
with locked(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="in use"), locked(tmp_path):
        pytest.fail("locked twice")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with locked(tmp_path):
        pass


def test_the_sha256_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_archive_that_declares_more_than_it_can_hold(tmp_path):
    path = Path(tmp_path / "bomb.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    with zipfile.ZipFile(path) as archive, pytest.raises(DataFileError, match=r"declares 1e\+07 bytes"):
        check_archive(archive, path)
