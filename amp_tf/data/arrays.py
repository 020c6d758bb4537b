"""Arrays of others as frames: the authors' .npy folders, and any HDF5 by a map of its datasets."""

import itertools
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from amp_tf import units
from amp_tf.data.frames import RawFrame
from amp_tf.data.hdf5_file import open_for_reading, paths
from amp_tf.data.source_units import ENERGY_UNITS, LENGTH_UNITS, factor, gradient_factor
from amp_tf.errors import AmpTFError, DataFileError, InputError
from amp_tf.files import no_file

KEYS = ("atomic_numbers", "positions", "energies", "qm_gradients", "mm_positions", "mm_charges", "mm_gradients", "charges", "dipoles")
REQUIRED = KEYS[:3]
FORCES = {"qm_forces": "qm_gradients", "mm_forces": "mm_gradients"}
"""What an HDF5 file may hold instead of gradients: their negative."""

COARSE = 0.01
"""Energies in single precision whose spacing is larger than this give a warning, kJ/mol."""

LARGEST_COMPRESSION = 2000
"""An HDF5 data set that declares more bytes than this for each stored byte was not written by anyone (gzip reaches 1032)."""

AMP_QMMM_FILES = {
    "atomic_numbers": "species", "positions": "coordinates", "energies": "energies", "qm_gradients": "engrad",
    "mm_positions": "pc_coordinates", "mm_charges": "pc_charges", "mm_gradients": "pcgrad", "dipoles": "dipoles",
}  # fmt: skip
"""Files ``<prefix>_<name>.npy`` of the data that Böselt et al. published: hartree, hartree/bohr, e*bohr; coordinates in angstrom (orca) or
bohr (xtb)."""


def read_amp_qmmm(folder: Path, prefix: str = "orca", charge: float = 0.0, allow_pickle: bool = False) -> list[RawFrame]:
    """The flat .npy layout of the authors' data, :data:`AMP_QMMM_FILES`. MM particles of no charge at the origin are padding.

    Args:
        folder: holds the files.
        prefix: ``"orca"`` (reference) or ``"xtb"``.
        charge: total charge, e.
        allow_pickle: read arrays of objects, which run code of the file's author as they are read; only for files that you trust.

    Raises:
        InputError: if a file is missing; names those that are there.
        DataFileError: if arrays do not fit.
    """
    if prefix not in ("orca", "xtb"):
        raise InputError(f"--prefix must be orca or xtb, got {prefix!r}.")
    arrays = {}
    for key, name in AMP_QMMM_FILES.items():
        path = folder / f"{prefix}_{name}.npy"
        if not path.is_file() and prefix == "xtb" and key in ("atomic_numbers", "mm_charges"):
            path = folder / f"orca_{name}.npy"
        if path.is_file():
            arrays[key] = _load(path, allow_pickle)
    if missing := [key for key in KEYS[:7] if key not in arrays]:
        found = sorted(path.name for path in folder.glob("*.npy")) if folder.is_dir() else []
        wanted = ", ".join(f"{prefix}_{AMP_QMMM_FILES[key]}.npy" for key in missing)
        raise InputError(f"{folder} lacks {wanted}; it holds {', '.join(found) or 'no .npy file'}.")
    _warn_if_coarse(folder, _spacing(arrays["energies"]) * units.HARTREE)
    length = 1.0 if prefix == "orca" else units.BOHR
    return _frames(str(folder), arrays, length, units.HARTREE, units.HARTREE / units.BOHR, charge, dipole=units.BOHR)


def _load(path: Path, allow_pickle: bool) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode=None if allow_pickle else "r", allow_pickle=allow_pickle)  # a map checks the size that is declared
    except Exception as error:  # what NumPy and pickle make of damaged bytes
        hint = "an array of objects needs --allow-pickle, if you trust it" if "object" in str(error).lower() else "copy the file again"
        raise DataFileError(f"{path}: cannot be read as .npy ({_one_line(error)}); {hint}.") from error
    if not isinstance(array, np.ndarray):
        getattr(array, "close", bool)()
        raise DataFileError(f"{path}: holds several arrays or other objects, not one array; save it with numpy.save.")
    return array


def read_hdf5(
    path: Path, keys: Mapping[str, str], length_unit: str | None, energy_unit: str | None, gradient_unit: str | None = None,
    charge: float = 0.0,
) -> list[RawFrame]:  # fmt: skip
    """An HDF5 file whose datasets ``keys`` names.

    Args:
        path: the file.
        keys: our name (:data:`KEYS`, or :data:`FORCES`) to the path of the dataset inside; frames are the first axis, atomic numbers
            [n_qm] or [n, n_qm], charges in e, MM arrays [n, n_mm, 3] and [n, n_mm], where particles of no charge at the origin are padding.
            A ``*`` in a path stands for each name at this place: one group for each molecule, whose frames come one after the other.
        length_unit, energy_unit: of :data:`~amp_tf.data.source_units.LENGTH_UNITS` and ``ENERGY_UNITS``.
        gradient_unit: ``ENERGY/LENGTH``; of the two units by default. Dipoles are in e times the length unit.
        charge: total charge, e.

    Raises:
        InputError: for a missing or unknown key or unit; names the datasets that the file holds.
        DataFileError: if the file cannot be read or arrays do not fit.
    """
    length, energy = factor(length_unit, LENGTH_UNITS, "--length-unit"), factor(energy_unit, ENERGY_UNITS, "--energy-unit")
    gradient = gradient_factor(gradient_unit) if gradient_unit else energy / length
    if stands := no_file(path):
        raise DataFileError(f"{path}: {stands}; give an HDF5 file.")
    frames, spacing = [], 0.0
    try:
        with open_for_reading(path) as file:
            for molecule, names in _datasets(path, file, keys).items():
                where = f"{path}: {molecule}" if molecule else str(path)
                for name in names.values():
                    _check_dataset(file[name], f"{path}: {name}")
                _check_frames({key: file[name].shape for key, name in names.items()}, where)
                arrays = {key: np.asarray(file[name][()]) for key, name in names.items()}
                spacing = max(spacing, _spacing(arrays["energies"]) * energy)
                for forces in FORCES.keys() & arrays.keys():
                    arrays[FORCES[forces]] = -_numbers(arrays.pop(forces), f"{where}: {forces}", float)
                frames += _frames(where, arrays, length, energy, gradient, charge, dipole=length)
    except AmpTFError:
        raise
    except Exception as error:  # what h5py makes of damaged bytes
        raise DataFileError(f"{path}: cannot be read as HDF5 ({_one_line(error)}); copy it again or correct the path.") from error
    _warn_if_coarse(path, spacing)
    return frames


def _datasets(path: Path, file: h5py.File, keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The paths of the datasets by our names, for each way in which the ``*`` of the paths can be filled in.

    Raises:
        InputError: for keys that are unknown, missing, or name no dataset.
    """
    found = [name for name in paths(file) if isinstance(file[name], h5py.Dataset)]
    matches = {key: _matching(name, found) for key, name in keys.items()}
    unknown, absent = sorted(set(keys) - {*KEYS, *FORCES}), sorted({keys[key] for key, matching in matches.items() if not matching})
    twice = [forces for forces, gradients in FORCES.items() if {forces, gradients} <= set(keys)]
    missing = [key for key in REQUIRED if key not in keys]
    if unknown or absent or missing or twice:
        problem = (
            f"--key {unknown[0]}=… is unknown, known are {', '.join((*KEYS, *FORCES))}" if unknown
            else f"--key {twice[0]}=… and {FORCES[twice[0]]}=… are the same but for the sign, give one of them" if twice
            else f"there is no dataset {', '.join(absent)}" if absent
            else f"give --key {missing[0]}=DATASET"
        )  # fmt: skip
        raise InputError(f"{path}: {problem}; the file holds {', '.join(found[:40]) or 'no dataset'}.")
    molecules = dict.fromkeys(molecule for matching in matches.values() for molecule in matching if molecule)
    of_molecules: dict[str, dict[str, str]] = {}
    for molecule in molecules or [""]:
        of_molecules[molecule] = {key: matching.get(molecule, matching.get("", "")) for key, matching in matches.items()}
        if lacking := [keys[key] for key, name in of_molecules[molecule].items() if not name]:
            raise InputError(f"{path}: {molecule} has no dataset {lacking[0]}, which others have; complete it or leave it out.")
    return of_molecules


def _matching(pattern: str, found: Sequence[str]) -> dict[str, str]:
    """The paths that fit a pattern, by what stands for its ``*``."""
    pattern = pattern.strip("/")
    if pattern in found:
        return {"": pattern}
    expression = re.compile("([^/]+)".join(map(re.escape, pattern.split("*"))))
    matches = ((expression.fullmatch(name), name) for name in found)
    return {"/".join(match.groups()): name for match, name in matches if match}


def _check_dataset(dataset: h5py.Dataset, where: str) -> None:
    """Refuse, before anything is read, a dataset whose values the file does not hold."""
    if dataset.shape is None:
        raise DataFileError(f"{where} is empty; write it, or leave its --key out.")
    if dataset.external or dataset.is_virtual:
        raise DataFileError(f"{where} is kept in another file; copy its values into this one.")
    if dataset.size * dataset.dtype.itemsize > LARGEST_COMPRESSION * (dataset.id.get_storage_size() + 1024) or not _is_written(dataset):
        raise DataFileError(
            f"{where} declares {list(dataset.shape)} values, which were never written, or not all; write them, or copy the file again."
        )


def _is_written(dataset: h5py.Dataset) -> bool:
    """Whether the file holds each part of a dataset: what was never written would be read as the fill value, mostly 0."""
    if dataset.size == 0 or dataset.chunks is None:
        return dataset.size == 0 or dataset.id.get_storage_size() > 0
    n_chunks = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    return dataset.id.get_num_chunks() == n_chunks


def _check_frames(shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse, before anything is read, what has another number of frames than the energies.

    Raises:
        DataFileError: naming it.
    """
    n_frames = shapes["energies"][0] if shapes["energies"] else 1
    for key, shape in shapes.items():
        is_shared = key == "atomic_numbers" and (len(shape) == 1 or shape[-1:] == (1,))
        if not is_shared and (not shape or shape[0] != n_frames) and key != "energies":
            raise DataFileError(f"{where}: {key} has shape {list(shape)}, energies have {n_frames} frames.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _frames(
    source: str, arrays: Mapping[str, np.ndarray], length: float, energy: float, gradient: float, charge: float, dipole: float
) -> list[RawFrame]:  # fmt: skip
    """Frames of arrays whose first axis counts them; MM arrays may be padded by particles of no charge at the origin."""
    arrays = _without_axes_of_one(arrays)
    n_frames = len(np.atleast_1d(arrays["energies"]))
    for key, array in arrays.items():
        is_shared = key == "atomic_numbers" and np.ndim(array) == 1 and np.asarray(array).dtype != object
        if not is_shared and (not np.ndim(array) or len(array) != n_frames):
            raise DataFileError(f"{source}: {key} has shape {list(np.shape(array))}, energies have {n_frames} frames.")
    if ("mm_positions" in arrays) != ("mm_charges" in arrays):
        raise DataFileError(f"{source}: positions and charges of MM particles come together; give both or neither.")
    if "mm_gradients" in arrays and "mm_charges" not in arrays:
        raise DataFileError(f"{source}: mm_gradients without mm_positions and mm_charges; give all three.")
    numbers = np.asarray(arrays["atomic_numbers"])
    per_frame = itertools.repeat(numbers) if numbers.ndim == 1 and numbers.dtype != object else numbers
    frames = []
    for frame, of_frame in zip(range(n_frames), per_frame, strict=False):
        part = {key: _numbers(arrays[key][frame], f"{source}, frame {frame}: {key}", float) for key in KEYS[1:] if key in arrays}
        of_frame = _numbers(of_frame, f"{source}, frame {frame}: atomic_numbers", int)
        _check_shapes(part, len(of_frame), f"{source}, frame {frame}")
        if "mm_charges" in part:
            real = (part["mm_charges"] != 0.0) | np.any(part["mm_positions"] != 0.0, axis=-1)
            part |= {key: part[key][real] for key in ("mm_positions", "mm_charges", "mm_gradients") if key in part}
        scaled = {
            key: part[key] * factor
            for key, factor in {"qm_gradients": gradient, "mm_positions": length, "mm_charges": 1.0, "mm_gradients": gradient}.items()
            if key in part
        }
        frames.append(
            RawFrame(
                of_frame,
                part["positions"] * length,
                float(part["energies"]) * energy,
                charges=part.get("charges"),
                dipole=part["dipoles"] * dipole if "dipoles" in part else None,
                charge=charge,
                **scaled,
            )
        )
    return frames


def _without_axes_of_one(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Energies [n, 1] as [n], atomic numbers [n_qm, 1] as [n_qm], charges [n, n_qm, 1] as [n, n_qm]."""
    n_dimensions = {"energies": 1, "charges": 2, "mm_charges": 2, "atomic_numbers": 2}
    shaped = {key: np.asarray(array) for key, array in arrays.items()}
    for key, array in shaped.items():
        is_column = key == "atomic_numbers" and array.ndim == 2 and array.shape != shaped["positions"].shape[:2]
        if array.ndim and array.shape[-1] == 1 and (is_column or array.ndim - 1 == n_dimensions.get(key)):
            shaped[key] = array[..., 0]
    return shaped


def _spacing(energies: np.ndarray) -> float:
    """The smallest difference that the largest of energies in single precision, or coarser, can have; 0 for others."""
    largest = np.abs(energies).max(initial=0.0) if energies.dtype in (np.float16, np.float32) else np.float64(0.0)
    return float(np.spacing(largest)) if np.isfinite(largest) else 0.0


def _warn_if_coarse(source: Path, spacing: float) -> None:
    """Args:
    source: the file or folder.
    spacing: of its energies, kJ/mol.
    """
    if spacing > COARSE:
        warnings.warn(
            f"{source}: the energies are in single precision, in which so large ones differ by {spacing:.2g} kJ/mol or not at all; store "
            "them in double precision, or relative to a reference.",
            stacklevel=3,
        )


def _numbers(values, what: str, kind: type) -> np.ndarray:
    """Real numbers as floats, or whole ones as integers.

    Raises:
        DataFileError: for another type of values, or numbers that are not whole.
    """
    try:
        array = np.asarray(values)
        if array.dtype == object:
            array = np.array(array.tolist())
    except (TypeError, ValueError) as error:
        raise DataFileError(f"{what} are no numbers ({_one_line(error)}); give arrays of one shape.") from error
    if array.dtype.kind not in "iuf":
        raise DataFileError(f"{what} are no numbers, but {array.dtype}; give atomic numbers, not symbols, and real values without text.")
    if kind is int and np.any(wrong := ~(np.abs(array) < 1e9) | (array != np.round(array))):
        raise DataFileError(f"{what} are no whole numbers, such as {array[wrong].flat[0]!s}; correct them.")
    return array.astype(kind)


def _check_shapes(part: Mapping[str, np.ndarray], n_atoms: int, where: str) -> None:
    """Complain about the first array of a frame whose shape does not fit the others."""
    n_mm = len(part["mm_charges"]) if np.ndim(part.get("mm_charges")) == 1 else -1
    of_mm = {"mm_charges": (n_mm,), "mm_positions": (n_mm, 3), "mm_gradients": (n_mm, 3)}
    shapes = {"energies": (), "positions": (n_atoms, 3), "qm_gradients": (n_atoms, 3), "charges": (n_atoms,), "dipoles": (3,)} | of_mm
    for key, array in part.items():
        if array.shape != shapes[key]:
            raise DataFileError(
                f"{where}: {key} has shape {list(array.shape)}, but there are {n_atoms} atoms and {max(n_mm, 0)} MM charges."
            )
