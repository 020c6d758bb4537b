"""Progress bars where there is no terminal."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CODE = """
import time
from amp_tf import progress
progress.SECONDS_BETWEEN_LINES = {seconds}
with progress.progress_bar(total=400, desc="work", unit="step") as bar:
    for _ in range(400):
        time.sleep(0.002)
        bar.update()
        bar.set_postfix({{"loss": 1}}, refresh=False)
print("done")
"""


@pytest.mark.parametrize(("seconds", "lines"), [(0.25, range(2, 40)), (30.0, [0])])
def test_in_a_pipe_lines_come_now_and_then(seconds, lines):
    finished = subprocess.run([sys.executable, "-c", CODE.format(seconds=seconds)], capture_output=True, text=True, check=True, cwd=ROOT)
    assert finished.stderr.count("\n") in lines
    assert finished.stderr.replace("\n", "").isprintable()
    if finished.stderr:
        assert finished.stderr.startswith("work: ")
        assert " 400/400 " in finished.stderr.splitlines()[-1]


def test_on_a_terminal_a_bar_moves():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", CODE.format(seconds=30.0)], stderr=theirs, stdout=subprocess.PIPE, cwd=ROOT)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # the end of a terminal is an error
        while part := terminal.read(10_000):
            written += part
    process.communicate(timeout=60)
    assert written.count(b"\r") > 3


def test_all_bars_are_of_this_kind():
    folders = ("amp_tf", "benchmarks", "common", "datasets", "figures", "reproductions")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in paths if re.search(r"^\s*(from|import) tqdm", path.read_text(), re.MULTILINE)}
    assert users == {"amp_tf/progress.py"}
