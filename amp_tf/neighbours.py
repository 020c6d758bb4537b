"""Which particles are neighbours, on NumPy arrays: pairs within a cut-off, MM particles near the atoms or far from all of them."""

from collections.abc import Callable

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError

FEW = 50
"""Up to so many points all distances are compared, which is faster than a tree."""

MAXIMUM_PAIRS = 50_000_000
"""No more pairs within a cut-off are listed; each takes more than a kilobyte in a model."""

WIDEST_CENTER = 12.0
"""Atoms farther than this from the middle of theirs get an expansion about a middle of their own, angstrom."""

EXPANSION_RATIO = 3.0
"""Particles that are farther than this many radii from each middle are expanded about it."""

SMALLEST_RADIUS = 3.0
"""The radius of small molecules, so that a particle close by is no far one, angstrom."""


def pairs(positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Receivers and senders of all pairs of points [n, 3] closer than ``cutoff``, in both directions, sorted by receiver, then by sender.

    Raises:
        InputError: if there are more than :data:`MAXIMUM_PAIRS`.
    """
    n_points = len(positions)
    if n_points <= FEW:
        distances = cdist(positions, positions)
        np.fill_diagonal(distances, np.inf)
        return np.nonzero(distances < cutoff)
    tree = cKDTree(positions)
    _check_number(n_points**2, lambda: tree.count_neighbors(tree, cutoff), cutoff)
    first, second = _closer(positions, positions, *tree.query_pairs(cutoff, output_type="ndarray").T, cutoff)
    return np.divmod(np.sort(np.concatenate([first * n_points + second, second * n_points + first])), n_points)


def near_pairs(positions: np.ndarray, mm_positions: np.ndarray, cutoff: float) -> np.ndarray:
    """Atoms and MM particles closer than ``cutoff``, [2, n_pairs], sorted by atom, then by particle.

    Raises:
        InputError: if there are more than :data:`MAXIMUM_PAIRS`.
    """
    around = particles_around(positions, mm_positions, cutoff)
    near, tree = mm_positions[around], cKDTree(mm_positions[around])
    _check_number(len(positions) * len(around), lambda: cKDTree(positions).count_neighbors(tree, cutoff), cutoff)
    of_atoms = tree.query_ball_point(positions, cutoff, return_sorted=True)
    atoms = np.repeat(np.arange(len(positions)), [len(particles) for particles in of_atoms])
    atoms, particles = _closer(positions, near, atoms, np.concatenate(of_atoms).astype(int), cutoff)
    return np.stack([atoms, around[particles]])


def _closer(ends: np.ndarray, others: np.ndarray, first: np.ndarray, second: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that are closer than the cut-off: a tree finds those at the cut-off too."""
    closer = np.linalg.norm(ends[first] - others[second], axis=1) < cutoff
    return first[closer], second[closer]


def _check_number(at_most: int, count: Callable[[], int], cutoff: float) -> None:
    """Refuse more than :data:`MAXIMUM_PAIRS`, which are counted where there may be so many."""
    if at_most > MAXIMUM_PAIRS and (n_pairs := count()) > MAXIMUM_PAIRS:
        raise InputError(
            f"{n_pairs} pairs of particles are closer than the cut-off of {cutoff:g} angstrom, too many; choose a smaller one."
        )


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
