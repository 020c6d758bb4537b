"""The units that data of others may be in, as factors to ours."""

from collections.abc import Mapping

from amp_tf import units
from amp_tf.errors import InputError

LENGTH_UNITS = {"angstrom": 1.0, "bohr": units.BOHR, "nm": 10.0}
ENERGY_UNITS = {"kJ/mol": 1.0, "kcal/mol": units.KCAL_PER_MOL, "eV": units.EV, "hartree": units.HARTREE}

_ENERGY_WORDS = {
    "ev": "eV", "kj": "kJ/mol", "kj/mol": "kJ/mol", "kcal": "kcal/mol", "kcal/mol": "kcal/mol", "hartree": "hartree", "hartrees": "hartree",
    "eh": "hartree", "a.u.": "hartree", "a.u": "hartree", "mev": "meV", "ry": "Ry", "rydberg": "Ry", "j/mol": "J/mol", "cm-1": "1/cm",
    "cm^-1": "1/cm",
}  # fmt: skip
_LENGTH_WORDS = {"angstrom": "angstrom", "ang": "angstrom", "a": "angstrom", "å": "angstrom", "bohr": "bohr", "a0": "bohr", "nm": "nm"}


def factor(unit: str | None, known: Mapping[str, float], option: str) -> float:
    """What a number in ``unit`` is multiplied by.

    Raises:
        InputError: for a unit that is not known, or None, which the source does not state.
    """
    if unit not in known:
        raise InputError(f"{option} must be one of {', '.join(known)}, got {unit!r}; the source does not state its units.")
    return known[unit]


def gradient_factor(unit: str) -> float:
    """As :func:`factor`, of ``ENERGY/LENGTH``."""
    energy, _, length = unit.rpartition("/")
    if energy not in ENERGY_UNITS or length not in LENGTH_UNITS:
        raise InputError(f"--gradient-unit must be ENERGY/LENGTH of {', '.join(ENERGY_UNITS)} and {', '.join(LENGTH_UNITS)}, got {unit!r}.")
    return ENERGY_UNITS[energy] / LENGTH_UNITS[length]


def unit_of_word(word: str) -> str | None:
    """The unit of energies or of forces that a word names, in our spelling where it is one of ours; None for other words."""
    word = word.strip("()[]{},;:\"'")
    if word in ("Ha", "au"):  # HA may be an acid, and Au is gold
        return "hartree"
    energy, _, length = word.lower().rpartition("/")
    if energy in _ENERGY_WORDS and length in _LENGTH_WORDS:
        return f"{_ENERGY_WORDS[energy]}/{_LENGTH_WORDS[length]}"
    return _ENERGY_WORDS.get(word.lower())
