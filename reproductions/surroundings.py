"""Charges at random places around a molecule, of the density of water, for measurements of cost."""

import numpy as np
from scipy.spatial import cKDTree

from amp_tf.simulation.solutes import Solute
from amp_tf.systems import System

NEAR_CUTOFF = 4.0
"""Of the potentials that are measured, angstrom."""

DENSITY = 0.1
"""Particles of water in a cubic angstrom."""

CONTACT = 1.8
"""No particle stands closer to an atom, angstrom."""


def surrounded(molecule: Solute, n_mm: int, random: np.random.Generator) -> System:
    """The molecule among the ``n_mm`` closest of charges at random places, at the density of water."""
    center = molecule.positions.mean(axis=0)
    edge = 2.0 * np.linalg.norm(molecule.positions - center, axis=1).max() + (2.0 * n_mm / DENSITY) ** (1.0 / 3.0) + 6.0
    places = center + random.uniform(-0.5 * edge, 0.5 * edge, size=(round(DENSITY * edge**3), 3))
    distances = cKDTree(molecule.positions).query(places)[0]
    order = np.argsort(distances)
    chosen = order[distances[order] > CONTACT][:n_mm]
    charges = np.resize([-0.8476, 0.4238, 0.4238], n_mm)
    return System(molecule.atomic_numbers, molecule.positions, molecule.charge, places[chosen], charges)
