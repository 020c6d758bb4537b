"""What speaks against a geometry: lengths in another unit, molecules that a periodic box has torn, MM particles that are not around the
atoms."""

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist, squareform

COVALENT = np.isin(chemical_symbols, ["H", "B", "C", "N", "O", "Si", "P", "S"])
"""Which elements, by atomic number, are always bound to another atom."""

SHORTEST_BOND, LONGEST_BOND, LONGEST_HYDROGEN_BOND = 0.55, 1.45, 1.75
"""Nearest neighbours closer than this part, or farther than this multiple, of the sum of their covalent radii are no chemistry; nor are
hydrogen atoms (0.74 angstrom in H2, 1.61 in HI, 1.81 in water in bohr) farther than this, angstrom, from all atoms."""

BOND = 1.3
"""Atoms closer than this multiple of the sum of their covalent radii are bonded."""

CONTACT = 4.0
"""Molecules of a cluster are closer to each other, angstrom."""

FOURFOLD = (6, 14, 15)
"""C, Si and P, whose bonds point to the corners of a tetrahedron, to those of a triangle, or both ways."""

ENDS = (7, 8, 16)
"""Elements that end ions such as cyanide, carboxylates and thiolates with one bond."""

MOST_BONDS = {1: 1, 5: 3, 7: 3, 8: 2, 9: 1, 16: 2, 17: 1, 35: 1, 53: 1}
"""The bonds of neutral atoms, by atomic number."""

PYRAMIDAL = 0.6
"""The length of the sum of three unit vectors along the bonds of an atom: 0 in a plane, 1 where a corner of a tetrahedron is missing."""

LOPSIDED, MANY = 0.6, 100
"""The middle of so many MM particles is not farther from the atoms than this part of their root mean square distance from it."""


FEWEST, MOST, SAMPLE = 24, 100_000, 150
"""How many MM particles there must be and may be for a look at the distances between them, and from how many of these."""

TENTH = 3.3
"""Half of the MM particles with hydrogen have their tenth neighbour closer, angstrom: 3.1 in water, 3.2 in thin layers; it is
more where waters are missing that lie one image away."""

WIDE, WIDER = 1.4, 1.7
"""Zones and boxes of water reach so many radii of a ball that holds as many particles at :data:`DENSITY`; slabs reach farther."""

DENSITY = 0.1
"""MM particles in a cubic angstrom of water."""

IMAGES = "in a periodic box give its cell, which takes the nearest images of MM molecules"


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
        or (_spacing_complaint(positions, mm_positions) if FEWEST <= len(mm_positions) <= MOST else None)
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


def are_bonded(atomic_numbers: np.ndarray, positions: np.ndarray, reach: float = BOND) -> np.ndarray:
    """Whether two atoms are bonded, [n_atoms, n_atoms] bool.

    Args:
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        reach: the multiple of the sum of their covalent radii that they are closer than.
    """
    radii = covalent_radii[atomic_numbers]
    bonded = squareform(pdist(positions)) < reach * (radii[:, None] + radii)
    np.fill_diagonal(bonded, False)
    return bonded


def _pieces_complaint(numbers: np.ndarray, positions: np.ndarray) -> str | None:
    """Pieces out of contact with the rest that are no molecules: an odd number of electrons that no closed-shell ion has, or a carbon atom
    without a neighbour."""
    ends = cKDTree(positions).query_pairs(CONTACT, output_type="ndarray")
    lengths = np.linalg.norm(positions[ends[:, 0]] - positions[ends[:, 1]], axis=1)
    bonded = ends[lengths < BOND * covalent_radii[numbers[ends]].sum(axis=1)]
    piece = _components(bonded, len(numbers))
    out_of_contact = np.setdiff1d(piece, piece[ends[piece[ends[:, 0]] != piece[ends[:, 1]]]])
    if piece.max() == 0:
        return None
    for number in out_of_contact:
        atoms = np.flatnonzero(piece == number)
        odd = len(atoms) > 1 and numbers[atoms].sum() % 2 and not _is_ion(atoms, numbers, bonded, positions)
        if odd or any(_lacks_neighbour(atom, bonded, positions) for atom in atoms[numbers[atoms] == 6]):
            named = ", ".join(map(str, atoms[:10]))
            return f"atoms {named} are no molecule and are out of contact with the rest (a molecule wrapped in a box must be made whole)"
    return None


def _components(bonded: np.ndarray, n_atoms: int) -> np.ndarray:
    """The number of the connected piece of each atom, [n_atoms]."""
    graph = coo_matrix((np.ones(len(bonded)), (bonded[:, 0], bonded[:, 1])), shape=(n_atoms, n_atoms))
    return connected_components(graph, directed=False)[1]


def _is_ion(atoms: np.ndarray, numbers: np.ndarray, bonded: np.ndarray, positions: np.ndarray) -> bool:
    """Whether a piece can be an ion without unpaired electrons: an atom has more or fewer bonds than in a neutral molecule, such as N of
    ammonium or O of a carboxylate, and no atom of :data:`FOURFOLD` lacks a neighbour where a box has cut a bond."""
    arms = {atom: _arms(atom, bonded, positions) for atom in atoms}
    bent = {atom: np.linalg.norm((arm / np.linalg.norm(arm, axis=1, keepdims=True)).sum(axis=0)) for atom, arm in arms.items()}
    if any(
        numbers[atom] in FOURFOLD and (_lacks_neighbour(atom, bonded, positions) or (len(arm) == 3 and bent[atom] > PYRAMIDAL))
        for atom, arm in arms.items()
    ):
        return False
    return any(
        (numbers[atom] not in MOST_BONDS and numbers[atom] not in FOURFOLD)  # a metal
        or len(arm) > MOST_BONDS.get(numbers[atom], 4)
        or (numbers[atom] in ENDS and len(arm) == 1)
        or (numbers[atom] == 7 and len(arm) == 3 and bent[atom] < PYRAMIDAL)
        for atom, arm in arms.items()
    )


def _arms(atom: int, bonded: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The vectors from an atom to those bound to it, [n, 3]."""
    ends = bonded[np.any(bonded == atom, axis=1)]
    return positions[ends[ends != atom]] - positions[atom]


def _lacks_neighbour(atom: int, bonded: np.ndarray, positions: np.ndarray) -> bool:
    """Whether a carbon atom has one neighbour that is no triple bond away, or two that are not opposite to each other."""
    arms = _arms(atom, bonded, positions)
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
        f"farthest ({IMAGES})"
    )


def _spacing_complaint(positions: np.ndarray, mm_positions: np.ndarray) -> str | None:
    """MM particles in another unit, thinned out, or in several places, told by the distances between them."""
    n_mm = len(mm_positions)
    tree = cKDTree(mm_positions, balanced_tree=False, compact_nodes=False)
    sample = mm_positions[np.linspace(0, n_mm - 1, min(SAMPLE, n_mm)).astype(int)]
    distances = tree.query(sample, k=11)[0]
    (low, nearest, high), tenth = np.quantile(distances[:, 1], [0.25, 0.5, 0.75]), np.median(distances[:, 10])
    units = "nm" if tenth < 1.0 else "bohr" if 1.7 < low <= high < 2.1 and 2.5 * nearest < tenth < 5.0 * nearest else None
    if units:
        return f"half of the MM particles are within {nearest:.3g} angstrom of another (they look like {units}; give angstrom)"
    ball = (n_mm / DENSITY * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    reach = float(np.quantile(np.linalg.norm(mm_positions - positions.mean(axis=0), axis=1), 0.95)) / ball
    if n_mm >= MANY and reach > WIDER and nearest < 1.2 and tenth > TENTH:
        return f"the {n_mm} MM particles are spread more thinly than molecules next to each other ({IMAGES})"
    apart = _apart(mm_positions, 0.9 * tenth) if reach > WIDE else np.zeros(0, dtype=int)
    if len(apart) < max(0.05 * n_mm, 6):
        return None
    return f"{len(apart)} of the {n_mm} MM particles, such as {apart[0]}, are apart from the others ({IMAGES})"


def _apart(points: np.ndarray, edge: float) -> np.ndarray:
    """The numbers of the points that are not in the largest heap; heaps are of cubes of a given edge that hold points and touch."""
    cubes, of_point = np.unique(np.floor(points / edge), axis=0, return_inverse=True)
    heap = _components(cKDTree(cubes).query_pairs(1.5, p=np.inf, output_type="ndarray"), len(cubes))[of_point.ravel()]
    return np.flatnonzero(heap != np.bincount(heap).argmax())
