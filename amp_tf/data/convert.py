"""Reference data of others as ours: the authors' .npy folders, any HDF5 with a key map, EMLE's qm.xyz and pc.xyz, extended xyz.

What a source does not state is refused with the names that were found (units of an HDF5 file, keys that are not there), except that
total charges are 0 and extended xyz is in ASE's units unless an option says otherwise. What reads the formats: :mod:`amp_tf.data.arrays`,
:mod:`amp_tf.data.xyz`, :mod:`amp_tf.data.point_charges`.
"""

import dataclasses
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import ase
import numpy as np

from amp_tf.data.arrays import AMP_QMMM_FILES, FORCES, KEYS, REQUIRED, read_amp_qmmm, read_hdf5
from amp_tf.data.electrons import total_charge
from amp_tf.data.frames import RawFrame, as_reference_data
from amp_tf.data.point_charges import read_point_charges
from amp_tf.data.source_units import ENERGY_UNITS, LENGTH_UNITS, factor, gradient_factor, unit_of_word
from amp_tf.data.xyz import read_atoms
from amp_tf.errors import DataFileError, InputError

__all__ = [
    "AMP_QMMM_FILES", "ENERGY_UNITS", "FORCES", "KEYS", "LENGTH_UNITS", "REQUIRED", "XYZ_KEYS", "RawFrame", "as_reference_data",
    "read_amp_qmmm", "read_atoms", "read_emle", "read_geometries", "read_hdf5", "read_point_charges", "read_xyz", "total_charge",
]  # fmt: skip

XYZ_KEYS = {"energies": "energy", "qm_forces": "forces", "charges": "charges", "dipoles": "dipole"}
"""What a frame of extended xyz calls our arrays, unless a key map says otherwise; ``qm_gradients`` may come instead of forces."""

LOOKS_LIKE = {
    "energies": (0, re.compile(r"energy|^e(tot|_?ref|_?total|_?dft)?$", re.IGNORECASE)),
    "qm_forces": (2, re.compile(r"force|grad|frc|(^|[_\-.])f(xyz)?([_\-.]|$)|^d_?e_?d_?[rqx]", re.IGNORECASE)),
    "charges": (1, re.compile(r"charges|mulliken|hirshfeld|loewdin|chelpg|resp", re.IGNORECASE)),
    "dipoles": (1, re.compile(r"dipole|^mu$", re.IGNORECASE)),
}
"""Numbers of axes and names of what are probably labels."""

_NO_FORCES = re.compile(
    r"pos|coord|xyz|^r$|cart|frac|scaled|vel|^v$|mom|disp|shift|dipole|^mu|field|mode|spin|mag|charge|pol|norm|axis", re.IGNORECASE
)
_AXIS = re.compile(r"(.*?)[_\-.]?([xyz])([_\-.]\w+)?", re.IGNORECASE)


def read_xyz(
    path: Path, energy_unit: str | None = None, charge: float | None = None, gradient_unit: str | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[RawFrame]:  # fmt: skip
    """Extended xyz in angstrom with energies and, where they are there, forces, charges and dipoles (e*angstrom) of the atoms.

    Args:
        path: the file.
        energy_unit, gradient_unit: of the energies and of forces or gradients; ASE's, eV and eV/angstrom, without both.
        charge: total charge, e, of frames that state none.
        keys: our name (those of :data:`XYZ_KEYS` and ``qm_gradients``) to the name in the file.

    Raises:
        InputError: for a frame without energy or whose forces have another name; names what it holds. For one unit without the other.
        DataFileError: if the file cannot be read.
    """
    keys = dict(keys or {})
    if unknown := sorted(set(keys) - {*XYZ_KEYS, "qm_gradients"}):
        raise InputError(f"--key {unknown[0]}=… is unknown for extended xyz, known are {', '.join(XYZ_KEYS)}, qm_gradients.")
    if {"qm_gradients", "qm_forces"} <= set(keys):
        raise InputError("--key qm_forces=… and qm_gradients=… are the same but for the sign, give one of them.")
    energy = factor(energy_unit or "eV", ENERGY_UNITS, "--energy-unit")
    gradient = gradient_factor(gradient_unit or "eV/angstrom")
    sign, slope = (1.0, "qm_gradients") if "qm_gradients" in keys else (-1.0, "qm_forces")
    read = XYZ_KEYS | keys
    frames, unread = [], {}
    for number, atoms in enumerate(read_atoms(path)):
        where = f"{path}, frame {number}"
        results = {} if atoms.calc is None else atoms.calc.results
        held = {**atoms.info, **atoms.arrays, **results}
        if read["energies"] not in held:
            raise InputError(
                f"{where}: there is no key {read['energies']!r}; the frame holds {', '.join(sorted(held))}. Give --key energies=NAME; "
                "geometries with point charges are labelled by python -m datasets.qmmm_solutes relabel --pc."
            )
        shapes = {"energies": (), slope: (len(atoms), 3), "charges": (len(atoms),), "dipoles": (3,)}
        labels = {ours: _label(held[read[ours]], read[ours], shape, where) for ours, shape in shapes.items() if read[ours] in held}
        if absent := [f"{ours}={keys[ours]}" for ours in keys if ours not in labels]:
            raise InputError(f"{where}: --key {absent[0]} names nothing; the frame holds {', '.join(sorted(held))}.")
        unread |= _unread(held, {read[ours] for ours in labels}, slope in labels, where)
        _check_words(atoms.info, energy_unit or "eV", gradient_unit or "eV/angstrom", where)
        if slope in labels:
            _check_units(energy_unit, gradient_unit, where)
        frames.append(
            RawFrame(
                atoms.numbers,
                atoms.positions,
                float(labels["energies"]) * energy,
                sign * labels[slope] * gradient if slope in labels else None,
                charges=labels.get("charges"),
                dipole=labels.get("dipoles"),
                charge=total_charge(atoms, where, charge),
                atoms=atoms,
            )
        )
    if unread:
        names = ", ".join(f"{name} (--key {ours}={name})" for name, ours in unread.items())
        warnings.warn(f"{path}: these look like labels and are not read: {names}.", stacklevel=2)
    return frames


def _label(value: object, name: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.shape != shape or not np.all(np.isfinite(array)):
        wanted = "one finite number" if shape == () else f"finite numbers of shape {list(shape)}"
        got = repr(value) if array.ndim == 0 else f"{array.dtype} of shape {list(array.shape)}"
        raise InputError(f"{where}: {name} must be {wanted} without a unit, got {got}; correct it.")
    return array.astype(float)


def _unread(held: Mapping[str, object], read: set[str], has_forces: bool, where: str) -> dict[str, str]:
    """What looks like a label and is not read: its name, and ours.

    Raises:
        InputError: for forces, if none are read.
    """
    n_atoms = len(held["numbers"])
    real = {name: np.asarray(held[name]) for name in sorted(held.keys() - read - {"free_energy", "initial_charges", "numbers"})}
    real = {name: array for name, array in real.items() if array.dtype.kind in "iuf"}
    is_slope = LOOKS_LIKE["qm_forces"][1].search
    found = {}
    for name, array in real.items():
        ours = "qm_gradients" if re.search("grad|^d_?e_?d", name, re.IGNORECASE) else "qm_forces"
        if not has_forces and is_slope(name) and array.size == 3 * n_atoms:
            raise InputError(f"{where}: {name} looks like forces, which would be lost; give --key {ours}={name}, or leave it out.")
        alike = (ours for ours, (n_axes, pattern) in LOOKS_LIKE.items() if pattern.search(name) and array.ndim == n_axes)
        if (label := next(alike, None)) is not None:
            found[name] = label
        elif not has_forces and array.dtype.kind == "f" and array.shape == (n_atoms, 3) and not _NO_FORCES.search(name):
            found[name] = ours
    for names in () if has_forces else _by_axis(name for name, array in real.items() if array.shape == (n_atoms,)):
        raise InputError(
            f"{where}: {', '.join(names)} look like forces, which would be lost; name the three columns as one in Properties=, such as "
            "forces:R:3, or leave them out."
        )
    return found


def _by_axis(names: Iterable[str]) -> list[list[str]]:
    """The columns, three by three, that look like forces along x, y and z."""
    stems: dict[str, dict[str, str]] = {}
    for name in names:
        if axis := _AXIS.fullmatch(name):
            stems.setdefault(f"{axis.group(1)}{axis.group(3) or ''}", {})[axis.group(2).lower()] = name
    slope = LOOKS_LIKE["qm_forces"][1]
    return [list(of.values()) for stem, of in stems.items() if len(of) == 3 and (slope.search(stem) or re.fullmatch("(?i)g|d_?e_?d", stem))]


def _check_units(energy_unit: str | None, gradient_unit: str | None, where: str) -> None:
    if energy_unit not in (None, "eV") and gradient_unit is None:
        raise InputError(
            f"{where} has forces, whose unit does not follow from that of the energies; give --gradient-unit ENERGY/LENGTH too, such as "
            f"{energy_unit}/angstrom or {energy_unit}/bohr."
        )
    if gradient_unit not in (None, "eV/angstrom") and energy_unit is None:
        raise InputError(f"{where}: --gradient-unit {gradient_unit} says nothing of the energies; give --energy-unit too.")


def _check_words(info: Mapping[str, object], energy_unit: str, gradient_unit: str, where: str) -> None:
    """Raises:
    InputError: if a word beside the pairs, or a key such as ``energy_unit``, names another unit than the one that is taken.
    """
    flags = [key for key, value in info.items() if value is True]
    stated = [str(value) for key, value in info.items() if key == "comment" or (isinstance(value, str) and "unit" in key.lower())]
    for word in " ".join([*flags, *stated]).split():
        unit = unit_of_word(word)
        if unit is not None and unit not in (energy_unit, gradient_unit):
            raise InputError(
                f"{where}: the second line speaks of {word}, but energies are taken to be in {energy_unit} and forces in {gradient_unit}; "
                "give --energy-unit and --gradient-unit, or leave the word out."
            )


def read_emle(
    qm: Path, pc: Path, energy_unit: str | None = None, charge: float | None = None, gradient_unit: str | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[RawFrame]:  # fmt: skip
    """EMLE's ``qm.xyz`` (as :func:`read_xyz`, energies and forces included) and ``pc.xyz`` (per frame a count, then lines ``q x y z``).

    Raises:
        InputError, DataFileError: as :func:`read_xyz`, and where the two files do not fit.
    """
    return _with_point_charges(read_xyz(qm, energy_unit, charge, gradient_unit, keys), qm, pc)


def read_geometries(path: Path, pc: Path | None = None, charge: float | None = None) -> list[RawFrame]:
    """The frames of an extended xyz file without labels (their energies are 0), with the point charges of ``pc`` where it is given.

    Raises:
        InputError, DataFileError: as :func:`read_xyz`, and where the two files do not fit.
    """
    frames = []
    for number, atoms in enumerate(read_atoms(path)):
        total = total_charge(atoms, f"{path}, frame {number}", charge)
        frames.append(RawFrame(atoms.numbers, atoms.positions, 0.0, charge=total, atoms=_without_results(atoms)))
    return frames if pc is None else _with_point_charges(frames, path, pc)


def _without_results(atoms: ase.Atoms) -> ase.Atoms:
    atoms.calc = None
    return atoms


def _with_point_charges(frames: list[RawFrame], qm: Path, pc: Path) -> list[RawFrame]:
    charges = list(read_point_charges(pc))
    if len(frames) != len(charges):
        raise DataFileError(f"{qm} has {len(frames)} frames, but {pc} has {len(charges)}; give files of one simulation.")
    return [
        dataclasses.replace(frame, mm_charges=columns[:, 0], mm_positions=columns[:, 1:])
        for frame, columns in zip(frames, charges, strict=True)
    ]
