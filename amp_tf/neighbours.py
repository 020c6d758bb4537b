"""Which particles are neighbours, on NumPy arrays: pairs within a cut-off, MM particles near the atoms or far from all of them, and whole
molecules in periodic cells."""

import os
from collections.abc import Callable

import numpy as np
from ase.geometry import find_mic
from ase.neighborlist import primitive_neighbor_list
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from amp_tf.errors import InputError

FEW = 50
"""Up to so many points all distances are compared, which is faster than a tree."""

MAXIMUM_PAIRS = min(2_000_000, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16_384)
"""No more pairs within a cut-off are listed for a system, which takes as many bytes a pair in AMP with its gradients."""

WIDEST_CENTER = 12.0
"""Atoms farther than this from the middle of theirs get an expansion about a middle of their own, angstrom."""

EXPANSION_RATIO = 3.0
"""Particles that are farther than this many radii from each middle are expanded about it."""

SMALLEST_RADIUS = 3.0
"""The radius of small molecules, so that a particle close by is no far one, angstrom."""

LONGEST_MM_BOND = 2.0
"""Neighbours in an MM molecule are closer, angstrom."""

DENSEST = 0.5
"""No more particles are in a cubic angstrom; water of five sites has 0.17."""

MOST_CELLS = 1e6
"""MM particles that are farther from the atoms are a mistake."""


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


def require_few(n_pairs: int, at_most: int, what: str) -> None:
    """Refuse more than ``at_most`` pairs, before they fill the memory.

    Raises:
        InputError: naming the number of pairs; ``what`` says of which.
    """
    if n_pairs > at_most:
        raise InputError(f"{n_pairs} pairs of {what}, more than {at_most}, too many; compute a smaller system.")


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


def nearest_images(positions: np.ndarray, mm_positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """MM positions [n_mm, 3] of a periodic cell, whole molecules shifted to the image nearest to the middle of the QM atoms.

    A particle belongs to the molecule of the particle before it if it is within 2 angstrom of an image of one of that molecule, so the
    particles of a molecule must follow each other.

    Args:
        positions: [n_atoms, 3], angstrom.
        mm_positions: [n_mm, 3], angstrom.
        cell: [3, 3], angstrom: its vectors.

    Raises:
        InputError: if particles are too many cells away, or the cell is too small for them or for the atoms.
    """
    if not len(mm_positions):
        return mm_positions
    _check_cell(positions, len(mm_positions), cell)
    cells_away = np.floor((mm_positions - positions.mean(axis=0)) @ np.linalg.inv(cell))
    if np.abs(cells_away).max() > MOST_CELLS:
        raise InputError(f"MM particle {np.abs(cells_away).max(axis=1).argmax()} is {MOST_CELLS:g} cells away from the atoms; correct it.")
    points, center = mm_positions - cells_away @ cell, positions.mean(axis=0)
    senders, receivers, shifts = primitive_neighbor_list("ijS", (True, True, True), cell, points, LONGEST_MM_BOND)
    earlier = receivers < senders
    partner, image = np.full(len(points), -1), np.zeros((len(points), 3))
    last = np.flatnonzero(earlier)[np.argsort(receivers[earlier], kind="stable")]  # the latest of the earlier partners is written last
    partner[senders[last]], image[senders[last]] = receivers[last], -shifts[last]
    molecule, first = np.zeros(len(points), dtype=int), 0
    for particle in range(len(points)):
        if partner[particle] < first:
            first, image[particle] = particle, 0.0
        else:
            image[particle] += image[partner[particle]]
        molecule[particle] = first
    _, molecule, sizes = np.unique(molecule, return_inverse=True, return_counts=True)
    whole = points + image @ cell
    middles = np.stack([np.bincount(molecule, axis) for axis in whole.T], axis=1) / sizes[:, None]
    vectors = shortest_images(middles - center, cell)
    return whole + (vectors - (middles - center))[molecule]


def shortest_images(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The shortest image of each vector [n, 3] in a box with the vectors ``cell`` [3, 3], angstrom."""
    edges = np.diagonal(cell)
    if np.array_equal(cell, np.diag(edges)):  # fifteen times as fast as the search that oblique boxes need
        return vectors - edges * np.round(vectors / edges)
    return find_mic(vectors, cell)[0]


def whole_at_first(positions: np.ndarray, cell: np.ndarray | None) -> np.ndarray:
    """Atoms [n, 3] at their images nearest to the first one: whole, where they reach over less than half of the box; angstrom."""
    return positions if cell is None else positions[0] + shortest_images(positions - positions[0], cell)


def _check_cell(positions: np.ndarray, n_mm: int, cell: np.ndarray) -> None:
    """Refuse a cell that cannot hold the particles: the search for images in it would take for ever."""
    inverse, volume = np.linalg.inv(cell), abs(float(np.linalg.det(cell)))
    thinnest = float((1.0 / np.linalg.norm(inverse, axis=0)).min())  # distance of opposite faces
    spread = float(np.ptp(positions @ inverse, axis=0).max())
    complaint = (
        f"its {n_mm} MM particles and {len(positions)} atoms would be {(n_mm + len(positions)) / volume:.3g} in each cubic angstrom"
        if n_mm + len(positions) > DENSEST * volume
        else f"two faces of it are {thinnest:.3g} angstrom apart, less than a molecule" if thinnest < 2.0 * LONGEST_MM_BOND
        else f"the atoms reach over {spread:.3g} of its lengths" if spread >= 1.0
        else None
    )  # fmt: skip
    if complaint:
        raise InputError(f"the cell is too small: {complaint}; give its edges or vectors in angstrom, and whole molecules.")
