"""Calculators that are right, or wrong in one way."""

import numpy as np
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.data import covalent_radii

from amp_tf.physics.subject import Molecule

DEPTH = 0.3
"""Of each pair, eV."""


def gradient(energy, positions, step=1e-4):
    """By central differences, of an energy that takes positions [..., n_atoms, 3]."""
    shifts = step * np.eye(positions.size).reshape(-1, *positions.shape)
    return ((energy(positions + shifts) - energy(positions - shifts)) / (2.0 * step)).reshape(positions.shape)


class Smooth(Calculator):
    """A Lennard-Jones potential with the sums of covalent radii as distances: it obeys physics, and is no chemistry."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        numbers, positions = self.atoms.numbers, self.atoms.positions
        vectors = positions[:, None] - positions[None]
        distances = np.linalg.norm(vectors, axis=-1) + np.eye(len(numbers))
        pairs = 1.0 - np.eye(len(numbers))
        radii = covalent_radii[numbers]
        power = ((radii[:, None] + radii[None]) / distances) ** 6
        energy = 0.5 * np.sum(DEPTH * (power**2 - 2.0 * power) * pairs)
        strengths = 12.0 * DEPTH * (power**2 - power) / distances**2 * pairs
        forces = np.sum(strengths[:, :, None] * vectors, axis=1)
        energy, forces = self.changed(energy, forces, numbers, positions)
        self.results = {"energy": energy, "forces": forces}

    def changed(self, energy, forces, numbers, positions):
        """What a toy does to it."""
        return energy, forces


class WithTerm(Smooth):
    """With a further energy, and its gradient."""

    def changed(self, energy, forces, numbers, positions):
        return energy + self.term(numbers, positions), forces - gradient(lambda moved: self.term(numbers, moved), positions)

    def term(self, numbers, positions):
        raise NotImplementedError


def vectors_of(positions):
    vectors = positions[..., :, None, :] - positions[..., None, :, :]
    return vectors, np.linalg.norm(vectors, axis=-1) + np.eye(positions.shape[-2])


class WaterOfCharges(WithTerm):
    """Coulomb's law between the atoms of water alone, 1 e on each hydrogen: physics, which is told far away."""

    def term(self, numbers, positions):
        if not np.isin(numbers, (1, 8)).all():
            raise ValueError("water alone")
        charges = np.where(numbers == 8, -2.0, 1.0)
        products = np.outer(charges, charges) * (1.0 - np.eye(len(numbers)))
        return 0.5 * units.Hartree * units.Bohr * np.sum(products / vectors_of(positions)[1], axis=(-2, -1))


class PrefersAnOrientation(Smooth):
    """Some meV by the direction of bonds; forces do not know, as those of a model that subtracts the net torque."""

    def changed(self, energy, forces, numbers, positions):
        vectors, distances = vectors_of(positions)
        cosines = vectors @ (np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)) / distances
        return energy + 0.002 * np.sum(np.exp(-(distances**2) / 4.0) * cosines**2), forces


class ForcesOfNoEnergy(Smooth):
    """Central forces between pairs, whose strength depends on further neighbours, as if that cost nothing."""

    strength = 0.5

    def changed(self, energy, forces, numbers, positions):
        vectors, distances = vectors_of(positions)
        off = 1.0 - np.eye(len(numbers))
        near, bonded = np.exp(-(distances**2) / 9.0) * off, np.exp(-((distances - 1.3) ** 2) / 0.2) * off
        crowded = bonded.sum(axis=1)
        strengths = self.strength * near * (crowded[:, None] + crowded[None])
        return energy, forces + np.sum(strengths[:, :, None] * vectors, axis=1)


class WeakForcesOfNoEnergy(ForcesOfNoEnergy):
    """Under which a molecule does not fall apart."""

    strength = 0.05


class Handed(WithTerm):
    """A pseudoscalar of each atom's surroundings."""

    def term(self, numbers, positions):
        vectors, distances = vectors_of(positions)
        off = 1.0 - np.eye(len(numbers))
        weights = [np.exp(-distances / length) * off * numbers[None] ** power for length, power in ((0.8, 0), (1.5, 1), (0.5, 0))]
        first, second, third = (np.einsum("...ij,...ijx->...ix", weight, vectors) for weight in weights)
        return 0.02 * np.sum(np.tanh(np.sum(np.cross(first, second) * third, axis=-1)), axis=-1)


class CountsAtoms(WithTerm):
    """By their number in the list."""

    def term(self, numbers, positions):
        crowded = np.exp(-(vectors_of(positions)[1] ** 2) / 4.0).sum(axis=-1)
        return 1e-3 * crowded @ np.arange(len(numbers))


class ConstantPerSystem(Smooth):
    def changed(self, energy, forces, numbers, positions):
        return energy + 0.5, forces


class AbruptCutoff(Smooth):
    """Oxygens attract each other up to five angstrom, where that ends."""

    def changed(self, energy, forces, numbers, positions):
        vectors, distances = vectors_of(positions)
        of_oxygen = np.outer(numbers == 8, numbers == 8) & (distances < 5.0) & ~np.eye(len(numbers), dtype=bool)
        strengths = -2.0 * 0.1 / distances**4 * of_oxygen
        return energy - 0.5 * np.sum(0.1 / distances**2 * of_oxygen), forces + np.sum(strengths[:, :, None] * vectors, axis=1)


class Hole(WithTerm):
    """The repulsion ends where atoms are closer than three quarters of a bond."""

    def term(self, numbers, positions):
        _, distances = vectors_of(positions)
        radii = covalent_radii[numbers]
        ratio = distances / (radii[:, None] + radii[None])
        power = ratio**-6.0
        pairs = DEPTH * (power**2 - 2.0 * power)
        x = np.clip((0.78 - ratio) / 0.1, 0.0, 1.0)
        return -0.5 * np.sum(pairs * x**3 * (10.0 - 15.0 * x + 6.0 * x**2) * (1.0 - np.eye(len(numbers))), axis=(-2, -1))


class Rounded(Smooth):
    """Single precision of a large total energy."""

    def changed(self, energy, forces, numbers, positions):
        return np.float32(energy - 1e4 * len(numbers)), forces.astype(np.float32)


class RoundedPositions(Smooth):
    """Positions have single precision, whose digits are fewer far from the origin."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        rounded = atoms.copy()
        rounded.positions = atoms.positions.astype(np.float32)
        super().calculate(rounded, properties, system_changes)


class RoughFarOut(Smooth):
    """Forces have noise where a molecule is far from a tetrahedron: a steep surface far from all data."""

    def changed(self, energy, forces, numbers, positions):
        edges = vectors_of(positions)[1][np.triu_indices(len(numbers), 1)]
        noise = 0.01 * np.sin(1e8 * positions)
        return energy, forces + noise * (len(numbers) == 4 and np.ptp(edges) > 0.35)


class RoundedBehindAFloat(Smooth):
    """The same, made double again before it is given."""

    def changed(self, energy, forces, numbers, positions):
        return float(np.float32(energy - 1e4 * len(numbers))), forces


class ChargesOfAtoms(Smooth):
    """Takes the total charge from those of the atoms."""

    def changed(self, energy, forces, numbers, positions):
        return energy + 3.0 * self.atoms.get_initial_charges().sum(), forces


class OneForce(Smooth):
    def changed(self, energy, forces, numbers, positions):
        return energy, forces[:1]


class NothingInside(Smooth):
    """Whose atoms fall into each other from the bond inward: the only minimum is the hole."""

    def changed(self, energy, forces, numbers, positions):
        _, distances = vectors_of(positions)
        radii = covalent_radii[numbers]
        ratio = distances / (radii[:, None] + radii[None])
        inside = (1.0 - np.eye(len(numbers))) * np.exp(-((ratio / 0.6) ** 2))
        return min(energy, 5.0) - 8.0 * np.sum(inside), forces


class LosesCrowdedPoints(Smooth):
    """Gives no number where atoms are closer than 0.9 of a bond."""

    def changed(self, energy, forces, numbers, positions):
        _, distances = vectors_of(positions)
        radii = covalent_radii[numbers]
        ratio = (distances / (radii[:, None] + radii[None]) + np.eye(len(numbers))).min()
        return energy if ratio > 0.9 else np.nan, forces


class StaleCache(Smooth):
    """Knows the charge, but keeps results by positions alone."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def changed(self, energy, forces, numbers, positions):
        key = positions.tobytes() + numbers.tobytes()  # the charge is forgotten
        return self.kept.setdefault(key, (energy + 3.0 * self.atoms.info.get("charge", 0), forces))


class KeepsResults(Smooth):
    """Knows the charge, but tells ASE of no change where nothing else changes."""

    def changed(self, energy, forces, numbers, positions):
        return energy + 3.0 * self.atoms.info.get("charge", 0), forces


class RaisesFarAway(Smooth):
    def changed(self, energy, forces, numbers, positions):
        if np.abs(positions).max() > 20.0:
            raise ValueError("the box is too small")
        return energy, forces


class RaisesWhereCrowded(Smooth):
    def changed(self, energy, forces, numbers, positions):
        if vectors_of(positions)[1].min() < 0.4:
            raise ValueError("no SCF convergence")
        return energy, forces


class RaisesAlways(Smooth):
    def changed(self, energy, forces, numbers, positions):
        raise ValueError("no weights for these elements")


class NoForces(Calculator):
    implemented_properties = ("energy",)


def tetrahedron() -> Molecule:
    """Four carbons, at a minimum of :class:`Smooth` or close to it."""
    corners = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    return Molecule("tetrahedron", np.array([6] * 4), corners * 1.52 / np.sqrt(8.0), is_own=True)


def embedded(
    molecule: Molecule, places: np.ndarray, charges: np.ndarray, until: float = np.inf, lost: bool = False
) -> tuple[float, np.ndarray, np.ndarray]:
    """What charges add, by their squares and 1/r, which ends abruptly ``until`` angstrom from all atoms: energy and forces on atoms and
    charges; no numbers near 6 angstrom where points are ``lost``."""
    vectors = places[:, None] - molecule.positions
    distances = np.linalg.norm(vectors, axis=-1, keepdims=True)
    strengths = 10.0 * charges[:, None, None] ** 2 * (distances.min(axis=1, keepdims=True) < until)
    on_charges = strengths * vectors / distances**3
    energy = np.nan if lost and abs(distances.min() - 6.0) < 0.1 else np.sum(strengths / distances)
    return energy, -on_charges.sum(axis=0), on_charges.sum(axis=1)
