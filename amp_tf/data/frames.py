"""One frame of a source of any format, and the frames of a source as reference data."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import ase
import numpy as np
from ase.data import chemical_symbols

from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.errors import DataFileError, InputError
from amp_tf.systems import naming


@dataclass(frozen=True)
class RawFrame:
    """One frame of a source, in the units of the package."""

    atomic_numbers: np.ndarray
    positions: np.ndarray
    energy: float
    qm_gradients: np.ndarray | None = None
    mm_positions: np.ndarray | None = None
    mm_charges: np.ndarray | None = None
    mm_gradients: np.ndarray | None = None
    charges: np.ndarray | None = None
    dipole: np.ndarray | None = None
    charge: float = 0.0
    atoms: ase.Atoms | None = None
    """The frame as an extended xyz file has it, with all that it states."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """Of :data:`amp_tf.targets.TARGET_UNITS`."""
    properties: Mapping[str, float] = field(default_factory=dict)
    """Further numbers of the frame."""


SOURCE_FRAME = "source_frame"
"""The frame property that tells which frame of the source, counted from 0, a frame is."""


def as_reference_data(
    frames: Sequence[RawFrame], source: str, level_of_theory: str, command: str, energy_reference: str = "as in the source"
) -> ReferenceData:
    """The frames as reference data, one group for each composition and charge, in the order in which they first come.

    The frame property :data:`SOURCE_FRAME` keeps the order of the source; numbers that all frames of a group state are properties too.

    Raises:
        InputError: if there is no frame.
        DataFileError: if only some frames of a group have a label, or values are impossible.
    """
    if not frames:
        raise InputError(f"{source}: there is no frame.")
    by_system: dict[tuple, list[int]] = {}
    for number, frame in enumerate(frames):
        if not np.all((frame.atomic_numbers > 0) & (frame.atomic_numbers < len(chemical_symbols))):
            raise DataFileError(f"{source}, frame {number}: atomic numbers must be those of elements, got {frame.atomic_numbers.tolist()}.")
        by_system.setdefault((tuple(int(number) for number in frame.atomic_numbers), frame.charge), []).append(number)
    groups = []
    for number, ((numbers, charge), members) in enumerate(by_system.items()):
        of_system = [frames[member] for member in members]
        name = str(ase.Atoms(numbers=numbers).symbols)
        columns = {key: _column([getattr(frame, key) for frame in of_system], key, source) for key in _OPTIONAL}
        charges = [frame.charges for frame in of_system]  # no label of training: left out where only some frames have them
        mm = {}
        if columns["mm_positions"] is not None:
            lengths = [len(part) for part in columns["mm_positions"]]
            mm = {"mm_offsets": np.concatenate([[0], np.cumsum(lengths)])}
            mm |= {key: np.concatenate(columns[key]) for key in _OPTIONAL[1:4] if columns[key] is not None}
        with naming(source):
            groups.append(
                FrameGroup(
                    f"{number:04d}_{name}" if len(by_system) > 1 else name,
                    np.array(numbers, dtype=np.int32),
                    np.stack([frame.positions for frame in of_system]),
                    np.array([frame.energy for frame in of_system]),
                    None if columns["qm_gradients"] is None else np.stack(columns["qm_gradients"]),
                    charges=None if any(of_frame is None for of_frame in charges) else np.stack(charges),
                    dipoles=None if columns["dipole"] is None else np.stack(columns["dipole"]),
                    total_charge=charge,
                    frame_properties=numbers_of([frame.atoms for frame in of_system])
                    | {name: np.array([frame.properties[name] for frame in of_system]) for name in of_system[0].properties}
                    | {SOURCE_FRAME: np.array(members)},
                    targets={name: np.array([frame.targets[name] for frame in of_system]) for name in of_system[0].targets},
                    **mm,
                )
            )
    provenance = Provenance(
        engine="converted",
        engine_version="unknown",
        level_of_theory=level_of_theory,
        builder_command=command,
        random_seed=None,
        energy_reference=energy_reference,
        settings={"source": os.path.basename(source)},
    )
    return ReferenceData(provenance, tuple(groups), source)


def numbers_of(frames: Sequence[ase.Atoms | None]) -> dict[str, np.ndarray]:
    """The numbers that every frame states on its second line, each [n_frames] float64, by key; the total charge is none of them."""
    stated = [{} if atoms is None else atoms.info for atoms in frames]
    names = [name for name in stated[0] if re.fullmatch(r"[A-Za-z]\w*", name) and name not in ("charge", SOURCE_FRAME)]
    return {name: np.array([info[name] for info in stated], float) for name in names if all(map(_is_number, _each(stated, name)))}


def left_out(frames: Sequence[RawFrame], data: ReferenceData) -> list[str]:
    """The names of what frames of extended xyz state beside labels and reference data made of them do not hold, sorted."""
    held = [{"charge", *group.frame_properties, *(["charges"] if group.charges is not None else [])} for group in data.groups]
    stated = {name for frame in frames if frame.atoms is not None for name in (*frame.atoms.info, *frame.atoms.arrays)}
    stated |= {"charges"} if any(frame.charges is not None for frame in frames) else set()
    return sorted(stated - set.intersection(*held) - {"numbers", "positions"})


def _each(stated: Sequence[Mapping], name: str) -> Iterator[object]:
    return (info.get(name) for info in stated)


def _is_number(value: object) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "iuf" and bool(np.isfinite(array))


_OPTIONAL = ("qm_gradients", "mm_positions", "mm_charges", "mm_gradients", "dipole")


def _column(values: list, key: str, source: str) -> list | None:
    known = [value is not None for value in values]
    if any(known) and not all(known):
        raise DataFileError(f"{source}: frame {known.index(False)} of a composition lacks {key}, which others have; complete or split it.")
    return values if all(known) else None
