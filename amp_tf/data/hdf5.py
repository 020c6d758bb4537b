"""Reading and writing of reference data: one HDF5 file, one group per system type, provenance on the file.

Layout of a group (``n`` frames of ``n_qm`` QM atoms; MM particles are ragged over frames, so they are stored flat with offsets):

==================  ==================  =======================================================================
dataset             shape               meaning and unit
==================  ==================  =======================================================================
qm_atomic_numbers   [n_qm]              int32
qm_positions        [n, n_qm, 3]        angstrom
energies            [n]                 kJ/mol, relative to what the file's ``energy_reference`` says; optional beside targets
qm_gradients        [n, n_qm, 3]        optional; dE/dr, kJ/mol/angstrom
mm_offsets          [n + 1]             int64; frame f owns the MM particles mm_offsets[f]:mm_offsets[f + 1]
mm_positions        [n_mm_total, 3]     angstrom
mm_charges          [n_mm_total]        e
mm_gradients        [n_mm_total, 3]     optional; kJ/mol/angstrom
charges             [n, n_qm]           optional; partial charges of the QM atoms, e
dipoles             [n, 3]              optional; e*angstrom, those of ions about the origin
targets/*           [n]                 optional; properties to train on, each with its attribute ``unit``
                                        (:data:`amp_tf.targets.TARGET_UNITS`)
frame_properties/*  [n]                 optional; any further number per frame, for example ``angle`` (degrees)
==================  ==================  =======================================================================

and the attribute ``total_charge`` (e). Frames stand in the order in which they were generated.
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pydantic

from amp_tf import units
from amp_tf.data.hdf5_file import WatchedDataset, attributes, check_stored, item, names, open_for_reading, open_for_writing
from amp_tf.data.reference_data import BY_NAME, NO_ARRAYS, OF_MM_PARTICLES, FrameGroup, Provenance, ReferenceData, blocks
from amp_tf.errors import DataFileError
from amp_tf.files import no_file, whole_file

FORMAT = "amp_tf reference data"
FORMAT_VERSION = 1
_UNITS = {"length": units.LENGTH, "energy": units.ENERGY, "gradient": units.GRADIENT, "charge": units.CHARGE, "dipole": units.DIPOLE}
_INTEGERS = {"qm_atomic_numbers": "<i4", "mm_offsets": "<i8"}

HELD_PARTICLES = 2_000_000
"""A file with more MM particles than this over all its frames keeps them; they are read frame by frame."""

_CHUNK = 4096  # MM particles that the file compresses together: about those of a frame


def content_sha256(provenance: Provenance, groups: tuple[FrameGroup, ...]) -> str:
    """SHA-256 of provenance, units and every dataset (name, type, shape and little-endian bytes), independent of HDF5's own layout."""
    digest = hashlib.sha256(json.dumps([FORMAT_VERSION, _UNITS, provenance.model_dump()], sort_keys=True).encode())
    for group in sorted(groups, key=lambda group: group.name):
        digest.update(f"{group.name} {group.total_charge!r}".encode())
        for name, array in sorted(group.arrays().items()):
            stored = np.dtype(_INTEGERS.get(name, "<f8"))
            digest.update(f"{name} {stored.str} {array.shape}".encode())
            for block in blocks(array):
                digest.update(block.astype(stored, order="C").tobytes())
        if group.target_units:
            digest.update(json.dumps(group.target_units, sort_keys=True).encode())
    return digest.hexdigest()


def write_reference_data(path: Path | str, provenance: Provenance, groups: tuple[FrameGroup, ...]) -> str:
    """Write a reference data file atomically: an interrupted call leaves either the old file or none.

    Returns:
        The sha256 of the content.

    Raises:
        DataFileError: if there is no frame, two groups have the same name, or what was written cannot be read back.
        AmpTFError: if the file cannot be written; says so in one sentence.
    """
    path = Path(path)
    names = [group.name for group in groups]
    if not groups or len(set(names)) != len(names):
        raise DataFileError(f"{path}: a reference data file needs at least one group and distinct names, got {names}.")
    try:
        digest = content_sha256(provenance, groups)
        with whole_file(path) as partial:
            with open_for_writing(partial) as file:
                file.attrs.update({key: _fixed(value) for key, value in _attributes(provenance, digest).items()})
                for group in groups:
                    _write_group(file.create_group(group.name), group)
            _check_written(path, partial)
    except (TypeError, ValueError, OverflowError) as error:  # what JSON or HDF5 has no form for
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"{path}: the provenance cannot be written ({error}); give plain text and numbers.") from error
    return digest


def _attributes(provenance: Provenance, digest: str) -> dict[str, str | int]:
    attributes = provenance.model_dump() | {"settings": json.dumps(provenance.settings)}
    attributes = {key: "none" if value is None else value for key, value in attributes.items()}
    attributes |= {"format": FORMAT, "format_version": FORMAT_VERSION, "sha256": digest}
    return attributes | {f"unit_of_{quantity}": unit for quantity, unit in _UNITS.items()}


def _fixed(value: str | int) -> np.ndarray | int:
    """Text of fixed length, which HDF5 keeps where its checksums reach."""
    if not isinstance(value, str):
        return value
    if "\0" in value:
        raise ValueError(f"{value[:40]!r} holds NUL")
    content = value.encode()
    return np.array(content, h5py.string_dtype("utf-8", max(1, len(content))))


def _write_group(target: h5py.Group, group: FrameGroup) -> None:
    target.attrs["total_charge"] = group.total_charge
    for name, array in group.arrays().items():
        chunks = (min(_CHUNK, len(array)), *array.shape[1:]) if name in OF_MM_PARTICLES and len(array) else None
        dataset = target.create_dataset(
            name, array.shape, _INTEGERS.get(name, "<f8"), chunks=chunks or True, compression="gzip", shuffle=True
        )
        if name.startswith("targets/"):
            dataset.attrs["unit"] = _fixed(group.target_units[name.removeprefix("targets/")])
        start = 0
        for block in blocks(array):
            dataset[start : start + len(block)] = block
            start += len(block)


def _check_written(path: Path, partial: Path) -> None:
    """Read a file back before it takes the place of another."""
    try:
        read_reference_data(partial)
    except DataFileError as error:
        raise DataFileError(f"{path} was not written: it could not be read back ({str(error).removeprefix(f'{partial}: ')})") from error


def read_reference_data(path: Path | str) -> ReferenceData:
    """Read and fully check a reference data file, holding no more in memory than :data:`HELD_PARTICLES` MM particles.

    Where more are left in the file, it stays open as long as a group of it lives.

    Raises:
        DataFileError: if the file is missing, truncated, altered since it was written (sha256), of another format, version or unit, or
            holds arrays that contradict each other; the message names the file, the place and the remedy.
    """
    path = Path(path)
    if stands := no_file(path):
        raise DataFileError(f"{path}: {stands}; build it (make dataset-water-dimer, make dataset-water-clusters) or correct the path.")
    try:
        file = open_for_reading(path)
        try:
            provenance, groups = _read_open_file(path, file)
            digest = content_sha256(provenance, groups)
            if digest != _as_text(file.attrs["sha256"]):
                raise DataFileError(
                    f"{path}: the content was altered after it was written (its sha256 is not the recorded one); copy or build it again."
                )
        except BaseException:
            file.close()
            raise
    except DataFileError:
        raise
    except Exception as error:  # whatever h5py and NumPy make of damaged bytes
        raise DataFileError(f"{path}: truncated, damaged or not an HDF5 file of amp_tf ({error}); copy or build it again.") from error
    return ReferenceData(provenance, groups, str(path), digest)


def _read_open_file(path: Path, file: h5py.File) -> tuple[Provenance, tuple[FrameGroup, ...]]:
    found = {key: _as_text(value.item() if isinstance(value, np.generic) else value) for key, value in attributes(file).items()}
    if found.pop("format", None) != FORMAT:
        raise DataFileError(f"{path}: not a reference data file of amp_tf (attribute 'format' is not {FORMAT!r}); convert it first.")
    if (version := found.pop("format_version", None)) != FORMAT_VERSION:
        raise DataFileError(f"{path}: format version {version}, this amp_tf reads version {FORMAT_VERSION}; build the file again.")
    for quantity, unit in _UNITS.items():
        if (stated := found.pop(f"unit_of_{quantity}", None)) != unit:
            raise DataFileError(f"{path}: the unit of {quantity} is {stated!r}, expected {unit!r}; convert the data.")
    found.pop("sha256")
    if found.get("random_seed") == "none":
        found["random_seed"] = None
    try:
        provenance = Provenance(**found | {"settings": json.loads(found["settings"])})
    except (pydantic.ValidationError, json.JSONDecodeError) as error:
        raise DataFileError(
            f"{path}: the provenance attributes are incomplete or unknown ({_first_line(error)}); build the file again."
        ) from error
    groups = {name: item(file, name, str(path)) for name in names(file)}
    if strangers := [name for name, group in groups.items() if not isinstance(group, h5py.Group)]:
        raise DataFileError(f"{path}: {strangers[0]!r} is no group of frames; take it out, or build the file again.")
    datasets = {name: _datasets(path, name, group) for name, group in groups.items()}
    stays = sum(of_group["mm_charges"].size for of_group in datasets.values() if "mm_charges" in of_group) > HELD_PARTICLES
    return provenance, tuple(_read_group(path, name, group, datasets[name], stays) for name, group in groups.items())


def _as_text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def _datasets(path: Path, name: str, group: h5py.Group) -> dict[str, h5py.Dataset]:
    """The datasets of a group by name, after checking that their numbers lie in the file."""
    where = f"{path}: group {name!r}"
    known = {entry.name for entry in fields(FrameGroup)} - set(NO_ARRAYS)
    if unknown := set(names(group)) - known:
        raise DataFileError(f"{where} holds unknown datasets {sorted(unknown)}; known are {sorted(known)}.")
    entries = {key: item(group, key, where) for key in names(group)}
    for by in BY_NAME:
        if (named := entries.pop(by, None)) is not None:
            entries |= {f"{by}/{key}": item(named, key, where) for key in names(named)}
    for key, dataset in entries.items():
        check_stored(dataset, f"{where}: {key}")
    return entries


def _read_group(path: Path, name: str, group: h5py.Group, datasets: dict[str, h5py.Dataset], stays: bool) -> FrameGroup:
    arrays: dict[str, object] = {}
    by_name: dict[str, dict] = {by: {} for by in (*BY_NAME, "target_units")}
    for key, dataset in datasets.items():
        by, _, key_within = key.rpartition("/")
        if by:
            by_name[by][key_within] = dataset[()]
        else:
            arrays[key] = WatchedDataset(dataset) if stays and key in OF_MM_PARTICLES else dataset[()]
        if by == "targets":
            by_name["target_units"][key_within] = _as_text(np.asarray(dataset.attrs.get("unit", "")).item())
    try:
        return FrameGroup(name=name, total_charge=float(group.attrs["total_charge"]), **by_name, **arrays)
    except TypeError as error:
        raise DataFileError(f"{path}: group {name!r} lacks a required dataset ({error}); build the file again.") from error
    except DataFileError as error:
        raise DataFileError(f"{path}: {error}") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[:3])
