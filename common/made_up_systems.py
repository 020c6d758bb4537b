"""Systems for measurements of cost: random molecules, and molecules among charges at random places, of the density of water."""

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


def grown(n_atoms: int, random: np.random.Generator) -> System:
    """A compact random molecule: each atom 1.4 angstrom from an earlier one and at least 1.1 from all others."""
    positions = np.zeros((1, 3))
    while len(positions) < n_atoms:
        direction = random.normal(size=3)
        candidate = positions[random.integers(len(positions))] + 1.4 * direction / np.linalg.norm(direction)
        if np.min(np.linalg.norm(positions - candidate, axis=1)) > 1.1:
            positions = np.concatenate([positions, [candidate]])
    return System(random.choice([1, 6, 7, 8], size=n_atoms), positions)


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
