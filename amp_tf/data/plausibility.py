"""Whether energies and gradients are in the units they are said to be in."""

import numpy as np

from amp_tf import units
from amp_tf.data.convert import ENERGY_UNITS
from amp_tf.data.hdf5 import ReferenceData
from amp_tf.errors import InputError

THERMAL_DISPLACEMENT = 0.05
"""By how much atoms of a molecule at room temperature deviate from rest, angstrom."""

IMPLAUSIBLE_FACTOR = 50.0
"""Energies that vary this much less or more than their gradients let expect are in another unit."""

THERMAL_GRADIENT, IMPLAUSIBLE_GRADIENT = 100.0, 25.0
"""Root mean square of a component of the gradients of molecules at room temperature, kJ/mol/angstrom (ethanol, aspirin and uracil of rMD17,
at 500 K: 115 to 132), and the factor off it from which on gradients are in another unit."""


def check_plausible(data: ReferenceData) -> None:
    """Compare the gradients, and how much the energies vary, with what is usual of molecules at room temperature.

    A molecule of N atoms whose gradient components have the root mean square g is away from its minimum by some 0.05 angstrom in each of
    3N coordinates, so its energy varies by some 0.05 g sqrt(3N). Units that are wrong by a factor (hartree, eV; kcal/mol is too near)
    miss that by far. Where both are in the same wrong unit, g is far from 100 kJ/mol/angstrom.

    Raises:
        InputError: if energies and gradients differ by more than a factor of 50, or gradients by more than 25 from the usual size.
    """
    for group in data.groups:
        if group.qm_gradients is None or len(group) < 5:
            continue
        gradient = float(np.sqrt(np.mean(group.qm_gradients**2)))
        expected = THERMAL_DISPLACEMENT * gradient * np.sqrt(3 * len(group.qm_atomic_numbers))
        found = float(np.std(group.energies))
        if found and expected and not 1 / IMPLAUSIBLE_FACTOR < found / expected < IMPLAUSIBLE_FACTOR:
            guess = min(ENERGY_UNITS, key=lambda unit: abs(np.log(found / expected * ENERGY_UNITS[unit])))
            hint = f"they look like {guess}" if found < expected else "the gradients look too small"
            raise InputError(
                f"{data.source}: the energies of {group.name} vary by {found:.3g} kJ/mol, where their gradients let expect about "
                f"{expected:.3g} kJ/mol ({hint}); correct the units, or pass --no-plausibility-check."
            )
        ratio = gradient / THERMAL_GRADIENT
        if ratio and not 1 / IMPLAUSIBLE_GRADIENT < ratio < IMPLAUSIBLE_GRADIENT:
            factors = {"eV/angstrom": units.EV, "hartree/bohr": units.HARTREE / units.BOHR, "hartree/angstrom": units.HARTREE}
            guess = min(factors, key=lambda unit: abs(np.log(ratio * factors[unit])))
            hint = f"they look like {guess}" if ratio < 1 else "they look too large"
            raise InputError(
                f"{data.source}: the gradients of {group.name} have a root mean square of {gradient:.3g} kJ/mol/angstrom, where molecules "
                f"at room temperature have about {THERMAL_GRADIENT:g} ({hint}); correct the units, or pass --no-plausibility-check "
                "if these are structures near a minimum."
            )
