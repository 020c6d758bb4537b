"""The files in the folder of a run: how they are claimed, cleaned, cut back to a checkpoint, and appended to."""

import csv
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.errors import DataFileError, InputError
from amp_tf.files import PARTIAL, write_text
from amp_tf.simulation.water_box import Simulation, import_openmm

TRAJECTORY, ENERGIES, CHECKPOINT = "trajectory.dcd", "energies.csv", "checkpoint.npz"
COLUMNS = (
    "step", "time_ps", "potential_energy_kj_per_mol", "kinetic_energy_kj_per_mol", "total_energy_kj_per_mol", "solute_energy_kj_per_mol",
    "solute_temperature_k", "surroundings_temperature_k", "volume_angstrom3", "longest_bond_by_its_start",
)  # fmt: skip
START = ("positions", "box")
STATE = (*START, "step", "velocities", "trajectory_bytes", "energies_bytes")
"""The arrays of ``start.npz`` and those that ``checkpoint.npz`` has at least."""

STOPPED = "stopped.npz"
"""How often the potential has stopped a run, and how long the files of collected frames were then."""

LAST_FRAME, LAST_CHARGES = "last.xyz", "last.pc.xyz"
"""The geometry at which the potential stopped a run, and the charges around it."""

RUN_FILES = ("settings.json", "start.npz", "topology.pdb", CHECKPOINT, STOPPED, LAST_FRAME, LAST_CHARGES, "summary.json", "summary.png")
"""What is written whole, beside ``trajectory.dcd`` and ``energies.csv``."""


def take_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Write ``settings.json``, or check that the run in the folder has the same settings; one that has not got to its first checkpoint is
    begun anew with others.

    Raises:
        InputError: if it has others, which it names; if the folder is no run's and holds a file of a name that a run writes.
        DataFileError: if the file is damaged, or the checkpoint of a trajectory is missing.
    """
    record, trajectory = folder / "settings.json", folder / TRAJECTORY
    if not record.is_file():
        if foreign := [name for name in (*RUN_FILES, TRAJECTORY, ENERGIES) if (folder / name).exists()]:
            raise InputError(f"{folder} is no run's, and holds {foreign[0]}, which a run would write over; choose another folder.")
    elif (known := _read_settings(record)) != settings:
        if (folder / CHECKPOINT).exists() or trajectory.exists():
            differing = ", ".join(_differing(known, settings))
            raise InputError(f"{folder} holds a run with other settings ({differing}); choose another folder or remove that one.")
        for name in ("start.npz", STOPPED, LAST_FRAME, LAST_CHARGES):
            (folder / name).unlink(missing_ok=True)
    elif trajectory.exists() and not (folder / CHECKPOINT).exists():
        raise DataFileError(
            f"{trajectory} has no {CHECKPOINT} to go on from; move it and {ENERGIES} out of the folder to start anew, or take another one."
        )
    else:
        return
    write_text(record, json.dumps(settings, indent=1))


def _differing(known: dict[str, Any], settings: dict[str, Any], before: str = "") -> list[str]:
    """The names of settings that differ, those within others with dots."""
    found = []
    for key, value in settings.items():
        other = known.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            found += _differing(other, value, f"{before}{key}.")
        elif other != value:
            found.append(f"{before}{key}")
    return found


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{path}: damaged; remove its folder to start anew.") from error
    if not isinstance(settings, dict):
        raise DataFileError(f"{path}: damaged; remove its folder to start anew.")
    return settings


def remove_partial_files(folder: Path) -> None:
    """Remove what killed runs were writing."""
    for name in RUN_FILES:
        for partial in folder.glob(f"{PARTIAL}*.{name}"):
            partial.unlink()


def cut_back(folder: Path, state: dict[str, np.ndarray], n_frames: int) -> None:
    """Cut trajectory and energies to their lengths at the checkpoint: what a killed run wrote after it comes once more.

    Raises:
        DataFileError: if one of them is shorter.
    """
    trajectory, energies = folder / TRAJECTORY, folder / ENERGIES
    if not n_frames:
        trajectory.unlink(missing_ok=True)
        with open(energies, "w", newline="") as file:
            csv.writer(file).writerow(COLUMNS)
    else:
        for path, size in {trajectory: int(state["trajectory_bytes"]), energies: int(state["energies_bytes"])}.items():
            if not path.is_file() or path.stat().st_size < size:
                raise DataFileError(f"{path}: shorter than {folder / CHECKPOINT} says; copy it again, or delete both to start anew.")
            with open(path, "rb+") as file:
                file.truncate(size)
        with open(trajectory, "rb+") as file:
            file.seek(8)
            file.write(struct.pack("<i", n_frames))


class Trajectory:
    """A DCD file that is appended to; ``time_step`` is in ps, and a frame comes every ``interval`` steps."""

    def __init__(self, path: Path, topology, time_step: float, interval: int, n_frames: int):
        self._file = open(path, "rb+" if n_frames else "wb+")  # noqa: SIM115 (closed by __exit__)
        dcd = import_openmm().app.DCDFile
        self._dcd = dcd(self._file, topology, time_step, interval, interval, append=n_frames > 0)

    def __enter__(self) -> "Trajectory":
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def write(self, simulation: Simulation) -> None:
        """Append a frame, molecules whole."""
        state = simulation.context.getState(
            positions=True, enforcePeriodicBox=simulation.context.getSystem().usesPeriodicBoundaryConditions()
        )
        self._dcd.writeModel(state.getPositions(asNumpy=True), periodicBoxVectors=state.getPeriodicBoxVectors())

    def length(self) -> int:
        """Of the file, bytes, once all is written to it."""
        return self._file.seek(0, 2)
