"""Reading and writing of reference data: one HDF5 file, one group per system type, provenance on the file.

Layout of a group (``n`` frames of ``n_qm`` QM atoms; MM particles are ragged over frames, so they are stored flat with offsets):

==================  ==================  =======================================================================
dataset             shape               meaning and unit
==================  ==================  =======================================================================
qm_atomic_numbers   [n_qm]              int32
qm_positions        [n, n_qm, 3]        angstrom
energies            [n]                 kJ/mol, relative to what the file's ``energy_reference`` says
qm_gradients        [n, n_qm, 3]        optional; dE/dr, kJ/mol/angstrom
mm_offsets          [n + 1]             int64; frame f owns the MM particles mm_offsets[f]:mm_offsets[f + 1]
mm_positions        [n_mm_total, 3]     angstrom
mm_charges          [n_mm_total]        e
mm_gradients        [n_mm_total, 3]     optional; kJ/mol/angstrom
charges             [n, n_qm]           optional; partial charges of the QM atoms, e
dipoles             [n, 3]              optional; e*angstrom
frame_properties/*  [n]                 optional; any further number per frame, for example ``angle`` (degrees)
==================  ==================  =======================================================================

and the attribute ``total_charge`` (e). Frames stand in the order in which they were generated.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import h5py
import numpy as np
import pydantic

from amp_tf import units
from amp_tf.arrays import as_number
from amp_tf.errors import DataFileError
from amp_tf.files import whole_file
from amp_tf.graph import System

FORMAT = "amp_tf reference data"
FORMAT_VERSION = 1
_UNITS = {"length": units.LENGTH, "energy": units.ENERGY, "gradient": units.GRADIENT, "charge": units.CHARGE, "dipole": units.DIPOLE}
_INTEGERS = {"qm_atomic_numbers": "<i4", "mm_offsets": "<i8"}

OF_MM_PARTICLES = ("mm_positions", "mm_charges", "mm_gradients")

HELD_PARTICLES = 2_000_000
"""A file with more MM particles than this over all its frames keeps them; they are read frame by frame."""

_CHUNK = 4096  # MM particles that the file compresses together: about those of a frame
_BLOCK = 262_144  # rows of an array that are checked or hashed at a time


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
    """All frames of one system type; the fields are the datasets of the module's table.

    The arrays of MM particles may be datasets of an open HDF5 file instead of arrays in memory; they are then read slice by slice.

    Raises:
        DataFileError: if a shape does not fit the others, a value is NaN or infinite, or two atoms of a frame coincide.
    """

    name: str
    qm_atomic_numbers: np.ndarray
    qm_positions: np.ndarray
    energies: np.ndarray
    qm_gradients: np.ndarray | None = None
    mm_offsets: np.ndarray | None = None
    mm_positions: np.ndarray | h5py.Dataset | None = None
    mm_charges: np.ndarray | h5py.Dataset | None = None
    mm_gradients: np.ndarray | h5py.Dataset | None = None
    charges: np.ndarray | None = None
    dipoles: np.ndarray | None = None
    total_charge: float = 0.0
    frame_properties: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name not in ("name", "total_charge", "frame_properties") and not isinstance(value, h5py.Dataset | None):
                object.__setattr__(self, entry.name, np.asarray(value))
        object.__setattr__(self, "total_charge", as_number(self.total_charge, "total_charge"))
        object.__setattr__(self, "frame_properties", {name: np.asarray(values) for name, values in self.frame_properties.items()})
        _check_group(self)

    def __len__(self) -> int:
        return len(self.energies)

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
        properties = {name: values[frames] for name, values in self.frame_properties.items()}
        return replace(self, **changes, frame_properties=properties)

    def arrays(self) -> dict[str, np.ndarray | h5py.Dataset]:
        """The datasets of the group by name, those that are absent left out."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain = {name: array for name, array in named.items() if isinstance(array, np.ndarray | h5py.Dataset)}
        return plain | {f"frame_properties/{name}": array for name, array in self.frame_properties.items()}


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
    def frame_groups(self) -> list[str]:
        """The name of the group of each frame, in the order of the file."""
        return [group.name for group in self.groups for _ in range(len(group))]


def content_sha256(provenance: Provenance, groups: tuple[FrameGroup, ...]) -> str:
    """SHA-256 of provenance, units and every dataset (name, type, shape and little-endian bytes), independent of HDF5's own layout."""
    digest = hashlib.sha256(json.dumps([FORMAT_VERSION, _UNITS, provenance.model_dump()], sort_keys=True).encode())
    for group in sorted(groups, key=lambda group: group.name):
        digest.update(f"{group.name} {group.total_charge!r}".encode())
        for name, array in sorted(group.arrays().items()):
            stored = np.dtype(_INTEGERS.get(name, "<f8"))
            digest.update(f"{name} {stored.str} {array.shape}".encode())
            for block in _blocks(array):
                digest.update(block.astype(stored, order="C").tobytes())
    return digest.hexdigest()


def _blocks(array: np.ndarray | h5py.Dataset) -> Iterator[np.ndarray]:
    return (array[start : start + _BLOCK] for start in range(0, len(array), _BLOCK))


def write_reference_data(path: Path | str, provenance: Provenance, groups: tuple[FrameGroup, ...]) -> str:
    """Write a reference data file atomically: an interrupted call leaves either the old file or none.

    Returns:
        The sha256 of the content.

    Raises:
        DataFileError: if there is no frame, or two groups have the same name.
    """
    path = Path(path)
    names = [group.name for group in groups]
    if not groups or len(set(names)) != len(names):
        raise DataFileError(f"{path}: a reference data file needs at least one group and distinct names, got {names}.")
    digest = content_sha256(provenance, groups)
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        attributes = provenance.model_dump() | {"settings": json.dumps(provenance.settings)}
        file.attrs.update({key: "none" if value is None else value for key, value in attributes.items()})
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "sha256": digest})
        file.attrs.update({f"unit_of_{quantity}": unit for quantity, unit in _UNITS.items()})
        for group in groups:
            target = file.create_group(group.name)
            target.attrs["total_charge"] = group.total_charge
            for name, array in group.arrays().items():
                chunks = (min(_CHUNK, len(array)), *array.shape[1:]) if name in OF_MM_PARTICLES and len(array) else None
                dataset = target.create_dataset(
                    name, array.shape, _INTEGERS.get(name, "<f8"), chunks=chunks or True, compression="gzip", shuffle=True
                )
                for number, block in enumerate(_blocks(array)):
                    dataset[number * _BLOCK : number * _BLOCK + len(block)] = block
    return digest


def read_reference_data(path: Path | str) -> ReferenceData:
    """Read and fully check a reference data file, holding no more in memory than :data:`HELD_PARTICLES` MM particles.

    Where more are left in the file, it stays open as long as a group of it lives.

    Raises:
        DataFileError: if the file is missing, truncated, altered since it was written (sha256), of another format, version or unit, or
            holds arrays that contradict each other; the message names the file, the place and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise DataFileError(f"{path}: no such file; build it (make dataset-water-dimer, make dataset-water-clusters) or correct the path.")
    try:
        file = h5py.File(path, "r")
        try:
            provenance, groups = _read_open_file(path, file)
            digest = content_sha256(provenance, groups)
            if digest != str(file.attrs["sha256"]):
                raise DataFileError(
                    f"{path}: the content was altered after it was written (its sha256 is not the recorded one); copy or build it again."
                )
        except BaseException:
            file.close()
            raise
    except DataFileError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:  # what h5py makes of damaged bytes
        raise DataFileError(f"{path}: truncated, damaged or not an HDF5 file of amp_tf ({error}); copy or build it again.") from error
    return ReferenceData(provenance, groups, str(path), digest)


def _read_open_file(path: Path, file: h5py.File) -> tuple[Provenance, tuple[FrameGroup, ...]]:
    attributes = {key: value.item() if isinstance(value, np.generic) else value for key, value in file.attrs.items()}
    if attributes.pop("format", None) != FORMAT:
        raise DataFileError(f"{path}: not a reference data file of amp_tf (attribute 'format' is not {FORMAT!r}); convert it first.")
    if (version := attributes.pop("format_version", None)) != FORMAT_VERSION:
        raise DataFileError(f"{path}: format version {version}, this amp_tf reads version {FORMAT_VERSION}; build the file again.")
    for quantity, unit in _UNITS.items():
        if (found := attributes.pop(f"unit_of_{quantity}", None)) != unit:
            raise DataFileError(f"{path}: the unit of {quantity} is {found!r}, expected {unit!r}; convert the data.")
    attributes.pop("sha256")
    if attributes.get("random_seed") == "none":
        attributes["random_seed"] = None
    try:
        provenance = Provenance(**attributes | {"settings": json.loads(attributes["settings"])})
    except (pydantic.ValidationError, json.JSONDecodeError) as error:
        raise DataFileError(
            f"{path}: the provenance attributes are incomplete or unknown ({_first_line(error)}); build the file again."
        ) from error
    stays = sum(group["mm_charges"].size for group in file.values() if "mm_charges" in group) > HELD_PARTICLES
    return provenance, tuple(_read_group(path, name, group, stays) for name, group in file.items())


def _read_group(path: Path, name: str, group: h5py.Group, stays: bool) -> FrameGroup:
    known = {entry.name for entry in fields(FrameGroup)} - {"name", "total_charge"}
    if unknown := set(group) - known:
        raise DataFileError(f"{path}: group {name!r} holds unknown datasets {sorted(unknown)}; known are {sorted(known)}.")
    arrays = {key: group[key] if stays and key in OF_MM_PARTICLES else group[key][()] for key in group if key != "frame_properties"}
    properties = {key: dataset[()] for key, dataset in group.get("frame_properties", {}).items()}
    try:
        return FrameGroup(name=name, total_charge=float(group.attrs["total_charge"]), frame_properties=properties, **arrays)
    except TypeError as error:
        raise DataFileError(f"{path}: group {name!r} lacks a required dataset ({error}); build the file again.") from error
    except DataFileError as error:
        raise DataFileError(f"{path}: {error}") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[:3])


def _check_group(group: FrameGroup) -> None:
    if not group.name or "/" in group.name:
        raise DataFileError(f"the group name {group.name!r} must be a word without '/'.")
    n_frames, n_qm = len(np.atleast_1d(group.energies)), len(np.atleast_1d(group.qm_atomic_numbers))
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
        if array.dtype.kind not in "iuf" or not all(np.all(np.isfinite(block)) for block in _blocks(array)):
            raise DataFileError(f"group {group.name!r}: {name} holds NaN, infinite or non-numeric values; leave those frames out.")
    if group.mm_offsets is not None and (group.mm_offsets[0] != 0 or group.mm_offsets[-1] != n_mm or np.any(np.diff(group.mm_offsets) < 0)):
        raise DataFileError(f"group {group.name!r}: mm_offsets must rise from 0 to the number of MM particles, {n_mm}.")
    for frame in range(n_frames):
        try:
            group.system(frame)
        except ValueError as error:
            raise DataFileError(f"group {group.name!r}, frame {frame}: {error}") from error
