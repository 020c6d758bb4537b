"""The units that data of others may be in, as factors to ours."""

from collections.abc import Mapping

from amp_tf import units
from amp_tf.errors import InputError

LENGTH_UNITS = {"angstrom": 1.0, "bohr": units.BOHR, "nm": 10.0}
ENERGY_UNITS = {"kJ/mol": 1.0, "kcal/mol": units.KCAL_PER_MOL, "eV": units.EV, "hartree": units.HARTREE}


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
