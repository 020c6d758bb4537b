"""What a model can be trained to predict: the energy, or another property of molecules, with its unit."""

from collections.abc import Mapping

from amp_tf import units
from amp_tf.errors import InputError

ENERGY, DIPOLE_MOMENT = "energy", "mu"
"""Targets that are more than sums over atoms: one has gradients, the other is the length of a vector."""

TARGET_UNITS = {
    "mu": units.DIPOLE,
    "alpha": "angstrom^3",
    "homo": units.ENERGY,
    "lumo": units.ENERGY,
    "gap": units.ENERGY,
    "r2": "angstrom^2",
    "zpve": units.ENERGY,
    "u0": units.ENERGY,
    "u": units.ENERGY,
    "h": units.ENERGY,
    "g": units.ENERGY,
    "cv": "J/mol/K",
}
"""The twelve properties of QM9 (Table 3): magnitude of the dipole moment, isotropic polarizability, energies of the frontier orbitals and
their difference, electronic spatial extent, vibrational energy at 0 K, energy at 0 K, and at 298.15 K energy, enthalpy, free energy and
heat capacity. Targets of other names may have any unit."""


def checked_units(names: Mapping[str, object], given: Mapping[str, str]) -> dict[str, str]:
    """The unit of each target: the one given, or that of :data:`TARGET_UNITS`.

    Raises:
        ValueError: for a target without unit, or one of QM9's in another unit than ours.
    """
    if strangers := sorted(set(given) - set(names)):
        raise ValueError(f"there is a unit of {strangers[0]!r}, but no such target")
    chosen = {name: given.get(name, TARGET_UNITS.get(name)) for name in names}
    for name, unit in chosen.items():
        if not isinstance(unit, str) or not unit.strip() or not unit.isprintable():
            raise ValueError(f"the target {name!r} has no unit; give one, such as 'kJ/mol' or '1'")
        if name in TARGET_UNITS and unit != TARGET_UNITS[name]:
            raise ValueError(f"the target {name!r} is in {unit}, expected {TARGET_UNITS[name]}; convert it")
    return chosen


def checked_target(target: object, unit: object = None) -> tuple[str, str]:
    """The name of a target and its unit.

    Raises:
        InputError: for what is no name, and for a missing or another unit than ours.
    """
    if not isinstance(target, str) or not target.isidentifier():
        raise InputError(f"target must be a name such as 'energy' or 'homo', got {target!r}.")
    if target == ENERGY:
        if unit not in (None, units.ENERGY):
            raise InputError(f"energies are in {units.ENERGY}, not {unit}; leave target_unit out.")
        return target, units.ENERGY
    try:
        return target, checked_units({target: None}, {} if unit is None else {target: unit})[target]
    except ValueError as error:
        raise InputError(f"{error}.") from error


def require_energy(model, what: str) -> None:
    """Raises:
    InputError: for a model of another target, which ``what`` cannot take.
    """
    if model.target != ENERGY:
        raise InputError(f"{what} takes potentials; this model predicts {model.target}, no energy. Call its compute.")
