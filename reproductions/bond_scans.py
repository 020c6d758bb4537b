"""Energies along stretched bonds to hydrogen, of a potential and of the method of its labels: where a potential without walls breaks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixInternals
from ase.optimize import BFGS

from amp_tf import units
from amp_tf.models import Potential
from amp_tf.simulation.solutes import Solute, bonds, lennard_jones
from amp_tf.simulation.water_box import OXYGEN, WATER_CHARGES
from amp_tf.systems import System
from datasets.engines import Calculation, CalculationError, EmbeddingEngine
from datasets.for_dynamics import in_gas, without_clashes

Surface = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Energy (kJ/mol) and gradients [n_atoms, 3] (kJ/mol/angstrom) at positions [n_atoms, 3] (angstrom)."""

WATER_ANGLE = 109.47
"""Of SPC/E water, whose bonds are 1 angstrom long, degrees."""

FORCE_TOLERANCE = 0.05
"""Of the relaxations: the largest force, eV/angstrom."""


@dataclass(frozen=True)
class Scan:
    """One bond.

    Attributes:
        bond: such as ``N5-H10``, atoms counted from 1.
        where: ``"gas"`` or ``"water"``.
        how: ``"rigid"`` or ``"relaxed"``.
        lengths: [n], angstrom.
        potential, label: energies over that at the length where the label is lowest, [n], kJ/mol; nan where a calculation failed.
        unrelaxed: lengths at which a relaxation of either took all of its steps, angstrom.
    """

    bond: str
    where: str
    how: str
    lengths: np.ndarray
    potential: np.ndarray
    label: np.ndarray
    unrelaxed: Sequence[float] = ()


def scans(
    solute: Solute, potential: Potential, engine: EmbeddingEngine, frame: Calculation, lengths: Sequence[float], most_steps: int | None
) -> list[Scan]:
    """Every bond to hydrogen of a relaxed solute, alone and in frozen water, rigid and with all relaxed but the bond and its angle.

    Frozen water has charges and, as in dynamics, Lennard-Jones terms, without which atoms would fall into the charges. The angle stays
    so that a hydrogen atom does not turn to another partner on the way, which a method may find and another miss.

    Args:
        solute: relaxed by the engine.
        potential: whose surface is judged.
        engine: of the labels.
        frame: a snapshot in water; molecules in the way of the stretched bond are left out.
        lengths: of the bond, angstrom.
        most_steps: of each relaxation; None: rigid alone.
    """
    found = []
    for hydrogen, partner in bonds_to_hydrogen(solute):
        name = f"{_symbol(solute, partner)}-{_symbol(solute, hydrogen)}"
        way = np.concatenate([stretched_to(frame.positions, hydrogen, partner, length) for length in lengths])
        clear = without_clashes(replace(frame, positions=way))
        for where, around in {"gas": in_gas(frame), "water": replace(clear, positions=frame.positions)}.items():
            start = solute.positions if where == "gas" else frame.positions
            surfaces = [of_potential(potential, solute, around), _of_engine(engine, solute, around)]
            energies = [_rigid(surface, start, hydrogen, partner, lengths) for surface in surfaces]
            found.append(_scan(name, where, "rigid", lengths, energies))
            if most_steps is not None:
                relaxed = [_relaxed(surface, solute, start, hydrogen, partner, lengths, most_steps) for surface in surfaces]
                unrelaxed = np.array(lengths)[np.any([is_unrelaxed for _, is_unrelaxed in relaxed], axis=0)]
                found.append(_scan(name, where, "relaxed", lengths, [energies for energies, _ in relaxed], unrelaxed))
    return found


def bonds_to_hydrogen(solute: Solute) -> list[tuple[int, int]]:
    """Numbers of the hydrogen atom and of its partner, for each bond."""
    bonded = bonds(solute.atomic_numbers, solute.positions)
    return [(int(atom), int(np.flatnonzero(bonded[atom])[0])) for atom in np.flatnonzero(solute.atomic_numbers == 1)]


def _scan(
    name: str, where: str, how: str, lengths: Sequence[float], energies: Sequence[np.ndarray], unrelaxed: Sequence[float] = ()
) -> Scan:
    """Energies over the label's lowest point, for both at that length."""
    lowest = int(np.nanargmin(energies[1]))
    return Scan(name, where, how, np.array(lengths), *(values - values[lowest] for values in energies), unrelaxed)


def of_potential(potential: Potential, solute: Solute, around: Calculation) -> Surface:
    """Of a potential, with the Lennard-Jones terms of frozen water ``around``."""

    def surface(positions):
        system = System(solute.atomic_numbers, positions, float(solute.charge), around.mm_positions, around.mm_charges)
        result = potential.compute_systems([system])  # which does not warn of geometries outside the training data
        energy, gradients = with_water(solute, positions, around)
        return float(result["energy"][0]) + energy, result["qm_gradients"][0] + gradients

    return surface


def _of_engine(engine: EmbeddingEngine, solute: Solute, around: Calculation) -> Surface:
    def surface(positions):
        result = engine.embedded(replace(around, positions=positions))
        energy, gradients = with_water(solute, positions, around)
        return result.energy + energy, result.qm_gradients + gradients

    return surface


def with_water(solute: Solute, positions: np.ndarray, around: Calculation) -> tuple[float, np.ndarray]:
    """Lennard-Jones energy (kJ/mol) of the solute with the oxygen atoms of frozen water, and gradients [n_atoms, 3] (kJ/mol/angstrom).

    Args:
        solute: with the parameters of :func:`amp_tf.simulation.solutes.lennard_jones`.
        positions: of its atoms, [n_atoms, 3], angstrom.
        around: the water, oxygen first in each molecule.
    """
    sigma, epsilon = lennard_jones(solute)
    vectors = positions[:, None] - around.mm_positions[None, ::3]
    squared = np.sum(vectors**2, axis=-1)
    ratio = (0.5 * (np.maximum(sigma, 1.0)[:, None] + OXYGEN.sigma)) ** 2 / squared
    depth = 4.0 * np.sqrt(epsilon[:, None] * OXYGEN.epsilon)
    slopes = -6.0 * depth * (2.0 * ratio**6 - ratio**3) / squared
    return float(np.sum(depth * (ratio**6 - ratio**3))), np.sum(slopes[..., None] * vectors, axis=1)


def stretched_to(positions: np.ndarray, hydrogen: int, partner: int, length: float) -> np.ndarray:
    """The hydrogen atom moved along its bond."""
    moved = positions.copy()
    vector = positions[hydrogen] - positions[partner]
    moved[hydrogen] = positions[partner] + length * vector / np.linalg.norm(vector)
    return moved


def _rigid(surface: Surface, start: np.ndarray, hydrogen: int, partner: int, lengths: Sequence[float]) -> np.ndarray:
    return np.array([_energy(surface, stretched_to(start, hydrogen, partner, length)) for length in lengths])


def _energy(surface: Surface, positions: np.ndarray) -> float:
    try:
        return surface(positions)[0]
    except CalculationError:
        return np.nan


def _relaxed(
    surface: Surface, solute: Solute, start: np.ndarray, hydrogen: int, partner: int, lengths: Sequence[float], most_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Energies and whether the steps did not suffice; outwards and inwards from the bond's own length, each point from the geometry of the
    one before."""
    own = float(np.linalg.norm(start[hydrogen] - start[partner]))
    energies, is_unrelaxed = np.full(len(lengths), np.nan), np.ones(len(lengths), dtype=bool)
    order = np.argsort(np.abs(np.array(lengths) - own))
    for side in (order[np.array(lengths)[order] >= own], order[np.array(lengths)[order] < own]):
        points = relaxations(surface, solute, start, hydrogen, partner, np.array(lengths)[side], most_steps)
        for number, (atoms, has_converged) in zip(side, points, strict=False):
            energies[number], is_unrelaxed[number] = atoms.get_potential_energy() * units.EV, not has_converged
    return energies, is_unrelaxed


def relaxations(
    surface: Surface, solute: Solute, start: np.ndarray, hydrogen: int, partner: int, lengths: Sequence[float], most_steps: int
) -> Iterator[tuple[Atoms, bool]]:
    """All relaxed but one bond and its angle, at one length of the bond after the other, each from the geometry of the one before.

    Yields:
        The atoms, with what they cost, and whether the steps sufficed; no more of them where a calculation failed.
    """
    neighbours = [int(atom) for atom in np.flatnonzero(bonds(solute.atomic_numbers, start)[partner]) if atom != hydrogen]
    positions = start
    for length in lengths:
        atoms = Atoms(solute.atomic_numbers, stretched_to(positions, hydrogen, partner, length))
        fixed = {"bonds": [[float(length), [partner, hydrogen]]]}
        if neighbours:
            fixed["angles_deg"] = [[atoms.get_angle(neighbours[0], partner, hydrogen), [neighbours[0], partner, hydrogen]]]
        atoms.set_constraint(FixInternals(**fixed))
        atoms.calc = OnSurface(surface)
        try:
            has_converged = BFGS(atoms, logfile=None).run(FORCE_TOLERANCE, most_steps)
        except (CalculationError, ValueError):  # the latter of ASE, where it cannot keep the bond and the angle
            return
        yield atoms, has_converged
        positions = atoms.positions


class OnSurface(Calculator):
    """ASE's view of a surface."""

    implemented_properties = ("energy", "forces")

    def __init__(self, surface: Surface):
        super().__init__()
        self._surface = surface

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, gradients = self._surface(self.atoms.positions)
        self.results = {"energy": energy / units.EV, "forces": -np.asarray(gradients, dtype=float) / units.EV}


def _symbol(solute: Solute, atom: int) -> str:
    return f"{Atoms(solute.atomic_numbers)[atom].symbol}{atom + 1}"


def water_on_bond(
    solute: Solute, potential: Potential, engine: EmbeddingEngine, hydrogen: int, partner: int, distances: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Energies over the solute alone of potential and engine, kJ/mol, with the charges of one water molecule that accepts a hydrogen bond,
    its oxygen atom on the line of the bond at ``distances`` [n] (angstrom) from the hydrogen atom; nan where a calculation failed."""
    alone = Calculation(solute.atomic_numbers, solute.positions, charge=solute.charge)
    along = solute.positions[hydrogen] - solute.positions[partner]
    along /= np.linalg.norm(along)
    across = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    across /= np.linalg.norm(across)
    half = np.radians(0.5 * WATER_ANGLE)
    molecule = np.stack([0.0 * along, *(np.cos(half) * along + side * np.sin(half) * across for side in (1.0, -1.0))])
    places = [solute.positions[hydrogen] + distance * along + molecule for distance in distances]
    around = [replace(alone, mm_positions=place, mm_charges=np.array(WATER_CHARGES)) for place in places]
    systems = [System(solute.atomic_numbers, solute.positions, float(solute.charge))]
    systems += [replace(systems[0], mm_positions=place, mm_charges=np.array(WATER_CHARGES)) for place in places]
    of_potential = np.concatenate([potential.compute_systems([system], gradients=False)["energy"] for system in systems])
    of_engine = np.array([_energy_of(engine, calculation) for calculation in (alone, *around)])
    return of_potential[1:] - of_potential[0], of_engine[1:] - of_engine[0]


def _energy_of(engine: EmbeddingEngine, calculation: Calculation) -> float:
    try:
        return engine.embedded(calculation).energy
    except CalculationError:
        return np.nan


def barrier_error(scan: Scan, length: float) -> float:
    """How far the potential's energy at a length is from the label's, as a part of this; nan where that is unknown."""
    at = int(np.argmin(np.abs(scan.lengths - length)))
    return float(scan.potential[at] / scan.label[at] - 1.0)


def deepest_hole(scan: Scan, span: tuple[float, float]) -> float:
    """How far the potential falls below the least that it has passed on its way from the bond's equilibrium, either way, kJ/mol, where the
    label's own curve does not fall; 0 for a potential that rises as the label does."""
    inside = (scan.lengths >= span[0]) & (scan.lengths <= span[1]) & np.isfinite(scan.label) & np.isfinite(scan.potential)
    lowest = int(np.argmin(np.where(np.isfinite(scan.label), scan.label, np.inf)))
    deepest = 0.0
    for side in (range(lowest, len(scan.lengths)), range(lowest, -1, -1)):
        steps = [number for number in side if inside[number] or number == lowest]
        highest, of_label = scan.potential[lowest], scan.label[lowest]
        for number in steps:
            fall, own = highest - scan.potential[number], of_label - scan.label[number]
            deepest = max(deepest, fall - max(own, 0.0))
            highest, of_label = max(highest, scan.potential[number]), max(of_label, scan.label[number])
    return float(deepest)
