"""Frames of dynamics that are worth labelling: where the members of a committee disagree, or where a run was stopped."""

import fcntl
import os
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from amp_tf.errors import DataFileError, InputError
from amp_tf.systems import System

PICOSECONDS_BETWEEN = 0.1
"""Two frames that are kept are at least so far apart, so that they differ, ps."""


def charge_lines(system: System) -> str:
    """The charges around a system as a frame of a file of point charges: their number, then ``q x y z`` of each, e and angstrom."""
    rows = [f"{charge:.6f} {x:.6f} {y:.6f} {z:.6f}\n" for charge, (x, y, z) in zip(system.mm_charges, system.mm_positions, strict=True)]
    return f"{len(rows)}\n" + "".join(rows)


class Collection:
    """An extended xyz of QM atoms and, beside it, the file of the charges around them, as ``datasets.qmmm_solutes relabel`` reads both.

    A run that goes on after it was stopped comes once more to times that it has been at: it keeps frames after the last one alone.

    Args:
        path: of the extended xyz, ``*.xyz``; the charges go to ``*.pc.xyz``.
        above: disagreement about the force on an atom from which a frame is kept, kJ/mol/angstrom.
        lengths: of both files, bytes, to which a run that goes on cuts them back; None: the files must be new, or empty.

    Raises:
        InputError: for another ending, files that are there already, or that another run has open.
        DataFileError: if the files are shorter than a run that goes on left them.
    """

    def __init__(self, path: Path, above: float, lengths: np.ndarray | None = None):
        path = Path(path)
        if path.suffix != ".xyz":
            raise InputError(f"{path}: the ending of the file of collected frames is .xyz; choose another name.")
        if not above >= 0:
            raise InputError(f"the disagreement from which frames are collected must not be negative, got {above!r}.")
        self.paths, self.above = (path, path.with_suffix(".pc.xyz")), float(above)
        self._last = -np.inf
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = open(path, "a")  # noqa: SIM115 (closed by close)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise InputError(f"{path} is in use by another run; choose another name for the collected frames.") from error
        try:
            self._cut_back(lengths)
        except BaseException:
            self.close()
            raise

    def _cut_back(self, lengths: np.ndarray | None) -> None:
        if lengths is None:
            if present := [file for file in self.paths if file.exists() and file.stat().st_size]:
                raise InputError(f"{present[0]} is there already; choose another name for the collected frames, or remove it.")
            self.paths[1].touch()
            return
        for file, length in zip(self.paths, lengths, strict=True):
            if not file.is_file() or file.stat().st_size < length:
                raise DataFileError(f"{file}: shorter than the run left it; copy it again, or collect in another run folder.")
            os.truncate(file, int(length))
        if lengths[0]:
            self._last = max(float(frame.info.get("time_ps", -np.inf)) for frame in ase.io.iread(self.paths[0], format="extxyz"))

    def close(self) -> None:
        """Let other runs have the files."""
        self._lock.close()

    def offer(self, system: System, disagreement: float, picoseconds: float) -> None:
        """Keep a frame on which the committee disagrees, unless one was kept just before."""
        if disagreement > self.above and picoseconds - self._last >= PICOSECONDS_BETWEEN - 1e-6:
            self.keep(system, picoseconds, disagreement=round(disagreement, 4))

    def keep(self, system: System, picoseconds: float, **numbers: float) -> None:
        """Append a frame, unless that of this time is the last one.

        Args:
            system: QM atoms and the charges around them.
            picoseconds: its time.
            numbers: to be stated with it.
        """
        time = round(picoseconds, 6)
        if time == self._last:
            return
        self._last = time
        info = {"charge": system.total_charge, "time_ps": time, **numbers}
        with open(self.paths[0], "a") as file:
            ase.io.write(file, Atoms(system.atomic_numbers, system.positions, info=info), format="extxyz")
        with open(self.paths[1], "a") as file:
            file.write(charge_lines(system))

    def __len__(self) -> int:
        with open(self.paths[1]) as file:
            return sum(len(line.split()) == 1 for line in file)

    def lengths(self) -> np.ndarray:
        """Of both files, bytes, once they are on the disk."""
        for path in self.paths:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        return np.array([path.stat().st_size for path in self.paths])
