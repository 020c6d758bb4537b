"""Low-lying minima of water clusters: basin hopping on the flexible, polarizable water of AMOEBA, and reading of files of minima.

Basin hopping (Wales and Doye 1997) walks from minimum to minimum: move, minimize, accept by the Metropolis rule. AMOEBA (Ren and Ponder
2003, here with the parameters that OpenMM ships as ``amoeba2018.xml``) is polarizable, as the field of the surroundings of a real
water molecule is, and its molecules are flexible, so that no two molecules of a data set are alike; a minimization takes OpenMM 0.03 s at
n = 10 and 0.15 s at n = 20.
"""

import functools
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.errors import DataFileError, EngineError
from datasets.water_dimer import monomer_positions

WINDOW = 5.0 * units.KCAL_PER_MOL
"""Minima up to this far above the lowest are kept (paper, A.4), kJ/mol."""

HYDROGEN_BOND = 3.5
"""Molecules with oxygen atoms closer than this are neighbours, angstrom; a cluster is one connected piece."""

BOND_LENGTHS, MINIMUM_CONTACT = (0.8, 1.3), 1.3
"""Of intact water: O-H bonds, and the shortest distance of atoms of two molecules, angstrom."""

TEMPERATURE = 4.0
"""k T of the Metropolis rule, kJ/mol."""

SAME_ENERGY, SAME_DISTANCES = 0.05, 0.1
"""Two minima are one where the energies (kJ/mol) and all sorted O-O distances (angstrom) agree this far."""

_COARSE, _FINE = 5.0, 0.5  # root mean square force at which a minimization ends, kJ/mol/nm
_COUNT = re.compile(r"^\s*\d+\s*$")


@dataclass(frozen=True)
class Minima:
    """Minima of clusters of one size.

    Attributes:
        positions: [n_minima, n_molecules, 3, 3], angstrom; atoms O, H, H.
        energies: [n_minima], kJ/mol, rising.
    """

    positions: np.ndarray
    energies: np.ndarray

    def __len__(self) -> int:
        return len(self.energies)


@functools.cache
def _openmm_with_amoeba() -> tuple:
    """The modules of OpenMM and the force field, whose file takes seconds to read."""
    try:
        import openmm
        from openmm import app, unit
    except ImportError as error:
        raise EngineError("OpenMM is not installed; install it with: pip install 'amp_tf[reference]'") from error
    return openmm, app, unit, app.ForceField("amoeba2018.xml")


@functools.cache
def amoeba_water(n_molecules: int) -> "AmoebaWater":
    """The :class:`AmoebaWater` of a size, made once in a process: that takes OpenMM seconds."""
    return AmoebaWater(n_molecules)


class AmoebaWater:
    """Energy minimization of (H2O)n on one thread of OpenMM's Reference platform, the fastest for this few atoms.

    Raises:
        EngineError: if OpenMM is not installed.
    """

    def __init__(self, n_molecules: int):
        openmm, app, unit, force_field = _openmm_with_amoeba()
        topology = app.Topology()
        chain = topology.addChain()
        for _ in range(n_molecules):
            residue = topology.addResidue("HOH", chain)
            oxygen, *hydrogens = (topology.addAtom(name, app.element.get_by_symbol(name[0]), residue) for name in ("O", "H1", "H2"))
            for hydrogen in hydrogens:
                topology.addBond(oxygen, hydrogen)
        system = force_field.createSystem(topology, nonbondedMethod=app.NoCutoff, polarization="mutual", mutualInducedTargetEpsilon=1e-5)
        self._minimizer, self._unit, self._lock = openmm.LocalEnergyMinimizer, unit, threading.Lock()
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))

    def minimize(self, positions: np.ndarray, tolerance: float = _COARSE) -> tuple[np.ndarray, float]:
        """The minimum downhill of ``positions`` [n, 3, 3] (angstrom) and its energy (kJ/mol)."""
        with self._lock:
            return self._minimize(positions, tolerance)

    def _minimize(self, positions: np.ndarray, tolerance: float) -> tuple[np.ndarray, float]:
        self._context.setPositions(positions.reshape(-1, 3) * self._unit.angstrom)
        self._minimizer.minimize(self._context, tolerance)
        state = self._context.getState(positions=True, energy=True)
        found = state.getPositions(asNumpy=True).value_in_unit(self._unit.angstrom)
        return found.reshape(positions.shape), state.getPotentialEnergy().value_in_unit(self._unit.kilojoule_per_mole)


def search_record() -> dict[str, object]:
    """What decides, beside its arguments, where a walk goes."""
    openmm, *_ = _openmm_with_amoeba()
    return {
        "openmm": openmm.__version__,
        "window": WINDOW,
        "temperature": TEMPERATURE,
        "hydrogen_bond": HYDROGEN_BOND,
        "same": [SAME_ENERGY, SAME_DISTANCES],
        "force_tolerances": [_COARSE, _FINE],
    }


def walk(start: np.ndarray, n_hops: int, seed: int | Sequence[int]) -> Minima:
    """A basin-hopping walk: the distinct connected minima within the window above the lowest minimum of the walk.

    Args:
        start: [n_molecules, 3, 3], angstrom; need not be a minimum.
        n_hops: minimizations.
        seed: of the moves, as :func:`numpy.random.default_rng` takes it.
    """
    random, water = np.random.default_rng(seed), amoeba_water(len(start))
    current, energy = water.minimize(start)
    visited = [(current, energy)] if is_connected(current) and is_water(current) else []
    for _ in range(n_hops):
        candidate, candidate_energy = water.minimize(_moved(current, random))
        if not (is_connected(candidate) and is_water(candidate)):
            continue
        visited.append((candidate, candidate_energy))
        if candidate_energy < energy or random.random() < np.exp((energy - candidate_energy) / TEMPERATURE):
            current, energy = candidate, candidate_energy
    coarse = distinct(visited)
    return distinct([water.minimize(positions, _FINE) for positions in coarse.positions])


def distinct(found: Sequence[tuple[np.ndarray, float]]) -> Minima:
    """The distinct minima within :data:`WINDOW` of the lowest of ``found`` (positions, energy), by rising energy."""
    kept: list[tuple[np.ndarray, float, np.ndarray]] = []
    ranked = sorted(found, key=lambda minimum: minimum[1])
    for positions, energy in ranked:
        if energy > ranked[0][1] + WINDOW:
            break
        distances = np.sort(pdist(positions[:, 0]))
        near = (other for other in reversed(kept) if energy - other[1] < SAME_ENERGY)
        if all(np.max(np.abs(distances - other[2])) > SAME_DISTANCES for other in near):
            kept.append((positions, energy, distances))
    return Minima(np.array([positions for positions, *_ in kept]), np.array([energy for _, energy, _ in kept]))


def is_water(positions: np.ndarray) -> bool:
    """Whether a cluster [n, 3, 3] is made of whole molecules that do not touch."""
    bonds = np.linalg.norm(positions[:, 1:] - positions[:, :1], axis=-1)
    contacts = np.linalg.norm(positions.reshape(-1, 1, 3) - positions.reshape(1, -1, 3), axis=-1)
    molecule = np.repeat(np.arange(len(positions)), 3)
    apart = contacts[molecule[:, None] != molecule[None]]
    return bool(np.all((bonds > BOND_LENGTHS[0]) & (bonds < BOND_LENGTHS[1])) and np.all(apart > MINIMUM_CONTACT))


def is_connected(positions: np.ndarray) -> bool:
    """Whether hydrogen bonds hold all molecules of a cluster [n, 3, 3] together."""
    oxygens = positions[:, 0]
    bonded = np.linalg.norm(oxygens[:, None] - oxygens[None], axis=-1) < HYDROGEN_BOND
    reached = bonded[0]
    for _ in range(len(oxygens)):
        reached = bonded[reached].any(axis=0)
    return bool(reached.all())


def with_molecule_added(positions: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A cluster with one more molecule, turned at random, at a random place on its surface."""
    molecule = monomer_positions() @ Rotation.random(None, random).as_matrix().T
    return np.concatenate([positions, [molecule + _place_on_surface(positions[:, 0], random)]])


def _moved(positions: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One of three moves: shake all molecules; turn a few anywhere (the hydrogen bonds); put one elsewhere on the surface."""
    n_molecules, kind = len(positions), random.integers(3)
    oxygens = positions[:, :1]
    if kind == 0:
        turns = Rotation.from_rotvec(random.normal(scale=0.4, size=(n_molecules, 3))).as_matrix()
        shifts = random.normal(scale=0.35, size=(n_molecules, 1, 3))
        return oxygens + shifts + np.einsum("nij,naj->nai", turns, positions - oxygens)
    moved = positions.copy()
    if kind == 1:
        for molecule in random.choice(n_molecules, size=random.integers(1, min(4, n_molecules + 1)), replace=False):
            turn = Rotation.random(None, random).as_matrix()
            moved[molecule] = oxygens[molecule] + (positions[molecule] - oxygens[molecule]) @ turn.T
        return moved
    n_near = np.sum(np.linalg.norm(oxygens - oxygens[:, 0], axis=-1) < HYDROGEN_BOND, axis=1)
    order = random.permutation(n_molecules)
    loose = order[np.argmin(n_near[order])]
    return with_molecule_added(np.delete(positions, loose, axis=0), random)


def _place_on_surface(oxygens: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A point 2.8 angstrom from one oxygen atom and at least 2.5 from all: drawn until it fits."""
    while True:
        direction = random.normal(size=3)
        point = oxygens[random.integers(len(oxygens))] + 2.8 * direction / np.linalg.norm(direction)
        if np.min(np.linalg.norm(oxygens - point, axis=1)) > 2.5:
            return point


def read_minima(folder: Path, sizes: Sequence[int], skip_broken: bool = False) -> dict[int, Minima]:
    """Minima of the given sizes from the xyz files of a folder: many frames a file, energy in kcal/mol as the last word of line 2 (the
    form of the database of Rakshit et al. 2019). Atoms may stand in any order; each hydrogen atom belongs to the nearest oxygen atom.

    Args:
        folder: with ``*.xyz``.
        sizes: numbers of molecules to keep; a size without a file is left out.
        skip_broken: warn of broken frames and go on; otherwise the first one ends the reading.

    Raises:
        DataFileError: if there is no file, no cluster of these sizes, or a broken frame; names file and frame.
    """
    files = sorted(folder.glob("*.xyz"))
    if not files:
        raise DataFileError(f"{folder}: no xyz files; give the folder that holds them.")
    found: dict[int, list[tuple[np.ndarray, float]]] = {}
    for path in files:
        for number, lines in enumerate(_split_frames(path.read_text(errors="replace").splitlines())):
            try:
                positions, energy = _read_frame(lines)
            except (ValueError, IndexError) as error:
                message = f"{path}, frame {number + 1}: broken ({error})"
                if not skip_broken:
                    raise DataFileError(f"{message}; correct it, or leave out broken frames with --skip-broken.") from error
                warnings.warn(f"{message}; left out.", stacklevel=2)
                continue
            if len(positions) in sizes:
                found.setdefault(len(positions), []).append((positions, energy))
    if not found:
        raise DataFileError(f"{folder}: no cluster of {', '.join(map(str, sizes))} molecules; choose other sizes or another folder.")
    if missing := sorted(set(sizes) - set(found)):
        warnings.warn(f"{folder}: no cluster of {', '.join(map(str, missing))} molecules; these sizes are left out.", stacklevel=2)
    return {size: distinct(found[size]) for size in sorted(found)}


def _split_frames(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """The lines of each frame: count, comment, as many atoms; what does not begin with a count reaches to the next count."""
    counts = [number for number, line in enumerate(lines) if _COUNT.match(line)] + [len(lines)]
    start = 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        following = next(number for number in counts if number > start + 1 or number == len(lines))
        announced = start + 2 + int(lines[start]) if _COUNT.match(lines[start]) else len(lines)
        end = min(following, announced)
        yield lines[start:end]
        start = end


def _molecules(symbols: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[n, 3, 3]: each oxygen atom with its two nearest hydrogen atoms, whatever the order of the file."""
    oxygens, hydrogens = positions[symbols == "O"], positions[symbols == "H"]
    if len(oxygens) + len(hydrogens) != len(symbols) or len(hydrogens) != 2 * len(oxygens):
        raise ValueError("the atoms are not those of water molecules")
    owner = np.argmin(np.linalg.norm(hydrogens[:, None] - oxygens[None], axis=-1), axis=1)
    if np.any(np.bincount(owner, minlength=len(oxygens)) != 2):
        raise ValueError("an oxygen atom does not have two hydrogen atoms")
    pairs = hydrogens[np.argsort(owner, kind="stable")].reshape(-1, 2, 3)
    return np.concatenate([oxygens[:, None], pairs], axis=1)


def _read_frame(lines: Sequence[str]) -> tuple[np.ndarray, float]:
    """Positions [n, 3, 3] (angstrom) and energy (kJ/mol) of one frame."""
    if not _COUNT.match(lines[0]):
        raise ValueError(f"it begins with {lines[0].strip()!r}, not with the number of atoms")
    n_atoms = int(lines[0])
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(rows) != n_atoms or n_atoms == 0:
        raise ValueError(f"{n_atoms} atoms are announced, {len(rows)} are there")
    if any(len(row) < 4 for row in rows):
        raise ValueError("an atom has fewer than three coordinates")
    positions, energy = np.array([[float(value) for value in row[1:4]] for row in rows]), float(lines[1].split()[-1]) * units.KCAL_PER_MOL
    if not np.all(np.isfinite(positions)) or not np.isfinite(energy):
        raise ValueError("a position or the energy is NaN or infinite")
    positions = _molecules(np.array([row[0].upper() for row in rows]), positions)
    if not is_water(positions):
        raise ValueError(
            f"an O-H bond is not {BOND_LENGTHS[0]} to {BOND_LENGTHS[1]} angstrom long, or two molecules touch (within {MINIMUM_CONTACT})"
        )
    return positions, energy
