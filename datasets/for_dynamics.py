"""Frames beyond those of dynamics at room temperature, so that a potential has walls: hot, stretched, in normal modes, in other fields.

Each kind is made from the snapshots of a trajectory (:mod:`datasets.qmmm_sampling`) by a rule of its own and has its share, recorded.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_masses, covalent_radii
from scipy.constants import speed_of_light
from scipy.linalg import eigh
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.progress import progress_bar
from amp_tf.simulation.solutes import Solute, bonds
from datasets.engines import Calculation, EmbeddingEngine
from datasets.parts import Parts
from datasets.qmmm_sampling import Trajectory

SHARES = {"hot": 0.3, "stretched": 0.3, "normal modes": 0.15, "gas": 0.1, "scaled charges": 0.15}
"""Frames of each kind, as parts of the number of snapshots."""

TEMPERATURES = (300.0, 1000.0)
"""Of hot frames and of normal modes, drawn uniformly, K."""

HYDROGEN_STRETCH, HEAVY_STRETCH = (0.66, 2.6), (0.8, 1.6)
"""Lengths of stretched bonds, as parts of the sum of the covalent radii: of those to hydrogen and of others, drawn uniformly."""

CONE = 30.0
"""A hydrogen atom that is moved away may leave the direction of its bond by up to so much, degrees."""

SOFTEST_MODE = 150.0
"""Modes below this are torsions of large amplitude, for which straight displacements are no model, 1/cm."""

CHARGE_FACTORS = (0.0, 1.5)
"""On the charges around, drawn uniformly."""

CLASH = 1.2
"""Where an atom would come closer to a water molecule, that molecule is left out, angstrom."""

HIGHEST_ENERGY = 1000.0
"""Distorted frames whose molecule alone is this far above those of all snapshots are left out, kJ/mol: no potential is made for these."""

_WAVENUMBER = 1e13 / (2.0 * np.pi * 100.0 * speed_of_light)
"""1/cm of a mode by the square root of its force constant in kJ/mol/(angstrom² dalton), which is 1e26/s²."""

_STEP = 0.01
"""Of the second derivatives, angstrom."""


@dataclass(frozen=True)
class NormalModes:
    """Vibrations of an isolated molecule about a minimum.

    Attributes:
        displacements: of each mode at 1 kJ/mol of potential energy, [n_modes, n_atoms, 3], angstrom.
        wavenumbers: [n_modes], 1/cm.
    """

    displacements: np.ndarray
    wavenumbers: np.ndarray

    def sample(self, temperature: float, random: np.random.Generator) -> np.ndarray:
        """Displacements [n_atoms, 3], angstrom, of classical vibrations at a temperature, K."""
        thermal = np.sqrt(0.5 * units.GAS_CONSTANT * temperature)  # root of the mean potential energy of a mode
        return np.tensordot(random.normal(scale=thermal, size=len(self.displacements)), self.displacements, axes=1)


def normal_modes(solute: Solute, engine: EmbeddingEngine, parts: Parts) -> NormalModes:
    """The modes of a relaxed molecule above :data:`SOFTEST_MODE`, by central differences of an engine's gradients, kept in ``parts``."""
    if "hessian" not in parts:
        n = solute.positions.size
        hessian = np.empty((n, n))
        for coordinate in progress_bar(range(n), desc="normal modes", unit="coordinate"):
            ends = []
            for sign in (1.0, -1.0):
                positions = solute.positions.copy()
                positions.flat[coordinate] += sign * _STEP
                ends.append(engine.embedded(Calculation(solute.atomic_numbers, positions, charge=solute.charge)).qm_gradients.ravel())
            hessian[coordinate] = (ends[0] - ends[1]) / (2.0 * _STEP)
        parts["hessian"] = {"hessian": 0.5 * (hessian + hessian.T)}
    hessian = parts["hessian"]["hessian"]
    roots = np.sqrt(np.repeat(atomic_masses[solute.atomic_numbers], 3))
    constants, vectors = eigh(hessian / np.outer(roots, roots))
    wavenumbers = _WAVENUMBER * np.sqrt(np.maximum(constants, 0.0))
    stiff = wavenumbers > SOFTEST_MODE
    displacements = (vectors[:, stiff] * np.sqrt(2.0 / constants[stiff])).T / roots
    return NormalModes(displacements.reshape(-1, *solute.positions.shape), wavenumbers[stiff])


def frames_for_dynamics(trajectory: Trajectory, engine: EmbeddingEngine) -> Iterator[tuple[str, str, Calculation]]:
    """Kind, name and calculation of each frame; a trajectory that has run is the source.

    Args:
        trajectory: of the solute, whose snapshots are distorted, and which heats the solute for the hot ones.
        engine: of the normal modes.
    """
    solute, n_frames = trajectory.solute, trajectory.sampling.n_frames
    numbers = {kind: round(share * n_frames) for kind, share in SHARES.items()}
    if not _open_bonds(bonds(solute.atomic_numbers, solute.positions)):
        numbers["stretched"] = 0
    modes = normal_modes(solute, engine, trajectory.parts) if numbers["normal modes"] else None
    random = np.random.default_rng([trajectory.sampling.seed, 77])
    hot = list(trajectory.hot_calculations(numbers["hot"], TEMPERATURES))
    snapshots = list(trajectory.calculations().values())
    pool = snapshots + hot

    def pick() -> Calculation:
        return pool[random.integers(len(pool))]

    def vibrating() -> Calculation:
        around = snapshots[random.integers(len(snapshots))]
        displaced = solute.positions + modes.sample(random.uniform(*TEMPERATURES), random)
        placed = _placed_on(displaced, around.positions)
        return without_clashes(replace(around, positions=placed)) if random.random() < 0.5 else in_gas(replace(around, positions=placed))

    makers: dict[str, Callable[[], Calculation]] = {
        "stretched": lambda: stretched(pick(), solute, random),
        "normal modes": vibrating,
        "gas": lambda: in_gas(pick()),
        "scaled charges": lambda: _scaled(pick(), random.uniform(*CHARGE_FACTORS)),
    }
    named = [("hot", calculation) for calculation in hot]
    named += [(kind, make()) for kind, make in makers.items() for _ in range(numbers[kind])]
    counts = dict.fromkeys(SHARES, 0)
    for kind, calculation in named:
        digest = hashlib.sha256(calculation.positions.tobytes())
        digest.update(calculation.mm_positions.tobytes() + calculation.mm_charges.tobytes())
        yield kind, f"{kind.replace(' ', '_')}{counts[kind]:06d}_{digest.hexdigest()[:12]}", calculation
        counts[kind] += 1


def stretched(calculation: Calculation, solute: Solute, random: np.random.Generator) -> Calculation:
    """One bond of a frame, chosen at random among those that are in no ring, at another length; half of the frames in gas.

    The smaller side of the bond is moved as a whole; a hydrogen atom may leave the direction of its bond too.
    """
    numbers, positions = calculation.atomic_numbers, calculation.positions.copy()
    bonded = bonds(solute.atomic_numbers, solute.positions)
    open_bonds = _open_bonds(bonded)
    first, moving = open_bonds[random.integers(len(open_bonds))]
    atom = moving[0]
    is_hydrogen = 1 in numbers[[first, atom]]
    span = HYDROGEN_STRETCH if is_hydrogen else HEAVY_STRETCH
    length = random.uniform(*span) * covalent_radii[numbers[[first, atom]]].sum()
    direction = positions[atom] - positions[first]
    direction /= np.linalg.norm(direction)
    if is_hydrogen and random.random() < 0.5:
        axis = np.cross(direction, random.normal(size=3))
        direction = Rotation.from_rotvec(np.radians(random.uniform(0.0, CONE)) * axis / np.linalg.norm(axis)).apply(direction)
    positions[moving] += positions[first] + length * direction - positions[atom]
    moved = replace(calculation, positions=positions)
    return without_clashes(moved) if random.random() < 0.5 else in_gas(moved)


def _open_bonds(bonded: np.ndarray) -> list[tuple[int, list[int]]]:
    """Of each bond in no ring: the atom that stays, and those of the smaller side, that of the bond first."""
    found = []
    for ends in np.argwhere(np.triu(bonded)):
        cut = bonded.copy()
        cut[tuple(ends)] = cut[tuple(ends[::-1])] = False
        piece = connected_components(cut, directed=False)[1]
        if piece[ends[0]] != piece[ends[1]]:
            sides = [np.flatnonzero(piece == piece[end]) for end in ends]
            moves = int(len(sides[1]) <= len(sides[0]))
            rest = sides[moves][sides[moves] != ends[moves]]
            found.append((int(ends[1 - moves]), [int(ends[moves]), *rest.tolist()]))
    return found


def in_gas(calculation: Calculation) -> Calculation:
    """The frame without its surroundings."""
    return replace(calculation, mm_positions=np.zeros((0, 3)), mm_charges=np.zeros(0))


def without_clashes(calculation: Calculation) -> Calculation:
    """The frame without the water molecules, three particles each, that an atom has come too close to."""
    distances = cKDTree(calculation.positions).query(calculation.mm_positions, distance_upper_bound=CLASH)[0]
    clear = np.repeat(~np.isfinite(distances).reshape(-1, 3).any(axis=1), 3)
    return replace(calculation, mm_positions=calculation.mm_positions[clear], mm_charges=calculation.mm_charges[clear])


def _scaled(calculation: Calculation, factor: float) -> Calculation:
    return replace(calculation, mm_charges=factor * calculation.mm_charges)


def _placed_on(positions: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``positions`` turned and shifted as a whole onto ``target`` as well as they fit."""
    middle = target.mean(axis=0)
    turn, _ = Rotation.align_vectors(target - middle, positions - positions.mean(axis=0))
    return turn.apply(positions - positions.mean(axis=0)) + middle
