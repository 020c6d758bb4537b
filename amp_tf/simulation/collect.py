"""Frames of dynamics that are worth labelling: where the members of a committee disagree, or where a run was stopped."""

import os
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from amp_tf.errors import DataFileError, InputError
from amp_tf.systems import System

PICOSECONDS_BETWEEN = 0.1
"""Two frames that are kept are at least so far apart, so that they differ, ps."""


class Collection:
    """An extended xyz of QM atoms and, beside it, the file of the charges around them, as ``datasets.qmmm_solutes relabel`` reads both.

    Args:
        path: of the extended xyz, ``*.xyz``; the charges go to ``*.pc.xyz``.
        above: disagreement about the force on an atom from which a frame is kept, kJ/mol/angstrom.
        lengths: of both files, bytes, to which a run that goes on cuts them back; None: the files must be new, or empty.

    Raises:
        InputError: for another ending, or files that are there already.
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
        if lengths is None:
            if present := [file for file in self.paths if file.exists() and file.stat().st_size]:
                raise InputError(f"{present[0]} is there already; choose another name for the collected frames, or remove it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            for file in self.paths:
                file.touch()
            return
        for file, length in zip(self.paths, lengths, strict=True):
            if not file.is_file() or file.stat().st_size < length:
                raise DataFileError(f"{file}: shorter than the run left it; copy it again, or collect in another run folder.")
            os.truncate(file, int(length))

    def offer(self, system: System, disagreement: float, picoseconds: float) -> None:
        """Keep a frame on which the committee disagrees, unless one was kept just before."""
        if disagreement > self.above and picoseconds - self._last >= PICOSECONDS_BETWEEN - 1e-6:
            self.keep(system, picoseconds, disagreement=round(disagreement, 4))

    def keep(self, system: System, picoseconds: float, **numbers: float) -> None:
        """Append a frame.

        Args:
            system: QM atoms and the charges around them.
            picoseconds: its time.
            numbers: to be stated with it.
        """
        self._last = picoseconds
        info = {"charge": system.total_charge, "time_ps": round(picoseconds, 6), **numbers}
        with open(self.paths[0], "a") as file:
            ase.io.write(file, Atoms(system.atomic_numbers, system.positions, info=info), format="extxyz")
        rows = [f"{charge:.6f} {x:.6f} {y:.6f} {z:.6f}\n" for charge, (x, y, z) in zip(system.mm_charges, system.mm_positions, strict=True)]
        with open(self.paths[1], "a") as file:
            file.write(f"{len(rows)}\n" + "".join(rows))

    def __len__(self) -> int:
        with open(self.paths[1]) as file:
            return sum(len(line.split()) == 1 for line in file)

    def lengths(self) -> np.ndarray:
        """Of both files, bytes, once they are on the disk."""
        for path in self.paths:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        return np.array([path.stat().st_size for path in self.paths])
