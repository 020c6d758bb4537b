"""Which particles are neighbours, on NumPy arrays: pairs within a cut-off, MM particles near the atoms or far from all of them, and whole
molecules in periodic cells."""

from collections.abc import Callable

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.geometry import find_mic
from ase.neighborlist import primitive_neighbor_list
from scipy.cluster.vq import kmeans2
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
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

COVALENT = np.isin(chemical_symbols, ["H", "B", "C", "N", "O", "Si", "P", "S"])
"""Which elements, by atomic number, are always bound to another atom."""

SHORTEST_BOND, LONGEST_BOND, LONGEST_HYDROGEN_BOND = 0.55, 1.45, 1.75
"""Nearest neighbours closer than this part, or farther than this multiple, of the sum of their covalent radii are no chemistry; nor are
hydrogen atoms (0.74 angstrom in H2, 1.61 in HI, 1.81 in water in bohr) farther than this, angstrom, from all atoms."""

CONTACT = 4.0
"""Molecules of a cluster are closer to each other, angstrom."""

LONGEST_MM_BOND = 2.0
"""Neighbours in an MM molecule are closer, angstrom."""

MOST_CELLS = 1e6
"""MM particles that are farther from the atoms are a mistake."""

LOPSIDED, MANY = 0.6, 100
"""The middle of so many MM particles is not farther from the atoms than this part of their root mean square distance from it."""


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


def geometry_complaint(atomic_numbers: np.ndarray, positions: np.ndarray, mm_positions: np.ndarray) -> str | None:
    """What speaks against a geometry: lengths in another unit, molecules that a periodic box has torn, MM particles on one side; or None.

    Args:
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        mm_positions: [n_mm, 3], angstrom.
    """
    return (
        (_bonds_complaint(atomic_numbers, positions) if len(positions) > 1 else None)
        or (_pieces_complaint(atomic_numbers, positions) if len(positions) > 2 else None)
        or (_side_complaint(positions, mm_positions) if len(mm_positions) >= MANY else None)
    )


def _bonds_complaint(numbers: np.ndarray, positions: np.ndarray) -> str | None:
    distances, nearest = (column[:, 1] for column in cKDTree(positions).query(positions, k=2))
    bonds = distances / (covalent_radii[numbers] + covalent_radii[numbers[nearest]])
    is_alone = COVALENT[numbers] & np.where(numbers == 1, (distances > LONGEST_HYDROGEN_BOND) & (bonds > 1.3), bonds > LONGEST_BOND)
    wrong = np.flatnonzero(is_alone | (bonds < SHORTEST_BOND))
    if not len(wrong):
        return None
    named = ", ".join(f"{atom} ({chemical_symbols[numbers[atom]]}, {distances[atom]:.3g} angstrom)" for atom in wrong[:5])
    middle = float(np.median(bonds))
    units = "nm" if middle < 0.25 else "lengths divided by bohr twice" if middle < SHORTEST_BOND else "bohr"
    most = 2 * len(wrong) > len(numbers) and middle < 2.5
    hint = f"they look like {units}; give angstrom" if most else "a molecule wrapped in a box must be made whole"
    return f"the nearest neighbours of atoms {named} are at no distance of chemistry ({hint})"


def _pieces_complaint(numbers: np.ndarray, positions: np.ndarray) -> str | None:
    """Pieces out of contact with the rest that are no molecules: an odd number of electrons, or a carbon atom without a neighbour."""
    ends = cKDTree(positions).query_pairs(CONTACT, output_type="ndarray")
    lengths = np.linalg.norm(positions[ends[:, 0]] - positions[ends[:, 1]], axis=1)
    bonded = ends[lengths < 1.3 * covalent_radii[numbers[ends]].sum(axis=1)]
    piece = _components(bonded, len(numbers))
    out_of_contact = np.setdiff1d(piece, piece[ends[piece[ends[:, 0]] != piece[ends[:, 1]]]])
    if piece.max() == 0:
        return None
    for number in out_of_contact:
        atoms = np.flatnonzero(piece == number)
        odd = len(atoms) > 1 and numbers[atoms].sum() % 2
        if odd or any(_lacks_neighbour(atom, bonded, positions) for atom in atoms[numbers[atoms] == 6]):
            named = ", ".join(map(str, atoms[:10]))
            return f"atoms {named} are no molecule and are out of contact with the rest (a molecule wrapped in a box must be made whole)"
    return None


def _components(bonded: np.ndarray, n_atoms: int) -> np.ndarray:
    """The number of the connected piece of each atom, [n_atoms]."""
    graph = coo_matrix((np.ones(len(bonded)), (bonded[:, 0], bonded[:, 1])), shape=(n_atoms, n_atoms))
    return connected_components(graph, directed=False)[1]


def _lacks_neighbour(atom: int, bonded: np.ndarray, positions: np.ndarray) -> bool:
    """Whether a carbon atom has one neighbour that is no triple bond away, or two that are not opposite to each other."""
    around = np.array([end for pair in bonded if atom in pair for end in pair if end != atom], dtype=int)
    arms = positions[around] - positions[atom]
    lengths = np.linalg.norm(arms, axis=1)
    if len(arms) == 2:
        return arms[0] @ arms[1] / lengths.prod() > -0.85
    return len(arms) == 1 and lengths[0] > 1.27


def _side_complaint(positions: np.ndarray, mm_positions: np.ndarray) -> str | None:
    middle = mm_positions.mean(axis=0)
    shift = float(np.linalg.norm(middle - positions.mean(axis=0)))
    size = float(np.linalg.norm(mm_positions.std(axis=0)))
    if shift < max(LOPSIDED * size, CONTACT):
        return None
    farthest = int(np.linalg.norm(mm_positions - positions.mean(axis=0), axis=1).argmax())
    return (
        f"the middle of the {len(mm_positions)} MM particles is {shift:.3g} angstrom from that of the QM atoms, and particle {farthest} is "
        "farthest (in a periodic box give its cell, which takes the nearest images of MM molecules)"
    )


def nearest_images(positions: np.ndarray, mm_positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """MM positions [n_mm, 3] of a periodic cell, whole molecules shifted to the image nearest to the middle of the QM atoms.

    A particle belongs to the molecule of the particle before it if it is within 2 angstrom of an image of one of that molecule, so the
    particles of a molecule must follow each other.

    Args:
        positions: [n_atoms, 3], angstrom.
        mm_positions: [n_mm, 3], angstrom.
        cell: [3, 3], angstrom: its vectors.

    Raises:
        InputError: if particles are too many cells away.
    """
    if not len(mm_positions):
        return mm_positions
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
    vectors, _ = find_mic(middles - center, cell, pbc=True)
    return whole + (vectors - (middles - center))[molecule]
