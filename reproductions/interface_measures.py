"""What ``make reproduce-interfaces`` measures of a potential in ASE, in OpenMM and in ``amp-tf md``."""

import copy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.qmmm import EIQMMM, LJInteractions
from ase.calculators.tip3p import TIP3P, angleHOH, epsilon0, rOH, sigma0
from scipy.spatial.distance import cdist

from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.interfaces.openmm import mixed_system, original_errors
from amp_tf.interfaces.zone import Zone
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import read_trajectory
from amp_tf.simulation.scene import SoluteInWater
from amp_tf.simulation.solutes import solute_by_name
from amp_tf.simulation.water_box import import_openmm, on_cpu
from common.results import Row, row

SOLUTE = "uracil"

N_WATERS, CLOSEST = 6, 2.2
"""Around the molecule, in random directions, as near as no two atoms come closer than this, angstrom."""

STEP = 1e-4
"""Of the finite differences, angstrom."""


@dataclass(frozen=True)
class Preset:
    """Size of the reproduction.

    Attributes:
        moved: atoms of uracil and the waters whose forces are compared with differences; None: all.
        steps: of 0.5 fs from a checkpoint.
        md: changes of :class:`amp_tf.simulation.dynamics.Dynamics`.
        picoseconds: of the run and of the one that goes on.
    """

    moved: tuple[int, ...] | None
    steps: int
    md: Mapping[str, Any]
    picoseconds: tuple[float, float]


PRESETS = {
    "smoke": Preset(
        (0, 12, 13), 2, {"equilibration": 0.02, "relaxation": 0.002, "interval": 2, "zone": 4.0, "margin": np.inf}, (0.002, 0.004)
    ),
    "laptop": Preset(None, 20, {"equilibration": 2.0, "relaxation": 0.2, "interval": 10}, (0.05, 0.1)),
}


def qmmm_rows(path: Path, moved: Sequence[int] | None) -> list[Row]:
    """ASE's EIQMMM of the molecule and six waters, in float64: forces against central differences of the energy, and the energy where a
    water molecule alone moves."""
    random, solute = np.random.default_rng(3), solute_by_name(SOLUTE)
    atoms = Atoms(solute.atomic_numbers, solute.positions - solute.positions.mean(axis=0))
    add_waters(atoms, N_WATERS, random)
    n_solute = len(solute.positions)
    terms = {("O", "O"): (epsilon0, sigma0), ("C", "O"): (epsilon0, sigma0), ("N", "O"): (epsilon0, sigma0)}
    calculator = AMPCalculator(path, dtype="float64")
    atoms.calc = EIQMMM(range(n_solute), calculator, TIP3P(rc=9.0), LJInteractions(terms))
    atoms.center(vacuum=12.0)
    atoms.pbc = True
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    errors = []
    for atom in range(len(atoms)) if moved is None else moved:
        for axis in range(3):
            ends = []
            for sign in (1.0, -1.0):
                there = atoms.copy()
                there.calc = atoms.calc
                there.positions[atom, axis] += sign * STEP
                ends.append(there.get_potential_energy())
            errors.append(abs(forces[atom, axis] + (ends[0] - ends[1]) / (2.0 * STEP)))
    atoms.positions[n_solute : n_solute + 3, 0] += 0.2
    who = {"measure": "EIQMMM of ASE, uracil and six waters, float64"}
    return [
        row("force_error", "eV/angstrom", max(errors), None, **who),
        row("energy_change", "eV", atoms.get_potential_energy() - energy, None, **who),
    ]


def add_waters(atoms: Atoms, n_waters: int, random: np.random.Generator) -> None:
    """Add water molecules, oxygen first, turned at random, in random directions from the origin: see :data:`CLOSEST`."""
    angle = np.radians(angleHOH)
    water = rOH * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]])
    for _ in range(n_waters):
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        place, direction = water @ turn.T, random.normal(size=3)
        while cdist(place, atoms.positions).min() < CLOSEST:
            place = place + 0.1 * direction / np.linalg.norm(direction)
        atoms += Atoms("OHH", place)


def openmm_rows(path: Path, preset: Preset) -> list[Row]:
    """One geometry in a box of water: energies of the mixed system, its copy and what its XML gives, and of two ways from one checkpoint,
    the second in a context of its own."""
    openmm, solute, dynamics = import_openmm(), solute_by_name(SOLUTE), Dynamics(**preset.md)
    setup = SoluteInWater(solute)
    positions, box = setup.start(path, dynamics, (1, 2, 3), 1)
    scene = setup.scene(positions, box)
    mixed, _ = mixed_system(
        scene.topology, scene.system, scene.atoms, [path], float(solute.charge), Zone(dynamics.zone, dynamics.switch), False, 0,
        np.inf,
    )  # fmt: skip

    def started(system):
        simulation = on_cpu(system, openmm.VerletIntegrator(5e-4), positions, box, 1)
        simulation.context.setVelocitiesToTemperature(300.0, 1)
        return simulation

    def energy(simulation) -> float:
        return simulation.context.getState(energy=True).getPotentialEnergy()._value

    with original_errors():
        first = started(mixed)
        at_start, saved, kept = energy(first), first.context.createCheckpoint(), openmm.XmlSerializer.serialize(mixed)
        of_copy = energy(started(copy.deepcopy(mixed)))
        first.step(preset.steps)
        second = started(openmm.XmlSerializer.deserialize(kept))
        from_xml = energy(second)
        second.context.loadCheckpoint(saved)
        second.step(preset.steps)
        one_way, other_way = energy(first), energy(second)
    who = {"measure": f"OpenMM, uracil in {len(scene.waters)} waters, float32"}
    return [
        row("copy_difference", "kJ/mol", abs(of_copy - at_start), None, **who),
        row("xml_difference", "kJ/mol", abs(from_xml - at_start), None, **who),
        row("checkpoint_difference", "kJ/mol", abs(other_way - one_way), None, **who, steps=preset.steps),
        row("energy_change", "kJ/mol", one_way - at_start, None, **who, steps=preset.steps),
    ]


def continued_rows(path: Path, preset: Preset) -> list[Row]:
    """A run of ``amp-tf md`` that goes on longer in the same folder: the frames that are missing from its energies and its trajectory."""
    solute = solute_by_name(SOLUTE)
    with tempfile.TemporaryDirectory() as folder:
        for picoseconds in preset.picoseconds:
            dynamics = Dynamics(picoseconds=picoseconds, **preset.md)
            run = Run(Path(folder) / "md", [path], SoluteInWater(solute), dynamics, xla=False, n_threads=1)
            run.run(progress=False)
        steps = np.atleast_1d(np.genfromtxt(run.energies, delimiter=",", names=True)["step"]).astype(int)
        n_written = sum(len(frames) for frames in read_trajectory(run.trajectory, run.scene.topology))
    expected = dynamics.interval * np.arange(1, dynamics.n_frames + 1)
    lost = len(np.setxor1d(steps, expected)) + len(steps) - len(np.unique(steps)) + abs(n_written - len(expected))
    return [row("lost_frames", "", lost, None, measure=f"amp-tf md, {preset.picoseconds[0]:g} ps and on to {preset.picoseconds[1]:g} ps")]
