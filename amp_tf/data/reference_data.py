"""Reference data in memory: frames by group with their provenance, checked when they are made. :mod:`amp_tf.data.hdf5` is their file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import h5py
import numpy as np
import pydantic

from amp_tf.arrays import as_number, as_plain
from amp_tf.errors import DataFileError
from amp_tf.systems import System
from amp_tf.targets import checked_units

OF_MM_PARTICLES = ("mm_positions", "mm_charges", "mm_gradients")
BY_NAME = ("frame_properties", "targets")
"""Fields of :class:`FrameGroup` that hold arrays by their names."""

NO_ARRAYS = ("name", "total_charge", "target_units")
"""Fields that are no arrays."""

_BLOCK = 262_144  # rows of an array that are checked, hashed or written at a time


class Provenance(pydantic.BaseModel):
    """Where reference data come from; stored as attributes of the file, all of them required."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    engine: str
    engine_version: str
    level_of_theory: str
    builder_command: str
    random_seed: int | None
    """None where nothing random went into the data."""
    energy_reference: str
    """What ``energies`` are relative to, in words."""
    settings: dict[str, object] = {}
    """Further settings of the builder, for example the geometry; JSON in the file."""


@dataclass(frozen=True)
class FrameGroup:
    """All frames of one system type; the fields are the datasets of the table of :mod:`amp_tf.data.hdf5`.

    The arrays of MM particles may be datasets of an open HDF5 file instead of arrays in memory; they are then read slice by slice.

    Raises:
        DataFileError: if a name cannot stand in a file, a shape does not fit the others, a value is NaN, infinite or no real number, atomic
            numbers are no whole numbers, or two atoms of a frame coincide.
        InputError: for masked values, quantities with units, and what NumPy makes no array of.
    """

    name: str
    qm_atomic_numbers: np.ndarray
    qm_positions: np.ndarray
    energies: np.ndarray | None = None
    qm_gradients: np.ndarray | None = None
    mm_offsets: np.ndarray | None = None
    mm_positions: np.ndarray | h5py.Dataset | None = None
    mm_charges: np.ndarray | h5py.Dataset | None = None
    mm_gradients: np.ndarray | h5py.Dataset | None = None
    charges: np.ndarray | None = None
    dipoles: np.ndarray | None = None
    total_charge: float = 0.0
    frame_properties: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    target_units: Mapping[str, str] = field(default_factory=dict)
    """The unit of each target; may be left out for those of :data:`amp_tf.targets.TARGET_UNITS`."""

    def __post_init__(self):
        needed = ("qm_atomic_numbers", "qm_positions") + (() if self.targets else ("energies",))
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise DataFileError(f"group {self.name!r} has no {' and no '.join(missing)}; give them.")
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in BY_NAME:
                if not isinstance(value, Mapping):
                    raise DataFileError(f"group {self.name!r}: {entry.name} are arrays by their names, a dict; got {value!r}.")
                object.__setattr__(self, entry.name, {name: as_plain(values, str(name)) for name, values in value.items()})
            elif entry.name not in NO_ARRAYS and not isinstance(value, h5py.Dataset | None):
                object.__setattr__(self, entry.name, as_plain(value, entry.name))
        object.__setattr__(self, "total_charge", as_number(self.total_charge, "total_charge"))
        try:
            object.__setattr__(self, "target_units", checked_units(self.targets, self.target_units))
        except ValueError as error:
            raise DataFileError(f"group {self.name!r}: {error}.") from error
        _check_group(self)

    def __len__(self) -> int:
        return len(self.qm_positions)

    def system(self, frame: int) -> System:
        """The system of one frame."""
        mm = {}
        if self.mm_offsets is not None:
            span = self.mm_particles(frame)
            mm = {"mm_positions": self.mm_positions[span], "mm_charges": self.mm_charges[span]}
        return System(self.qm_atomic_numbers, self.qm_positions[frame], self.total_charge, **mm)

    def mm_particles(self, frame: int) -> slice:
        """Where the MM particles of a frame stand in the arrays of MM particles."""
        return slice(int(self.mm_offsets[frame]), int(self.mm_offsets[frame + 1]))

    def subset(self, frames: Sequence[int]) -> "FrameGroup":
        """The group with the frames of the given numbers alone, in memory."""
        per_frame = ("qm_positions", "energies", "qm_gradients", "charges", "dipoles")
        changes = {name: getattr(self, name)[frames] for name in per_frame if getattr(self, name) is not None}
        if self.mm_offsets is not None:
            of_mm = {name: getattr(self, name) for name in OF_MM_PARTICLES if getattr(self, name) is not None}
            changes |= {name: np.concatenate([array[self.mm_particles(frame)] for frame in frames]) for name, array in of_mm.items()}
            changes["mm_offsets"] = np.concatenate([[0], np.cumsum(np.diff(self.mm_offsets)[frames])])
        changes |= {by: {name: values[frames] for name, values in getattr(self, by).items()} for by in BY_NAME}
        return replace(self, **changes)

    def arrays(self) -> dict[str, np.ndarray | h5py.Dataset]:
        """The datasets of the group by name, those that are absent left out."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain = {name: array for name, array in named.items() if isinstance(array, np.ndarray | h5py.Dataset)}
        return plain | {f"{by}/{name}": array for by in BY_NAME for name, array in getattr(self, by).items()}


@dataclass(frozen=True)
class ReferenceData:
    """The content of one reference data file."""

    provenance: Provenance
    groups: tuple[FrameGroup, ...]
    source: str = "memory"
    sha256: str = ""

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    @property
    def target_names(self) -> list[str]:
        """Of the targets that all groups have, in alphabetical order."""
        return sorted(set.intersection(*({*group.targets} for group in self.groups))) if self.groups else []

    def unit_of(self, target: str) -> str:
        """The unit of a target that all groups have.

        Raises:
            DataFileError: if groups differ in it.
        """
        found = sorted({group.target_units[target] for group in self.groups})
        if len(found) > 1:
            raise DataFileError(f"{self.source}: {target} is in {' and in '.join(found)}; convert it to one unit.")
        return found[0]

    @property
    def frame_groups(self) -> list[str]:
        """The name of the group of each frame, in the order of the file."""
        return [group.name for group in self.groups for _ in range(len(group))]


def whole_numbers(values: np.ndarray) -> bool:
    """Whether an array holds integers, in whatever type of real numbers."""
    return values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool(np.all(values == np.rint(values))))


def blocks(array: np.ndarray | h5py.Dataset) -> Iterator[np.ndarray]:
    """The rows of an array or data set, so many at a time as memory holds."""
    return (array[start : start + _BLOCK] for start in range(0, len(array), _BLOCK))


def _check_group(group: FrameGroup) -> None:
    for name in (group.name, *group.frame_properties, *group.targets):
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & {"/", "\0"} or not name.isprintable():
            raise DataFileError(f"the name {name!r} of a group, target or frame property must be a word without '/'.")
    n_frames, n_qm = len(np.atleast_1d(group.qm_positions)), len(np.atleast_1d(group.qm_atomic_numbers))
    if n_frames == 0:
        raise DataFileError(f"group {group.name!r} holds no frame; build it again with at least one.")
    mm_arrays = (group.mm_offsets, group.mm_positions, group.mm_charges)
    if any(array is None for array in mm_arrays) and any(array is not None for array in (*mm_arrays, group.mm_gradients)):
        raise DataFileError(f"group {group.name!r}: mm_offsets, mm_positions and mm_charges come together or not at all.")
    n_mm = 0 if group.mm_offsets is None else len(group.mm_charges)
    expected = {
        "qm_atomic_numbers": (n_qm,), "qm_positions": (n_frames, n_qm, 3), "energies": (n_frames,), "qm_gradients": (n_frames, n_qm, 3),
        "mm_offsets": (n_frames + 1,), "mm_positions": (n_mm, 3), "mm_charges": (n_mm,), "mm_gradients": (n_mm, 3),
        "charges": (n_frames, n_qm), "dipoles": (n_frames, 3),
    }  # fmt: skip
    for name, array in group.arrays().items():
        shape = expected.get(name, (n_frames,))
        if array.shape != shape:
            raise DataFileError(f"group {group.name!r}: {name} has shape {list(array.shape)}, expected {list(shape)}.")
        if array.dtype.kind not in "iuf" or not all(np.all(np.isfinite(block)) for block in blocks(array)):
            raise DataFileError(f"group {group.name!r}: {name} holds NaN, infinite or non-numeric values; leave those frames out.")
        if name == "mm_offsets" and not whole_numbers(array):
            raise DataFileError(f"group {group.name!r}: mm_offsets must be whole numbers; build the file again.")
    if group.mm_offsets is not None and (group.mm_offsets[0] != 0 or group.mm_offsets[-1] != n_mm or np.any(np.diff(group.mm_offsets) < 0)):
        raise DataFileError(f"group {group.name!r}: mm_offsets must rise from 0 to the number of MM particles, {n_mm}.")
    for frame in range(n_frames):
        try:
            group.system(frame)
        except ValueError as error:
            raise DataFileError(f"group {group.name!r}, frame {frame}: {error}") from error
