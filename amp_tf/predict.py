"""Predictions of a saved potential for the frames of a file, written to a file: what ``amp-tf predict`` does."""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from amp_tf import units
from amp_tf.data.convert import read_geometries
from amp_tf.data.electrons import unpaired
from amp_tf.data.frames import SOURCE_FRAME, numbers_of
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import DataFileError, InputError
from amp_tf.files import check_outputs, no_file, whole_file
from amp_tf.geometry import geometry_complaint
from amp_tf.models import Potential
from amp_tf.models.batches import compute_all
from amp_tf.systems import System, naming
from amp_tf.targets import ENERGY

XYZ = (".xyz", ".extxyz")


@dataclass(frozen=True)
class Frame:
    """A frame of the source."""

    where: str
    """Its place in the source, in words."""
    group: str
    """The name of the group that it belongs to: one composition and charge."""
    system: System
    atoms: ase.Atoms
    """What the source states of it, without labels."""


def predict_file(potential: Potential, source: Path, output: Path, command: str = "", pc: Path | None = None, cell=None) -> int:
    """Predict every frame of ``source`` and write ``output``; returns the number of frames.

    Args:
        potential: a loaded potential.
        source: reference data (``.h5``, whose labels are not used) or extended xyz (``charge=…`` of a frame is its total charge).
        output: ``.h5``: reference data of ours: energies, all gradients (or the model's other target), charges, dipoles (of ions about
            the origin); kJ/mol, angstrom; the frame property ``source_frame`` keeps the order of the source, and numbers that its frames
            state are properties too. ``.xyz`` or ``.extxyz``: ASE's units, eV and eV/angstrom; energies, forces, charges, dipoles of the
            QM atoms, beside all that the frames of an extended xyz state; MM particles do not fit this format.
        command: recorded in ``.h5``.
        pc: the MM particles of the frames of an extended xyz: for each a count, then lines ``q x y z``.
        cell: [3] edges, angstrom, of the box in which these are periodic; whole molecules are taken from the image nearest to the atoms.

    Raises:
        InputError: for another ending, or systems that the potential does not know; names the frame.
        DataFileError: if ``source`` or ``pc`` cannot be read.
    """
    if output.suffix not in (".h5", *XYZ):
        raise InputError(f"{output}: the ending must be .h5, .xyz or .extxyz.")
    check_outputs([output], {"the source": source, "the point charges": pc})
    frames = _read(source, pc, cell)
    if potential.embeds_charges and not any(len(frame.system.mm_charges) for frame in frames):
        remedy = "" if source.suffix == ".h5" else " (--pc gives them)"
        warnings.warn(f"{source}: no frame has MM particles{remedy}; these are energies without surroundings.", stacklevel=2)
    for frame in frames:
        with naming(f"{source}, {frame.where}"):
            potential.check_systems([frame.system])
            potential.check_charges([frame.system])
    _warn_of_frames(source, frames)
    results = compute_all(potential, [frame.system for frame in frames], everything=True)
    if "dipole" in results:  # of an ion it is about the centroid, and in files about the origin
        of_systems = zip(results["dipole"], (frame.system for frame in frames), strict=True)
        results["dipole"] = [dipole + system.total_charge * system.positions.mean(axis=0) for dipole, system in of_systems]
    of_frames = [{key: values[number] for key, values in results.items()} for number in range(len(frames))]
    if output.suffix == ".h5":
        _write_hdf5(potential, output, frames, of_frames, source, command)
    else:
        with whole_file(output) as partial:
            of_source = [_as_atoms(potential, frame, result) for frame, result in zip(frames, of_frames, strict=True)]
            ase.io.write(partial, of_source, format="extxyz")
    return len(frames)


def _read(source: Path, pc: Path | None, cell) -> list[Frame]:
    """In the order of the file."""
    if stands := no_file(source):
        raise DataFileError(f"{source}: {stands}; give reference data (*.h5) or extended xyz.")
    if source.suffix not in (".h5", *XYZ):
        raise InputError(f"{source}: the ending must be .h5, .xyz or .extxyz; amp-tf convert reads other formats.")
    if cell is not None and pc is None:
        raise InputError("--cell goes with --pc, the point charges that are periodic in it.")
    frames = []
    if source.suffix == ".h5":
        if pc is not None:
            raise InputError(f"--pc goes with extended xyz; {source} holds its own MM particles.")
        for group in read_reference_data(source).groups:
            for number in range(len(group)):
                system = group.system(number)
                properties = {SOURCE_FRAME: len(frames)} | {name: values[number] for name, values in group.frame_properties.items()}
                atoms = ase.Atoms(system.atomic_numbers, system.positions, info=properties)
                frames.append(Frame(f"group {group.name!r}, frame {number}", group.name, system, atoms))
        return frames
    for number, frame in enumerate(read_geometries(source, pc)):
        with naming(f"{source}, frame {number}"):
            system = System(frame.atomic_numbers, frame.positions, frame.charge, frame.mm_positions, frame.mm_charges, cell=cell)
        group = f"{ase.Atoms(numbers=system.atomic_numbers).symbols}{system.total_charge:+g}"
        frames.append(Frame(f"frame {number}", group, system, frame.atoms))
    return frames


def _warn_of_frames(source: Path, frames: list[Frame]) -> None:
    """Warnings that name the first of the frames whose geometry or number of electrons is no chemistry."""
    checks = {
        "geometry": lambda system: geometry_complaint(system.atomic_numbers, system.positions, system.mm_positions),
        "electrons": lambda system: unpaired(system.atomic_numbers, system.total_charge),
    }
    for check in checks.values():
        complaints = [(frame.where, complaint) for frame in frames if (complaint := check(frame.system))]
        if complaints:
            others = f" (and {len(complaints) - 1} other frames)" if len(complaints) > 1 else ""
            warnings.warn(f"{source}, {complaints[0][0]}{others}: {complaints[0][1]}; check the source.", stacklevel=3)


def _as_atoms(potential: Potential, frame: Frame, result: dict) -> ase.Atoms:
    atoms = frame.atoms.copy()
    atoms.info["charge"] = frame.system.total_charge
    known = {}
    if potential.target == ENERGY:
        known = {"energy": result["energy"] / units.EV, "forces": -np.asarray(result["qm_gradients"], dtype=float) / units.EV}
    else:
        atoms.info |= {potential.target: float(result["energy"]), f"{potential.target}_unit": potential.target_unit}
    known |= {key: np.asarray(result[key], dtype=float) for key in ("charges", "dipole") if key in result}
    atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms


def _write_hdf5(potential: Potential, output: Path, frames: list[Frame], of_frames: list[dict], source: Path, command: str) -> None:
    groups, left_out = [], set()
    for name in dict.fromkeys(frame.group for frame in frames):
        members = [number for number, frame in enumerate(frames) if frame.group == name]
        systems, atoms = [frames[number].system for number in members], [frames[number].atoms for number in members]
        results = {key: [of_frames[number][key] for number in members] for key in of_frames[members[0]]}
        mm = {}
        if any(len(system.mm_charges) for system in systems):
            mm = {
                "mm_offsets": np.concatenate([[0], np.cumsum([len(system.mm_charges) for system in systems])]),
                "mm_positions": np.concatenate([system.mm_positions for system in systems]),
                "mm_charges": np.concatenate([system.mm_charges for system in systems]),
            }
            if "mm_gradients" in results:
                mm["mm_gradients"] = np.concatenate(results["mm_gradients"])
        stated, values = numbers_of(atoms), np.array(results["energy"])
        is_energy = potential.target == ENERGY
        left_out |= {key for of_frame in atoms for key in (*of_frame.info, *of_frame.arrays)} - set(stated)
        order = [of_frame.info.get(SOURCE_FRAME, number) for of_frame, number in zip(atoms, members, strict=True)]
        groups.append(
            FrameGroup(
                name,
                systems[0].atomic_numbers,
                np.stack([system.positions for system in systems]),
                values if is_energy else None,
                np.stack(results["qm_gradients"]) if is_energy else None,
                charges=np.stack(results["charges"]) if "charges" in results else None,
                dipoles=np.stack(results["dipole"]) if "dipole" in results else None,
                total_charge=systems[0].total_charge,
                frame_properties=stated | {SOURCE_FRAME: np.array(order)},
                targets={} if is_energy else {potential.target: values},
                target_units={} if is_energy else {potential.target: potential.target_unit},
                **mm,
            )
        )
    if left_out := sorted(left_out - {"numbers", "positions", "charge", SOURCE_FRAME}):
        warnings.warn(
            f"{output}: {', '.join(left_out)} of the frames fit no .h5 file; its source_frame tells which frame of {source.name} has them.",
            stacklevel=3,
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
