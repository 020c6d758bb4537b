"""The molecules that tests look at, and how their geometries are made."""

from importlib import resources
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule as from_g2
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from amp_tf.errors import DataFileError, InputError
from amp_tf.geometry import are_bonded
from amp_tf.physics.subject import Molecule

PROBES = {"water": "H2O", "methanol": "CH3OH", "acetamide": "CH3CONH2", "pyrrole": "C4H4NH"}
"""Names in ASE's collection of molecules (G2)."""

RATTLE = 0.1
"""Standard deviation of each coordinate of a probe, angstrom: no symmetry is left in which errors would cancel."""


def probes(seed: int) -> list[Molecule]:
    """Small molecules, rattled so that none of them is planar or symmetric."""
    found = []
    for number, (name, formula) in enumerate(PROBES.items()):
        atoms = from_g2(formula)
        shifts = np.random.default_rng([seed, number]).normal(scale=RATTLE, size=atoms.positions.shape)
        found.append(Molecule(name, atoms.numbers, atoms.positions + shifts))
    return found


def of_collection(formula: str, name: str) -> Molecule:
    """A molecule of ASE's collection as it is."""
    atoms = from_g2(formula)
    return Molecule(name, atoms.numbers, atoms.positions)


def read_molecule(path: Path, charge: int | None = None) -> Molecule:
    """The first frame of a file that ASE reads; its charge is the given one, or that of the file (``charge=...``), or 0.

    Raises:
        DataFileError: if it cannot be read, or is periodic.
    """
    try:
        atoms = ase.io.read(path, index=0)
    except FileNotFoundError as error:
        raise DataFileError(f"{path}: no such file; give a molecule as *.xyz.") from error
    except Exception as error:  # ASE's readers raise all kinds
        raise DataFileError(f"{path}: ASE cannot read a molecule from it ({' '.join(str(error).split())[:150]}).") from error
    if not len(atoms) or np.any(atoms.pbc):
        raise DataFileError(f"{path}: {'it is periodic' if len(atoms) else 'it has no atoms'}; give an isolated molecule.")
    total = _whole(path, "charge", atoms.info.get("charge", 0)) if charge is None else charge
    spin = _whole(path, "spin", atoms.info.get("spin", 1 + (int(atoms.numbers.sum()) - total) % 2))
    return Molecule(Path(path).stem, atoms.numbers, atoms.positions, total, spin, is_own=True)


def _whole(path: Path, key: str, value) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not number == round(number if np.isfinite(number) else 0.5):
        raise DataFileError(f"{path}: its {key}, {value!r}, is no whole number; correct it.")
    return int(number)


def shipped(name: str) -> Molecule:
    """A geometry of ``data/``."""
    text = resources.files("amp_tf.physics").joinpath("data", f"{name}.xyz").read_text()
    atoms = ase.io.read(StringIO(text), format="extxyz")
    return Molecule(name, atoms.numbers, atoms.positions, int(atoms.info.get("charge", 0)), int(atoms.info.get("spin", 1)))


def together(*molecules: Molecule, name: str) -> Molecule:
    """Several as one."""
    return Molecule(
        name, np.concatenate([part.numbers for part in molecules]), np.concatenate([part.positions for part in molecules]),
        sum(part.charge for part in molecules), 1,
    )  # fmt: skip


def atom(symbol: str) -> Molecule:
    """A lone atom in its ground state."""
    spins = {"H": 2, "Li": 2, "B": 2, "C": 3, "N": 4, "O": 3, "F": 2, "Na": 2, "Si": 3, "P": 4, "S": 3, "Cl": 2, "Br": 2, "I": 2}
    return Molecule(symbol, Atoms(symbol).numbers, np.zeros((1, 3)), 0, spins.get(symbol, 1))


def bonds(molecule: Molecule) -> np.ndarray:
    """Whether each two atoms are bonded, [n_atoms, n_atoms], by covalent radii."""
    return are_bonded(molecule.numbers, molecule.positions)


def side_of_bond(molecule: Molecule, first: int, second: int) -> np.ndarray | None:
    """The atoms on the side of ``second``; None where the bond is part of a ring."""
    graph = bonds(molecule)
    graph[first, second] = graph[second, first] = False
    _, part = connected_components(graph, directed=False)
    return None if part[first] == part[second] else np.flatnonzero(part == part[second])


def heavy_bonds(molecule: Molecule, inner: bool = False) -> list[tuple[int, int]]:
    """Bonds between two heavy atoms that are in no ring; ``inner``: whose ends have further neighbours, so that they can turn."""
    graph, heavy = bonds(molecule), molecule.numbers > 1
    found = []
    for first, second in np.argwhere(np.triu(graph)):
        has_neighbours = min(graph[first].sum(), graph[second].sum()) > 1
        if heavy[first] and heavy[second] and (has_neighbours or not inner) and side_of_bond(molecule, first, second) is not None:
            found.append((int(first), int(second)))
    return found


def stretched(molecule: Molecule, first: int, second: int, by: float) -> Molecule:
    """The side of ``second`` moved away along the bond, angstrom, both sides rigid."""
    side = side_of_bond(molecule, first, second)
    if side is None:
        raise InputError(f"{molecule.name}: the bond of atoms {first} and {second} is in a ring.")
    direction = molecule.positions[second] - molecule.positions[first]
    positions = molecule.positions.copy()
    positions[side] += by * direction / np.linalg.norm(direction)
    return molecule.at(positions)


def turned(molecule: Molecule, first: int, second: int, degrees: float) -> Molecule:
    """The side of ``second`` turned about the bond."""
    side = side_of_bond(molecule, first, second)
    if side is None:
        raise InputError(f"{molecule.name}: the bond of atoms {first} and {second} is in a ring.")
    axis = molecule.positions[second] - molecule.positions[first]
    rotation = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis))
    positions = molecule.positions.copy()
    positions[side] = rotation.apply(positions[side] - molecule.positions[second]) + molecule.positions[second]
    return molecule.at(positions)


def bent(molecule: Molecule, first: int, middle: int, last: int, degrees: float) -> Molecule:
    """The side of ``last`` turned in the plane of the three atoms, about the middle one."""
    side = side_of_bond(molecule, middle, last)
    if side is None:
        raise InputError(f"{molecule.name}: the bond of atoms {middle} and {last} is in a ring.")
    towards_first, towards_last = (molecule.positions[end] - molecule.positions[middle] for end in (first, last))
    axis = np.cross(towards_first, towards_last)
    rotation = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis))
    positions = molecule.positions.copy()
    positions[side] = rotation.apply(positions[side] - molecule.positions[middle]) + molecule.positions[middle]
    return molecule.at(positions)


def water(degrees: float, bond: float = 0.9572) -> Molecule:
    """In the xy plane; the angle may pass 180°."""
    half = np.radians(degrees) / 2.0
    ends = bond * np.array([[np.sin(half), np.cos(half), 0.0], [-np.sin(half), np.cos(half), 0.0]])
    return Molecule("water", np.array([8, 1, 1]), np.concatenate([np.zeros((1, 3)), ends]))


def cyclobutadiene(a: float, b: float, bond: float = 1.078) -> Molecule:
    """Planar, sides ``a`` along x and ``b`` along y, each hydrogen outward along the diagonal of a square, angstrom."""
    corners = np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [1.0, -1.0, 0.0]])
    carbons = corners * [0.5 * a, 0.5 * b, 0.0]
    return Molecule("cyclobutadiene", np.array([6] * 4 + [1] * 4), np.concatenate([carbons, carbons + bond * corners / np.sqrt(2.0)]))


def diatomic(symbols: str, distance: float, spin: int = 1) -> Molecule:
    """Along z."""
    return Molecule(symbols, Atoms(symbols).numbers, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]]), 0, spin)
