"""Total charge and spin of the frames of extended xyz, whatever their keys are called, and whether electrons can be paired."""

import re
from pathlib import Path

import ase
import numpy as np

from amp_tf.data.words import charge_and_multiplicity, said
from amp_tf.errors import InputError

CHARGE_KEYS = re.compile(r"(total|tot|net|overall|molecular|molecule|mol|system|sys|qm|formal)?(charge|chrg|chg|q)|(charge|q)(tot|total)")
"""Names of the total charge, in small letters without ``_`` and ``-``."""

MULTIPLICITY_KEYS = re.compile(r"(spin)?mult(iplicity|ip)?|spin|2s\+1")
"""Names of the spin multiplicity, which is 1 for closed shells."""

UNPAIRED_KEYS = re.compile(
    r"uhf|nopen|2s|(n|num|number|numberof)?unpaired(electrons?)?|totalspin"
    r"|(total|tot|net|absolute|abs)?(magmom|magneticmoment|magmoment|magnetization|magnetisation)|(total|tot)mag"
)
"""Names of what is 0 for closed shells."""

_CHARGE_COLUMN = re.compile(r"(?!.*(nuclear|nuclei|nucleus|core|valence)).*(charge|chrg|chg).*|qs?")
_SPIN_COLUMN = re.compile(r"(?!.*(up|down|alpha|beta)).*(spin|magmom|magmoment|magneticmoment).*")

ROUNDING = 0.1
"""Charges of atoms that sum to the total charge miss it by less, e."""


def total_charge(atoms: ase.Atoms, path: Path | str, given: float | None = None) -> float:
    """The total charge that a frame states under any of :data:`CHARGE_KEYS`, e; ``given`` where it states none, and 0 without both.

    Raises:
        InputError: if it is no number, if several statements contradict each other, if the charges of the atoms sum to another one, if a
            key may be a charge but is not known, if words speak of another charge, or if the spin is not that of a closed shell.
    """
    stated: dict[str, float] = {}
    for key, value in atoms.info.items():
        if CHARGE_KEYS.fullmatch(_plain(key)):
            stated[key] = _number(value, f"{path}: the total charge of a frame must be a number, got {value!r}; correct {key}=.")
    known = next(iter(stated.values()), given)
    comment = map(str, np.ravel(atoms.info.get("comment", "")))
    words = " ".join([*comment, *(key for key, value in atoms.info.items() if value is True)]).strip()
    if (first := charge_and_multiplicity(words)) is not None:
        charge, multiplicity = first
        if multiplicity not in (1, None) or charge not in (0, known):
            kind = "a charge" if multiplicity is None else "a charge and a multiplicity"
            raise InputError(f"{path}: the line {words[:100]!r} looks like {kind}; write charge={charge} spin=1 instead.")
        stated["the second line"] = charge
    _check_words(atoms, path, words, next(iter(stated.values()), given))
    if len({round(value, 6) for value in stated.values()}) > 1:
        several = " and ".join(f"{key}={value:g}" for key, value in stated.items())
        raise InputError(f"{path}: a frame has {several}, which contradict each other; correct the charge.")
    if given is not None and stated and abs(given - (total := next(iter(stated.values())))) > 1e-6:
        raise InputError(f"{path} states a charge of {total:g} e, not {given:+g} e; correct the file or --charge.")
    total = next(iter(stated.values()), 0.0 if given is None else float(given))
    _check_other_charges(atoms, path, total, bool(stated) or given is not None)
    _check_spin(atoms, path)
    return total


def speaks_of_electrons(key: str) -> bool:
    """Whether a key of the second line names a total charge or a spin."""
    return any(names.fullmatch(_plain(key)) for names in (CHARGE_KEYS, MULTIPLICITY_KEYS, UNPAIRED_KEYS))


def _check_words(atoms: ase.Atoms, path: Path | str, words: str, known: float | None) -> None:
    """Words beside pairs must agree with the charge that is ``known``; texts in values count where no key states charge or spin."""
    has_spin = any(names.fullmatch(_plain(key)) for key in atoms.info for names in (MULTIPLICITY_KEYS, UNPAIRED_KEYS))
    texts = {"": words} | {f"{key}=": str(value) for key, value in atoms.info.items() if isinstance(value, str | dict) and key != "comment"}
    for key, text in texts.items():
        spoken = said(text)
        is_other = any(charge != (known or 0) for charge in spoken.charges) and not (key and known is not None)
        if is_other or (spoken.is_open and not has_spin) or (spoken.is_ion and known is None):
            what = f"{key}{text[:100]!r}" if key else f"the line {text[:100]!r}"
            raise InputError(f"{path}: {what} speaks of a charge or spin; write charge= and spin=1 instead.")


def _check_other_charges(atoms: ase.Atoms, path: Path | str, total: float, is_stated: bool) -> None:
    remedy = "state the total charge as charge= on the second line of the frame"
    for key, value in atoms.info.items():
        is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
        is_other = re.search("charge|chrg|chg", _plain(key)) and not CHARGE_KEYS.fullmatch(_plain(key))
        if is_other and is_number and abs(value - total) > 1e-6:
            raise InputError(f"{path}: {key}={value:g} of a frame may be its total charge, which is {total:g}; rename it, and {remedy}.")
    for name, array in _columns(atoms, _CHARGE_COLUMN).items():
        is_formal = _plain(name).rstrip("s") in ("initialcharge", "formalcharge")
        if is_stated and not is_formal:
            continue
        if array.ndim == 1 and abs(sum_of := float(array.sum()) - total) > (ROUNDING if is_formal else 0.5):
            raise InputError(f"{path}: {name} of a frame sum to {sum_of + total:.4g} e, but its total charge is {total:g} e; {remedy}.")


def _check_spin(atoms: ase.Atoms, path: Path | str) -> None:
    results = {} if atoms.calc is None else atoms.calc.results
    for key, value in {**atoms.info, **results}.items():
        plain = _plain(key)
        closed = 1.0 if MULTIPLICITY_KEYS.fullmatch(plain) else 0.0 if UNPAIRED_KEYS.fullmatch(plain) else None
        if key == "S" and np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf" and 2 * value in range(1, 20):
            closed = 0.0  # a spin quantum number; a larger or crooked S may be an entropy
        if closed is None:
            continue
        if abs(_number(value, f"{path}: {key}= of a frame must be a number, got {value!r}; correct it.") - closed) > 1e-3:
            raise InputError(f"{path}: {key}={value} of a frame; closed shells alone are supported, with {key}={closed:g}; correct it.")
    for name, moments in _columns(atoms, _SPIN_COLUMN).items():
        if np.abs(moments).max() > ROUNDING:
            raise InputError(f"{path}: a frame has {name}; only closed shells are supported, leave it out or correct it.")


def _columns(atoms: ase.Atoms, names: re.Pattern) -> dict[str, np.ndarray]:
    """The numbers of the atoms, one row for each, under a name of ``names``: columns, results and what the second line lists."""
    held = {**atoms.info, **atoms.arrays, **({} if atoms.calc is None else atoms.calc.results)}
    of_name = {name: np.asarray(value) for name, value in held.items() if names.fullmatch(_plain(name))}
    return {name: array for name, array in of_name.items() if array.dtype.kind in "iuf" and array.shape[:1] == (len(atoms),)}


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
