"""Total charge and spin of the frames of extended xyz, whatever their keys are called, and whether electrons can be paired."""

import re
from pathlib import Path

import ase
import numpy as np

from amp_tf.errors import InputError

CHARGE_KEYS = {"charge", "totalcharge", "totcharge", "netcharge", "molecularcharge", "moleculecharge", "molcharge", "systemcharge",
               "qmcharge", "formalcharge", "chrg", "q", "qtot", "qtotal"}  # fmt: skip
"""Names of the total charge, in small letters without ``_`` and ``-``."""

MULTIPLICITY_KEYS = {"spin", "multiplicity", "mult", "spinmultiplicity"}
"""Names of the spin multiplicity, which is 1 for closed shells."""

UNPAIRED_KEYS = {"uhf", "nunpaired", "unpaired", "unpairedelectrons", "magmom", "totalspin"}
"""Names of what is 0 for closed shells."""

ROUNDING = 0.1
"""Charges of atoms that sum to the total charge miss it by less, e."""


def total_charge(atoms: ase.Atoms, path: Path | str, given: float | None = None) -> float:
    """The total charge that a frame states under any of :data:`CHARGE_KEYS`, e; ``given`` where it states none, and 0 without both.

    Raises:
        InputError: if it is no number, if several statements contradict each other, if the charges of the atoms sum to another one, if a
            key may be a charge but is not known, or if the spin is not that of a closed shell.
    """
    stated: dict[str, float] = {}
    for key, value in atoms.info.items():
        if _plain(key) in CHARGE_KEYS:
            stated[key] = _number(value, f"{path}: the total charge of a frame must be a number, got {value!r}; correct {key}=.")
    comment = str(atoms.info.get("comment", ""))
    if charge_and_multiplicity := re.fullmatch(r"([+-]?\d+)\s+(\d+)", comment):
        charge, multiplicity = map(int, charge_and_multiplicity.groups())
        if multiplicity != 1 or charge not in (0, given):
            raise InputError(f"{path}: the line {comment!r} looks like a charge and a multiplicity; write charge={charge} spin=1 instead.")
        stated["the second line"] = charge
    elif (words := re.search(r"charge[\s:]*([+-]?\d+)|(?:spin|multiplicity)[\s:]*0*([02-9]|1\d)", comment, re.IGNORECASE)) and (
        words.group(2) or int(words.group(1)) not in (0, given)
    ):
        raise InputError(f"{path}: the line {comment!r} speaks of a charge or spin; write charge= and spin=1 instead.")
    if len({round(value, 6) for value in stated.values()}) > 1:
        several = " and ".join(f"{key}={value:g}" for key, value in stated.items())
        raise InputError(f"{path}: a frame has {several}, which contradict each other; correct the charge.")
    if given is not None and stated and abs(given - (total := next(iter(stated.values())))) > 1e-6:
        raise InputError(f"{path} states a charge of {total:g} e, not {given:+g} e; correct the file or --charge.")
    total = next(iter(stated.values()), 0.0 if given is None else float(given))
    _check_other_charges(atoms, path, total, bool(stated) or given is not None)
    _check_spin(atoms, path)
    return total


def _check_other_charges(atoms: ase.Atoms, path: Path | str, total: float, is_stated: bool) -> None:
    remedy = "state the total charge as charge= on the second line of the frame"
    for key, value in atoms.info.items():
        is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
        if "charge" in _plain(key) and _plain(key) not in CHARGE_KEYS and is_number and abs(value - total) > 1e-6:
            raise InputError(f"{path}: {key}={value:g} of a frame may be its total charge, which is {total:g}; rename it, and {remedy}.")
    of_atoms = {name: array for name, array in atoms.arrays.items() if _plain(name) in ("initialcharges", "formalcharges")}
    if atoms.calc is not None and not is_stated and "charges" in atoms.calc.results:
        of_atoms["charges"] = atoms.calc.results["charges"]
    for name, array in of_atoms.items():
        if array.dtype.kind in "iuf" and abs(sum_of := float(array.sum()) - total) > (0.5 if name == "charges" else ROUNDING):
            raise InputError(f"{path}: {name} of a frame sum to {sum_of + total:.4g} e, but its total charge is {total:g} e; {remedy}.")


def _check_spin(atoms: ase.Atoms, path: Path | str) -> None:
    results = {} if atoms.calc is None else atoms.calc.results
    for key, value in {**atoms.info, **results}.items():
        closed = 1.0 if _plain(key) in MULTIPLICITY_KEYS else 0.0 if _plain(key) in UNPAIRED_KEYS else None
        if closed is None:
            continue
        if abs(_number(value, f"{path}: {key}= of a frame must be a number, got {value!r}; correct it.") - closed) > 1e-3:
            raise InputError(f"{path}: {key}={value} of a frame; closed shells alone are supported, with {key}={closed:g}; correct it.")
    for name in ("magmoms", "initial_magmoms"):
        moments = results.get(name, atoms.arrays.get(name))
        if moments is not None and np.asarray(moments).dtype.kind in "iuf" and np.abs(moments).max() > ROUNDING:
            raise InputError(f"{path}: a frame has {name}; only closed shells are supported, leave it out or correct it.")


def unpaired(atomic_numbers: np.ndarray, charge: float) -> str | None:
    """What is wrong with the number of electrons of a closed shell; None if nothing is.

    Args:
        atomic_numbers: [n_atoms].
        charge: total charge, e.
    """
    if abs(charge - round(charge)) > 1e-6:
        return f"a total charge of {charge:.7g} e, no whole number"
    if (int(np.sum(atomic_numbers)) - round(charge)) % 2:
        return f"an odd number of electrons at charge {charge:+g} e"
    return None


def _plain(key: str) -> str:
    return re.sub(r"[_\-\s]", "", str(key)).lower()


def _number(value: object, complaint: str) -> float:
    if isinstance(value, str | bool | np.bool_) or np.ndim(value):
        raise InputError(complaint)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(complaint) from error
    if not np.isfinite(number):
        raise InputError(complaint)
    return number
