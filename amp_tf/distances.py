"""Whether atoms are as far from each other as atoms are in angstrom."""

import warnings
from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii
from scipy.spatial.distance import cdist

from amp_tf.systems import System

USUAL_DISTANCES = 0.5, 1.4
"""From an atom to the atom next to it, in the median of a system, in parts of the sum of their covalent radii: 0.78 in N2, 1.24 in F2.
In bohr all are larger by 1.89, in nm smaller by 10."""

NOBLE_GASES = (2, 10, 18, 36, 54, 86)

SAMPLE = 50
"""How many atoms of a system are looked at, spread over it."""


def distance_of_neighbours(system: System) -> float:
    """Distance to the nearest atom in parts of a bond's length, median over the atoms; 1 for a single atom."""
    numbers, step = system.atomic_numbers, -(-len(system.atomic_numbers) // SAMPLE)
    apart = cdist(system.positions[::step], system.positions)
    apart /= np.add.outer(_RADII[numbers[::step]], _RADII[numbers])
    apart[np.arange(len(apart)), np.arange(0, len(numbers), step)] = np.inf
    nearest = np.sort(apart.min(axis=1))
    middle = nearest[len(nearest) // 2]
    return float(middle) if np.isfinite(middle) else 1.0


def warn_of_units(systems: Sequence[System]) -> None:
    """Warn of positions that are no molecule's in angstrom, naming the first such system."""
    for number, system in enumerate(systems):
        distance = distance_of_neighbours(system)
        if distance and not USUAL_DISTANCES[0] < distance < USUAL_DISTANCES[1]:
            where = f"system {number}: " if len(systems) > 1 else ""
            guess = "nm" if distance < 0.3 else "bohr" if 1.4 < distance < 2.5 else "another unit"
            warnings.warn(
                f"{where}atoms next to each other are {distance:.2g} times as far apart as bonded atoms (they look like {guess} taken for "
                "angstrom); positions are in angstrom, correct them.",
                stacklevel=4,
            )
            return


_RADII = covalent_radii.copy()
_RADII[list(NOBLE_GASES)] = np.inf  # which form no bonds
