"""Properties of molecules other than the energy that a model can be trained on, and their units."""

from collections.abc import Mapping

from amp_tf import units

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
