"""Predictions of a saved potential for the frames of a file, written to a file: what ``amp-tf predict`` does."""

import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from amp_tf import units
from amp_tf.data.convert import read_geometries
from amp_tf.data.hdf5 import FrameGroup, Provenance, read_reference_data, write_reference_data
from amp_tf.errors import DataFileError, InputError
from amp_tf.files import check_outputs, whole_file
from amp_tf.graph import System, naming
from amp_tf.models import Potential
from amp_tf.training.evaluation import predict

XYZ = (".xyz", ".extxyz")


def predict_file(potential: Potential, source: Path, output: Path, command: str = "", pc: Path | None = None) -> int:
    """Predict every frame of ``source`` and write ``output``; returns the number of frames.

    Args:
        potential: a loaded potential.
        source: reference data (``.h5``, whose labels are not used) or extended xyz (``charge=…`` of a frame is its total charge).
        output: ``.h5``: reference data of ours: energies, all gradients, charges, dipoles; kJ/mol, angstrom. ``.xyz`` or ``.extxyz``:
            ASE's units, eV and eV/angstrom; energies, forces, charges, dipoles of the QM atoms; MM particles do not fit this format.
        command: recorded in ``.h5``.
        pc: the MM particles of the frames of an extended xyz: for each a count, then lines ``q x y z``.

    Raises:
        InputError: for another ending, or systems that the potential does not know; names the frame.
        DataFileError: if ``source`` or ``pc`` cannot be read.
    """
    if output.suffix not in (".h5", *XYZ):
        raise InputError(f"{output}: the ending must be .h5, .xyz or .extxyz.")
    check_outputs([output], {"the source": source, "the point charges": pc})
    names, systems = _read(source, pc)
    if potential.embeds_charges and not any(len(system.mm_charges) for system in systems):
        remedy = "" if source.suffix == ".h5" else " (--pc gives them)"
        warnings.warn(f"{source}: no frame has MM particles{remedy}; these are energies without surroundings.", stacklevel=2)
    numbers = Counter()
    for name, system in zip(names, systems, strict=True):
        where = f"group {name!r}, frame {numbers[name]}" if source.suffix == ".h5" else f"frame {numbers.total()}"
        numbers[name] += 1
        with naming(f"{source}, {where}"):
            potential.check_systems([system])
            potential.check_charges([system])
    results = predict(potential, systems, everything=True)
    of_frames = [{key: values[frame] for key, values in results.items()} for frame in range(len(systems))]
    if output.suffix == ".h5":
        _write_hdf5(potential, output, list(zip(names, systems, of_frames, strict=True)), source, command)
    else:
        with whole_file(output) as partial:
            ase.io.write(partial, list(map(_as_atoms, systems, of_frames)), format="extxyz")
    return len(systems)


def _read(source: Path, pc: Path | None) -> tuple[list[str], list[System]]:
    """Systems in the order of the file, and the group that each belongs to: one composition and charge."""
    if not source.is_file():
        raise DataFileError(f"{source}: no such file.")
    if source.suffix == ".h5":
        if pc is not None:
            raise InputError(f"--pc goes with extended xyz; {source} holds its own MM particles.")
        data = read_reference_data(source)
        return data.frame_groups, [group.system(frame) for group in data.groups for frame in range(len(group))]
    if source.suffix not in XYZ:
        raise InputError(f"{source}: the ending must be .h5, .xyz or .extxyz; amp-tf convert reads other formats.")
    systems = []
    for number, frame in enumerate(read_geometries(source, pc)):
        with naming(f"{source}, frame {number}"):
            systems.append(System(frame.atomic_numbers, frame.positions, frame.charge, frame.mm_positions, frame.mm_charges))
    return [f"{ase.Atoms(numbers=system.atomic_numbers).symbols}{system.total_charge:+g}" for system in systems], systems


def _as_atoms(system: System, result: dict) -> ase.Atoms:
    atoms = ase.Atoms(system.atomic_numbers, system.positions, info={"charge": system.total_charge})
    known = {"energy": result["energy"] / units.EV, "forces": -np.asarray(result["qm_gradients"], dtype=float) / units.EV}
    known |= {key: np.asarray(result[key], dtype=float) for key in ("charges", "dipole") if key in result}
    atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms


def _write_hdf5(potential: Potential, output: Path, predicted: list[tuple[str, System, dict]], source: Path, command: str) -> None:
    groups = []
    for name in dict.fromkeys(name for name, _, _ in predicted):
        systems = [system for of, system, _ in predicted if of == name]
        frames = [result for of, _, result in predicted if of == name]
        results = {key: [result[key] for result in frames] for key in frames[0]}
        mm = {}
        if any(len(system.mm_charges) for system in systems):
            mm = {
                "mm_offsets": np.concatenate([[0], np.cumsum([len(system.mm_charges) for system in systems])]),
                "mm_positions": np.concatenate([system.mm_positions for system in systems]),
                "mm_charges": np.concatenate([system.mm_charges for system in systems]),
                "mm_gradients": np.concatenate(results["mm_gradients"]),
            }
        groups.append(
            FrameGroup(
                name,
                systems[0].atomic_numbers,
                np.stack([system.positions for system in systems]),
                np.array(results["energy"]),
                np.stack(results["qm_gradients"]),
                charges=np.stack(results["charges"]) if "charges" in results else None,
                dipoles=np.stack(results["dipole"]) if "dipole" in results else None,
                total_charge=systems[0].total_charge,
                **mm,
            )
        )
    origin = potential.provenance
    provenance = Provenance(
        engine="amp_tf",
        engine_version=version("amp_tf"),
        level_of_theory=f"{type(potential).__name__} trained on {origin.get('level_of_theory', 'unknown')}",
        builder_command=command,
        random_seed=None,
        energy_reference=str(origin.get("energy_reference", "unknown")),
        settings={"source": source.name, "training_data_sha256": origin.get("data_sha256", "unknown")},
    )
    write_reference_data(output, provenance, tuple(groups))
