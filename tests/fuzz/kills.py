"""Commands in processes that are killed at random moments, as ``kill -9`` does it, each followed by the same command."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from amp_tf import units
from datasets import water_dimer
from datasets.engines import Calculation

# its processes have imported all before they start, but TensorFlow has not run in any
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["amp_tf.cli", "amp_tf.training", "amp_tf.simulation.dynamics", "tests.fuzz.kills"])

LONGEST = 120.0
"""Seconds after which a command is taken to hang."""


def amp_tf(arguments: Sequence[str]) -> None:
    """``amp-tf`` with a checkpoint at every chance."""
    from amp_tf.cli import app
    from amp_tf.simulation import dynamics
    from amp_tf.training import callbacks

    callbacks.SECONDS_BETWEEN_CHECKPOINTS = dynamics.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    app(list(arguments), standalone_mode=False)


class PointCharges:
    """In place of a quantum chemistry engine: the energy of the molecules' charges, after a while."""

    name, level_of_theory = "charges", "point charges"

    def version(self) -> str:
        return "1"

    def energy(self, calculation: Calculation) -> float:
        time.sleep(0.02)
        distances = np.linalg.norm(calculation.positions[:, None] - calculation.positions, axis=-1) + np.eye(len(calculation.positions))
        charges = np.where(calculation.atomic_numbers == 8, -0.8, 0.4)
        return float(units.COULOMB_CONSTANT * np.sum(np.triu(charges[:, None] * charges / distances, 1)))


def build_data_set(output: str) -> None:
    """Reference data of the water dimer in steps of ten degrees."""
    water_dimer.build(Path(output), PointCharges(), "none", np.arange(0.0, 360.0, 10.0), 1, "test")


def _call(function: Callable, argument, log: str) -> None:
    os.setsid()
    tempfile.tempdir = os.path.dirname(log)  # what the killed leave behind
    with open(log, "a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        function(argument)


class Command:
    """A command that leaves its results in a folder.

    Args:
        function: of this module, called in another process.
        argument: of it.
        folder: what the command writes, and nothing else.
        log: a file for its output.
    """

    def __init__(self, function: Callable, argument, folder: Path, log: Path):
        self._call, self.folder, self.log = (function, argument, str(log)), folder, log

    def run(self) -> float:
        """Run it to its end; returns the seconds that it took.

        Raises:
            AssertionError: if it fails or hangs; with its last words.
        """
        start, process = time.monotonic(), self._start()
        process.join(LONGEST)
        assert process.exitcode == 0, f"exit status {process.exitcode}: {self.log.read_text(errors='replace')[-2000:]}"
        return time.monotonic() - start

    def kill(self, after: float) -> bool:
        """Run it and kill it ``after`` seconds; returns False if it had come to its end.

        Raises:
            AssertionError: if it failed before.
        """
        process = self._start()
        process.join(after)
        if process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):  # it has not begun, or is just ending
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
        assert process.exitcode in (0, -signal.SIGKILL), f"{process.exitcode}: {self.log.read_text(errors='replace')[-2000:]}"
        return process.exitcode != 0

    def _start(self):
        process = _processes.Process(target=_call, args=self._call)
        process.start()
        return process


def disturb(command: Command, n_kills: int, longest: float, check: Callable[[], None], random: np.random.Generator) -> None:
    """Kill a command ``n_kills`` times at random moments, run it again after each, and check what it leaves at each end.

    Two to four kills in a row hit one run, and after each end a new one begins.
    """
    left = n_kills
    while left:
        for _ in range(min(left, int(random.integers(2, 5)))):
            if not command.kill(random.uniform(0.0, longest)):
                break
            left -= 1
        command.run()
        check()
        shutil.rmtree(command.folder)
