"""The rotations of a molecule onto itself, for the entropy of its rotation."""

import numpy as np

LINEAR = 1e-4
"""Of the squares of the distances along a line, what those across may be for a molecule to be linear: an atom between two others
1.2 angstrom away is at most 0.02 angstrom off their line."""

TOLERANCE = 0.02
"""How far from an atom a rotated one may stand to be taken for it, angstrom."""


def axis_of_linear(positions: np.ndarray) -> np.ndarray | None:
    """The unit vector [3] along which all atoms [n_atoms, 3] lie, None where they do not."""
    _, lengths, directions = np.linalg.svd(positions - positions.mean(axis=0))
    return directions[0] if np.sum(lengths[1:] ** 2) < LINEAR * lengths[0] ** 2 else None


def straightened(positions: np.ndarray) -> np.ndarray:
    """Positions [n_atoms, 3] of a linear molecule exactly on its axis; those of any other as they are."""
    if len(positions) < 3 or (axis := axis_of_linear(positions)) is None:
        return positions
    center = positions.mean(axis=0)
    return center + np.outer((positions - center) @ axis, axis)


def symmetry_number(numbers: np.ndarray, positions: np.ndarray) -> int:
    """How many rotations bring a molecule onto itself, that by no angle among them.

    A rotation is known by where it brings two atoms that are on no line with the centre: every two of the same elements are tried.

    Args:
        numbers: atomic numbers [n_atoms] of at least two atoms.
        positions: [n_atoms, 3], angstrom.
    """
    places = positions - positions.mean(axis=0)
    if axis_of_linear(positions) is not None:
        return 2 if _is_same(numbers, places, -places) else 1
    first, second = _frame_atoms(places)
    start = _frame(places[first], places[second])
    found = 0
    for a in np.flatnonzero(numbers == numbers[first]):
        for b in np.flatnonzero(numbers == numbers[second]):
            if a != b and np.allclose(places[[a, b]] @ places[[a, b]].T, places[[first, second]] @ places[[first, second]].T, atol=0.2):
                rotation = _frame(places[a], places[b]) @ start.T
                found += _is_same(numbers, places, places @ rotation.T)
    return found


def _frame_atoms(places: np.ndarray) -> tuple[int, int]:
    """The two atoms that span the largest parallelogram with the centre."""
    areas = np.linalg.norm(np.cross(places[:, None], places[None]), axis=-1)
    return np.unravel_index(np.argmax(areas), areas.shape)


def _frame(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Orthonormal columns [3, 3]: along a, in the plane of a and b, and across."""
    along = a / np.linalg.norm(a)
    aside = b - (b @ along) * along
    aside /= np.linalg.norm(aside)
    return np.stack([along, aside, np.cross(along, aside)], axis=1)


def _is_same(numbers: np.ndarray, places: np.ndarray, moved: np.ndarray) -> bool:
    """Whether the moved atoms stand where atoms of the same elements stood."""
    distances = np.linalg.norm(places[:, None] - moved[None], axis=-1)
    distances[numbers[:, None] != numbers[None]] = np.inf
    nearest = np.argmin(distances, axis=0)
    return bool(np.all(distances.min(axis=0) < TOLERANCE) and len(set(nearest)) == len(numbers))
