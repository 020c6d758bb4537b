"""Reference data of others as ours: the authors' .npy folders, any HDF5 with a key map, EMLE's qm.xyz and pc.xyz, extended xyz.

What a source does not state is refused with the names that were found (units of an HDF5 file, keys that are not there), except that
total charges are 0 and extended xyz is in ASE's units unless an option says otherwise.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import ase.io
import h5py
import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.data.hdf5 import FrameGroup, Provenance, ReferenceData, whole_numbers
from amp_tf.data.hdf5_file import check_stored, open_for_reading
from amp_tf.errors import AmpTFError, DataFileError, InputError

LENGTH_UNITS = {"angstrom": 1.0, "bohr": units.BOHR, "nm": 10.0}
ENERGY_UNITS = {"kJ/mol": 1.0, "kcal/mol": units.KCAL_PER_MOL, "eV": units.EV, "hartree": units.HARTREE}

KEYS = ("atomic_numbers", "positions", "energies", "qm_gradients", "mm_positions", "mm_charges", "mm_gradients", "charges", "dipoles")
REQUIRED = KEYS[:3]
FORCES = {"qm_forces": "qm_gradients", "mm_forces": "mm_gradients"}
"""What an HDF5 file may hold instead of gradients: their negative."""

AMP_QMMM_FILES = {
    "atomic_numbers": "species", "positions": "coordinates", "energies": "energies", "qm_gradients": "engrad",
    "mm_positions": "pc_coordinates", "mm_charges": "pc_charges", "mm_gradients": "pcgrad", "dipoles": "dipoles",
}  # fmt: skip
"""Files ``<prefix>_<name>.npy`` of the data that Böselt et al. published: hartree, hartree/bohr, e*bohr; coordinates in angstrom (orca) or
bohr (xtb)."""


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
            try:
                arrays[key] = np.load(path, allow_pickle=allow_pickle)
            except (ValueError, EOFError) as error:
                raise DataFileError(
                    f"{path}: cannot be read ({error}); an array of objects needs --allow-pickle, if you trust it."
                ) from error
    if missing := [key for key in KEYS[:7] if key not in arrays]:
        found = sorted(path.name for path in folder.glob("*.npy")) if folder.is_dir() else []
        wanted = ", ".join(f"{prefix}_{AMP_QMMM_FILES[key]}.npy" for key in missing)
        raise InputError(f"{folder} lacks {wanted}; it holds {', '.join(found) or 'no .npy file'}.")
    length = 1.0 if prefix == "orca" else units.BOHR
    return _frames(str(folder), arrays, length, units.HARTREE, units.HARTREE / units.BOHR, charge, dipole=units.BOHR)


def read_hdf5(
    path: Path, keys: Mapping[str, str], length_unit: str | None, energy_unit: str | None, gradient_unit: str | None = None,
    charge: float = 0.0,
) -> list[RawFrame]:  # fmt: skip
    """An HDF5 file whose datasets ``keys`` names.

    Args:
        path: the file.
        keys: our name (:data:`KEYS`, or :data:`FORCES`) to the path of the dataset inside; frames are the first axis, atomic numbers
            [n_qm] or [n, n_qm], charges in e, MM arrays [n, n_mm, 3] and [n, n_mm], where particles of no charge at the origin are padding.
        length_unit, energy_unit: of :data:`LENGTH_UNITS` and :data:`ENERGY_UNITS`.
        gradient_unit: ``ENERGY/LENGTH``; of the two units by default. Dipoles are in e times the length unit.
        charge: total charge, e.

    Raises:
        InputError: for a missing or unknown key or unit; names the datasets that the file holds.
        DataFileError: if the file cannot be read or arrays do not fit.
    """
    length, energy = _factor(length_unit, LENGTH_UNITS, "--length-unit"), _factor(energy_unit, ENERGY_UNITS, "--energy-unit")
    gradient = _gradient_factor(gradient_unit) if gradient_unit else energy / length
    arrays = {}
    try:
        with open_for_reading(path) as file:
            found: list[str] = []
            file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
            unknown, absent = sorted(set(keys) - {*KEYS, *FORCES}), sorted(set(keys.values()) - set(found))
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
            for name in keys.values():
                check_stored(file[name], f"{path}: {name}")
            arrays = {key: file[name][()] for key, name in keys.items()}
            for forces in FORCES.keys() & arrays.keys():
                arrays[FORCES[forces]] = -_numbers(arrays.pop(forces), f"{path}: {forces}", float)
    except AmpTFError:
        raise
    except Exception as error:  # whatever h5py makes of damaged bytes
        raise DataFileError(f"{path}: cannot be read as HDF5 ({error}).") from error
    return _frames(str(path), arrays, length, energy, gradient, charge, dipole=length)


def read_xyz(path: Path, energy_unit: str = "eV", charge: float | None = None) -> list[RawFrame]:
    """Extended xyz in angstrom, energies and forces as ASE reads them: ``energy_unit`` and ``energy_unit``/angstrom.

    The total charge is that of the frame (``charge=…`` on its second line) unless ``charge`` is given.

    Raises:
        InputError: for a frame without energy; names what it holds.
        DataFileError: if ASE cannot read the file.
    """
    energy = _factor(energy_unit, ENERGY_UNITS, "--energy-unit")
    frames = []
    for number, atoms in enumerate(read_atoms(path)):
        results = {} if atoms.calc is None else atoms.calc.results
        if "energy" not in results:
            held = sorted({*atoms.info, *atoms.arrays, *results})
            raise InputError(
                f"{path}, frame {number}: there is no key 'energy'; the frame holds {', '.join(held)}. Rename its energy key; "
                "geometries with point charges are labelled by python -m datasets.qmmm_solutes relabel --pc."
            )
        frames.append(
            RawFrame(
                atoms.numbers,
                atoms.positions,
                float(results["energy"]) * energy,
                None if "forces" not in results else -np.asarray(results["forces"]) * energy,
                charges=None if "charges" not in results else np.asarray(results["charges"]),
                dipole=None if "dipole" not in results else np.asarray(results["dipole"]),
                charge=total_charge(atoms, path) if charge is None else charge,
            )
        )
    return frames


def read_emle(qm: Path, pc: Path, energy_unit: str = "eV", charge: float | None = None) -> list[RawFrame]:
    """EMLE's ``qm.xyz`` (as :func:`read_xyz`, energies and forces included) and ``pc.xyz`` (per frame a count, then lines ``q x y z``).

    Raises:
        InputError, DataFileError: as :func:`read_xyz`, and where the two files do not fit.
    """
    return _with_point_charges(read_xyz(qm, energy_unit, charge), qm, pc)


def read_geometries(path: Path, pc: Path | None = None, charge: float | None = None) -> list[RawFrame]:
    """The frames of an extended xyz file without labels (their energies are 0), with the point charges of ``pc`` where it is given.

    Raises:
        InputError, DataFileError: as :func:`read_xyz`, and where the two files do not fit.
    """
    frames = [
        RawFrame(atoms.numbers, atoms.positions, 0.0, charge=total_charge(atoms, path) if charge is None else charge)
        for atoms in read_atoms(path)
    ]
    return frames if pc is None else _with_point_charges(frames, path, pc)


def _with_point_charges(frames: list[RawFrame], qm: Path, pc: Path) -> list[RawFrame]:
    charges = list(read_point_charges(pc))
    if len(frames) != len(charges):
        raise DataFileError(f"{qm} has {len(frames)} frames, but {pc} has {len(charges)}; give files of one simulation.")
    return [
        dataclasses.replace(frame, mm_charges=columns[:, 0], mm_positions=columns[:, 1:])
        for frame, columns in zip(frames, charges, strict=True)
    ]


def read_point_charges(path: Path) -> Iterator[np.ndarray]:
    """The frames of a ``pc.xyz``, each [n_mm, 4]: charge and position.

    Raises:
        DataFileError: naming the line that is broken.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: cannot be read ({error}).") from error
    position = 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        try:
            count = int(lines[position])
            start = position + 1
            while start < len(lines) and count and not lines[start].strip():
                start += 1
            rows = np.array([[float(word) for word in line.split()] for line in lines[start : start + count]])
            if rows.size != 4 * count:
                raise ValueError(f"{count} lines of four numbers must follow")
        except ValueError as error:
            raise DataFileError(f"{path}, line {position + 1}: not a frame of point charges ({error}).") from error
        yield rows.reshape(count, 4)
        position = start + count


def as_reference_data(frames: Sequence[RawFrame], source: str, level_of_theory: str, command: str) -> ReferenceData:
    """The frames as reference data, one group for each composition and charge, in the order in which they first come.

    Raises:
        InputError: if there is no frame.
        DataFileError: if only some frames of a group have a label, or values are impossible.
    """
    if not frames:
        raise InputError(f"{source}: there is no frame.")
    by_system: dict[tuple, list[RawFrame]] = {}
    for number, frame in enumerate(frames):
        if not np.all((frame.atomic_numbers > 0) & (frame.atomic_numbers < len(chemical_symbols))):
            raise DataFileError(f"{source}, frame {number}: atomic numbers must be those of elements, got {frame.atomic_numbers.tolist()}.")
        by_system.setdefault((tuple(int(number) for number in frame.atomic_numbers), frame.charge), []).append(frame)
    groups = []
    for number, ((numbers, charge), of_system) in enumerate(by_system.items()):
        name = str(ase.Atoms(numbers=numbers).symbols)
        columns = {key: _column([getattr(frame, key) for frame in of_system], key, source) for key in _OPTIONAL}
        charges = [frame.charges for frame in of_system]  # no label of training: left out where only some frames have them
        mm = {}
        if columns["mm_positions"] is not None:
            lengths = [len(part) for part in columns["mm_positions"]]
            mm = {"mm_offsets": np.concatenate([[0], np.cumsum(lengths)])}
            mm |= {key: np.concatenate(columns[key]) for key in _OPTIONAL[1:4] if columns[key] is not None}
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
                **mm,
            )
        )
    provenance = Provenance(
        engine="converted",
        engine_version="unknown",
        level_of_theory=level_of_theory,
        builder_command=command,
        random_seed=None,
        energy_reference="as in the source",
        settings={"source": os.path.basename(source)},
    )
    return ReferenceData(provenance, tuple(groups), source)


_OPTIONAL = ("qm_gradients", "mm_positions", "mm_charges", "mm_gradients", "dipole")


def _column(values: list, key: str, source: str) -> list | None:
    known = [value is not None for value in values]
    if any(known) and not all(known):
        raise DataFileError(f"{source}: frame {known.index(False)} of a composition lacks {key}, which others have; complete or split it.")
    return values if all(known) else None


def _frames(
    source: str, arrays: Mapping[str, np.ndarray], length: float, energy: float, gradient: float, charge: float, dipole: float
) -> list[RawFrame]:  # fmt: skip
    """Frames of arrays whose first axis counts them; MM arrays may be padded by particles of no charge at the origin."""
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


def _numbers(values, what: str, kind: type) -> np.ndarray:
    try:
        array = np.asarray(values)
        array = np.asarray(array.tolist()) if array.dtype == object else array
        if array.dtype.kind not in "iuf":
            raise TypeError(f"they are of type {array.dtype}")
        if kind is int and not whole_numbers(array):
            raise ValueError("they are not whole")
        return array.astype(kind)
    except (TypeError, ValueError) as error:
        raise DataFileError(f"{what} are no numbers ({error}); give atomic numbers, not symbols, and values without text.") from error


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


def _factor(unit: str | None, known: Mapping[str, float], option: str) -> float:
    if unit not in known:
        raise InputError(f"{option} must be one of {', '.join(known)}, got {unit!r}; the source does not state its units.")
    return known[unit]


def _gradient_factor(unit: str) -> float:
    energy, _, length = unit.rpartition("/")
    option = "--gradient-unit ENERGY/LENGTH"
    return _factor(energy, ENERGY_UNITS, option) / _factor(length, LENGTH_UNITS, option)


def read_atoms(path: Path) -> list[ase.Atoms]:
    """The frames of an extended xyz file.

    Raises:
        DataFileError: if ASE cannot read it.
        InputError: for a periodic frame, which is no isolated molecule.
    """
    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except Exception as error:  # each format of ASE raises its own
        raise DataFileError(f"{path}: ASE cannot read it as extended xyz ({' '.join(str(error).split())[:200]}).") from error
    for number, atoms in enumerate(frames):
        if atoms.pbc.any():
            raise InputError(f'{path}, frame {number}: periodic; only isolated molecules are supported (pbc="F F F").')
    return frames


def total_charge(atoms: ase.Atoms, path: Path) -> float:
    """``charge=…`` of a frame, e; 0 without.

    Raises:
        InputError: if it is no number.
    """
    value = atoms.info.get("charge", 0.0)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: the total charge of a frame must be a number, got {value!r}.") from error
