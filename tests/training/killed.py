"""A training process that is killed, as ``kill -9`` does it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from amp_tf.training import callbacks

CODE = """
import sys
from amp_tf.training import callbacks, read_config, train
callbacks.SECONDS_BETWEEN_CHECKPOINTS = 0.0
train(read_config(sys.argv[1]), sys.argv[2], progress=False)
"""


def train_and_kill(settings: Path, run: Path) -> int:
    """Train by the configuration file ``settings`` in another process, kill it as soon as its first checkpoint is there.

    Returns:
        How many rows of history the unfinished run has.
    """
    process = subprocess.Popen([sys.executable, "-c", CODE, str(settings), str(run)])
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.weights.h5").is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run / "metrics.json").is_file()
    return len(callbacks.read_history(run / "history.jsonl"))
