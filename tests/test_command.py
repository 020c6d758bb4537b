"""How commands end: Ctrl-C at any time, twice, and an output that cannot be printed."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CODE = """
import sys, time
from amp_tf.command import run_command
from amp_tf.errors import InputError
def app():
    {body}
run_command(app)
"""
STARTED = 'print("started", flush=True)'
WAIT = f"{STARTED}; time.sleep(60)"
STUBBORN = f"""
    try:
        {STARTED}
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(60)
"""
SWALLOWED = f"""
    try:
        {STARTED}
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("numpy failed to import")
"""


def start(body):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("body", [WAIT, SWALLOWED])
def test_ctrl_c_is_one_sentence(body):
    process = start(body)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (130, "interrupted; run the same command again.\n")


def test_ctrl_c_twice_ends_at_once_and_without_a_traceback():
    process = start(STUBBORN)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in complaints


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("raise InputError('a sentence.')", 1, "error: a sentence.\n"),
        ("open('/none/at all')", 1, "error: [Errno 2] No such file or directory: '/none/at all'\n"),
        ("raise SystemExit(2)", 2, ""),
        ("pass", 0, ""),
    ],
)
def test_errors_and_exit_statuses(body, status, sentence):
    process = start(f"{STARTED}; {body}")
    _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (status, sentence)


@pytest.mark.parametrize(("settings", "start"), [({}, b"\x1b[31m"), ({"NO_COLOR": "1"}, b"")])
def test_errors_are_red_on_a_terminal(settings, start):
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | settings
    code = CODE.format(body="raise InputError('a sentence.')")
    subprocess.run([sys.executable, "-c", code], stderr=theirs, cwd=ROOT, env=environment, check=False)
    written = os.read(ours, 1000)
    os.close(theirs), os.close(ours)
    assert written.startswith(start + b"error: a sentence.")
    assert (b"\x1b" in written) == bool(start)


def test_ctrl_c_that_typer_makes_an_exit_of_is_one_sentence():
    process = start(f"""
    import typer
    app = typer.Typer()
    @app.command()
    def wait():
        {STARTED}
        time.sleep(60)
    app([])
""")
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 130
    assert complaints.endswith("interrupted; run the same command again.\n")
    assert "Traceback" not in complaints


@pytest.mark.parametrize(("body", "status"), [("pass", 1), ("raise InputError('a sentence.')", 1), ("raise SystemExit(2)", 2)])
def test_a_closed_standard_output_is_one_sentence(tmp_path, body, status):
    """And files that are opened do not take its place."""
    code = CODE.format(body=f"file = open({str(tmp_path / 'file')!r}, 'w'); assert file.fileno() > 2; {body}")
    ended = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert ended.returncode == status
    assert ended.stderr.endswith("error: the output cannot be printed (standard output is closed).\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("delay", [0.4, 0.8])
def test_ctrl_c_while_amp_tf_starts(delay):
    """The entry point imports everything under the guard."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from amp_tf.command import main; main()", "info", "none.keras"], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode in (1, 130)
    assert "Traceback" not in complaints


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here, the device whose disk is always full")
@pytest.mark.parametrize("arguments", [["info", "datasets/water_dimer.h5"], ["--help"]])
def test_a_full_standard_output_is_one_sentence(arguments):
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-m", "amp_tf.cli", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert ended.stderr.count("\n") == 1
