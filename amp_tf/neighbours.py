"""Which particles are neighbours, on NumPy arrays: pairs within a cut-off, MM particles near the atoms or far from all of them."""

import numpy as np
from scipy.cluster.vq import kmeans2
from vesin import NeighborList

WIDEST_CENTER = 12.0
"""Atoms farther than this from the middle of theirs get an expansion about a middle of their own, angstrom."""

EXPANSION_RATIO = 3.0
"""Particles that are farther than this many radii from each middle are expanded about it."""

SMALLEST_RADIUS = 3.0
"""The radius of small molecules, so that a particle close by is no far one, angstrom."""


def pairs(positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Receivers and senders of all pairs of points [n, 3] closer than ``cutoff``, in both directions, sorted by receiver."""
    search = NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    receivers, senders = search.compute(points=np.ascontiguousarray(positions), box=np.zeros((3, 3)), periodic=False, quantities="ij")
    return receivers.astype(int), senders.astype(int)


def near_pairs(positions: np.ndarray, mm_positions: np.ndarray, cutoff: float) -> np.ndarray:
    """Atoms and MM particles closer than ``cutoff``, [2, n_pairs], sorted by atom; by a cell list of the particles around the atoms."""
    n_atoms, around = len(positions), particles_around(positions, mm_positions, cutoff)
    ends = np.stack(pairs(np.concatenate([positions, mm_positions[around]]), cutoff))
    atoms, particles = ends[:, (ends[0] < n_atoms) & (ends[1] >= n_atoms)] - [[0], [n_atoms]]
    return np.stack([atoms, around[particles]])


def particles_around(positions: np.ndarray, mm_positions: np.ndarray, margin: float) -> np.ndarray:
    """The numbers of the MM particles in the box around the atoms that is ``margin`` wider on every side."""
    lower, upper = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    inside = np.ones(len(mm_positions), dtype=bool)
    for axis in range(3):
        inside &= (mm_positions[:, axis] >= lower[axis]) & (mm_positions[:, axis] <= upper[axis])
    return np.flatnonzero(inside)


def expansion_centers(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the atoms [n_centers, 3], so many that no atom is farther than :data:`WIDEST_CENTER` from its own, and the number of the
    middle of each atom [n_atoms]."""
    of_atom = np.zeros(len(positions), dtype=int)
    for n_centers in range(1, len(positions) + 1):
        if n_centers > 1:
            of_atom = np.unique(kmeans2(positions, n_centers, minit="++", seed=0)[1], return_inverse=True)[1]
        members = [positions[of_atom == number] for number in range(of_atom.max() + 1)]
        centers = np.array([0.5 * (member.min(axis=0) + member.max(axis=0)) for member in members])
        if np.linalg.norm(positions - centers[of_atom], axis=1).max() <= WIDEST_CENTER:
            break
    return centers, of_atom


def far_particles(positions: np.ndarray, mm_positions: np.ndarray, centers: np.ndarray, of_atom: np.ndarray) -> np.ndarray:
    """Whether each MM particle is farther than :data:`EXPANSION_RATIO` radii from each center, [n_mm] bool.

    The radius of a center is the distance of its farthest atom.
    """
    radii = np.zeros(len(centers))
    np.maximum.at(radii, of_atom, np.linalg.norm(positions - centers[of_atom], axis=1))
    is_far = np.ones(len(mm_positions), dtype=bool)
    for center, radius in zip(centers, np.maximum(radii, SMALLEST_RADIUS), strict=True):
        squared = sum((mm_positions[:, axis] - center[axis]) ** 2 for axis in range(3))
        is_far &= squared > (EXPANSION_RATIO * radius) ** 2
    return is_far
