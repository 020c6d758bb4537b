"""A solute in a periodic box of rigid SPC/E water (Berendsen, Grigera and Straatsma, J. Phys. Chem. 91, 6269 (1987)), built with OpenMM.

Water among itself has particle mesh Ewald electrostatics; between solute and water there are Lennard-Jones terms
(:func:`amp_tf.simulation.solutes.lennard_jones`) and, while the solute is frozen, the Coulomb terms of its charges. The solute's atoms see
each other through nothing here: that is the task of a potential or an engine.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from amp_tf.errors import EngineError, not_installed
from amp_tf.progress import progress_bar
from amp_tf.simulation.solutes import Solute, bonds, lennard_jones

WATER_CHARGES = (-0.8476, 0.4238, 0.4238)
"""SPC/E: oxygen, hydrogen, hydrogen, e."""


class LennardJones(NamedTuple):
    """Parameters of a site."""

    sigma: float
    """angstrom"""
    epsilon: float
    """kJ/mol"""


OXYGEN = LennardJones(3.1657195, 0.6497752)
"""Of SPC/E water, whose hydrogen atoms have none; with other sites by Lorentz's and Berthelot's rules."""

MARGIN, MARGIN_OF_A_PAIR = 4.0, 8.0
"""How much wider than solute and zone the box is, and how much more for every further molecule, which may drift away, angstrom."""

SMALLEST_BOX = 22.0
"""Twice the cut-off of the direct sum of the electrostatics among water, and some, angstrom."""

EXCLUSION = 2.4
"""No water molecule starts with an atom closer than this to the solute, angstrom."""

NM = 10.0
"""Angstroms in a nanometre."""


def import_openmm():
    """OpenMM, or one sentence.

    Raises:
        EngineError: if it is not installed or too old.
    """
    try:
        import openmm
        import openmm.app
    except ImportError as error:
        raise not_installed("OpenMM") from error
    if not hasattr(openmm, "PythonForce"):
        raise EngineError(f"OpenMM {openmm.__version__} has no PythonForce; install a newer one with: pip install -U 'openmm>=8.5'")
    return openmm


def box_length(solute: Solute, zone: float) -> float:
    """Edge of the cubic box in which no water molecule lies within ``zone`` of the solute twice, angstrom."""
    extent = 2.0 * float(np.linalg.norm(solute.positions - solute.positions.mean(axis=0), axis=1).max())
    n_molecules = connected_components(bonds(solute.atomic_numbers, solute.positions))[0]
    return max(SMALLEST_BOX, extent + 2.0 * zone + MARGIN + MARGIN_OF_A_PAIR * (n_molecules - 1))


def fill_with_water(solute: Solute, length: float) -> tuple[Any, np.ndarray]:
    """OpenMM's topology and the positions (angstrom) of water in a cube around the solute, which stands in the middle of it at 0."""
    openmm = import_openmm()
    app = openmm.app
    modeller = app.Modeller(app.Topology(), [])
    modeller.addSolvent(app.ForceField("spce.xml"), model="spce", boxSize=openmm.Vec3(length / NM, length / NM, length / NM))
    positions = np.array(modeller.positions.value_in_unit(openmm.unit.angstrom)).reshape(-1, 3, 3) - 0.5 * length
    distances = cKDTree(solute.positions).query(positions.reshape(-1, 3))[0].reshape(-1, 3).min(axis=1)
    residues = list(modeller.topology.residues())
    crowded = [residue for residue, distance in zip(residues, distances, strict=True) if distance < EXCLUSION]
    modeller.delete(crowded)
    return modeller.topology, positions[distances >= EXCLUSION].reshape(-1, 3)


def water_topology(n_waters: int, length: float):
    """OpenMM's topology of so many water molecules in a cube."""
    app = import_openmm().app
    topology = app.Topology()
    chain = topology.addChain()
    oxygen, hydrogen = app.Element.getBySymbol("O"), app.Element.getBySymbol("H")
    for _ in range(n_waters):
        residue = topology.addResidue("HOH", chain)
        atoms = [topology.addAtom(name, element, residue) for name, element in (("O", oxygen), ("H1", hydrogen), ("H2", hydrogen))]
        topology.addBond(atoms[0], atoms[1])
        topology.addBond(atoms[0], atoms[2])
    topology.setPeriodicBoxVectors(np.eye(3) * length / NM)
    return topology


def add_solute(topology, solute: Solute) -> None:
    """Add the solute's atoms to a topology, as one residue with its bonds."""
    app = import_openmm().app
    residue = topology.addResidue("MOL", topology.addChain())
    elements = [app.Element.getByAtomicNumber(int(number)) for number in solute.atomic_numbers]
    atoms = [topology.addAtom(f"{element.symbol}{number + 1}", element, residue) for number, element in enumerate(elements)]
    for first, second in np.argwhere(np.triu(bonds(solute.atomic_numbers, solute.positions))):
        topology.addBond(atoms[first], atoms[second])


def force_field_system(topology, solute: Solute, charges: np.ndarray, frozen: bool):
    """OpenMM's system: water of the ``topology``, then the solute with ``charges`` [n_atoms], e, without terms among its atoms; ``frozen``:
    it does not move. A topology without a box has no images."""
    openmm = import_openmm()
    app = openmm.app
    method = app.NoCutoff if topology.getPeriodicBoxVectors() is None else app.PME
    system = app.ForceField("spce.xml").createSystem(topology, nonbondedMethod=method, nonbondedCutoff=1.0, removeCMMotion=False)
    nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    first = system.getNumParticles()
    for number, charge, sigma, epsilon in zip(solute.atomic_numbers, charges, *lennard_jones(solute), strict=True):
        system.addParticle(0.0 if frozen else app.Element.getByAtomicNumber(int(number)).mass)
        nonbonded.addParticle(charge, max(sigma, 1.0) / NM, epsilon)
    for i in range(first, system.getNumParticles()):
        for j in range(first, i):
            nonbonded.addException(i, j, 0.0, 1.0, 0.0)
    return system


@dataclass
class Simulation:
    """An OpenMM context with its integrator, one step of which is ``n_inner`` of ours."""

    context: Any
    integrator: Any
    n_inner: int = 1

    def step(self, n_steps: int) -> None:
        """Move on."""
        self.integrator.step(n_steps // self.n_inner)

    def positions(self) -> np.ndarray:
        """[n, 3], angstrom."""
        return self.context.getState(positions=True).getPositions(asNumpy=True)._value * NM

    def picoseconds(self) -> float:
        """The time."""
        return self.context.getState().getTime()._value

    def velocities(self) -> np.ndarray:
        """[n, 3], angstrom/ps."""
        return self.context.getState(velocities=True).getVelocities(asNumpy=True)._value * NM


def equilibrated(
    solute: Solute, charges: np.ndarray, length: float, picoseconds: float, temperature: float, friction: float,
    seeds: tuple[int, int, int], n_threads: int | None,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Classical dynamics of water at constant pressure around the frozen solute with its charges.

    Args:
        charges: of the solute, [n_atoms], e.
        length: edge of the cube at the start, angstrom.
        picoseconds: how long.
        temperature: K.
        friction: 1/ps.
        seeds: of barostat, thermostat and velocities.
        n_threads: of OpenMM, as in :func:`on_cpu`.

    Returns:
        Positions [n, 3] of water, then solute, and the edge of the box, angstrom.
    """
    openmm = import_openmm()
    topology, water = fill_with_water(solute, length)
    system = force_field_system(topology, solute, charges, frozen=True)
    chain = openmm.HarmonicBondForce()  # of no strength: it makes one molecule of the solute, which the barostat then shifts as a whole
    for atom in range(len(water), system.getNumParticles() - 1):
        chain.addBond(atom, atom + 1, 0.1, 0.0)
    system.addForce(chain)
    barostat = openmm.MonteCarloBarostat(1.0, temperature)
    barostat.setRandomNumberSeed(seeds[0])
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(temperature, friction, 0.002)
    integrator.setRandomNumberSeed(seeds[1])
    simulation = on_cpu(system, integrator, np.concatenate([water, solute.positions]), length * np.eye(3), n_threads)
    openmm.LocalEnergyMinimizer.minimize(simulation.context, maxIterations=200)
    simulation.context.setVelocitiesToTemperature(temperature, seeds[2])
    n_steps = round(picoseconds * 1e3 / 2.0)
    with progress_bar(total=n_steps, desc="equilibration", unit="step") as bar:
        for first in range(0, n_steps, 100):
            n = min(100, n_steps - first)
            simulation.step(n)
            bar.update(n)
    state = simulation.context.getState(positions=True)
    return simulation.positions(), float(state.getPeriodicBoxVectors(asNumpy=True)._value[0, 0] * NM)


def on_cpu(
    system, integrator, positions: np.ndarray, box: np.ndarray | None, n_threads: int | None, n_inner: int = 1
) -> Simulation:  # fmt: skip
    """A simulation on the CPU; ``positions`` and ``box``, the vectors [3, 3] of the periodic box, in angstrom.

    Without ``n_threads`` OpenMM takes OPENMM_CPU_THREADS of the environment, or all cores.
    """
    openmm = import_openmm()
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, integrator, platform, {} if n_threads is None else {"Threads": str(n_threads)})
    if box is not None:
        context.setPeriodicBoxVectors(*(box / NM))
    context.setPositions(positions / NM)
    return Simulation(context, integrator, n_inner)
