"""QM/MM molecular dynamics of a solute in a periodic box of rigid water: OpenMM moves the atoms, a quantum chemistry engine the solute.

The solute feels the water molecules around it as point charges at every step, and they feel it (electrostatic embedding). Water among
itself is OpenMM's: SPC/E (Berendsen, Grigera and Straatsma 1987) with particle mesh Ewald; between solute and water there are
Lennard-Jones terms too.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from tqdm import tqdm

from amp_tf.errors import AmpTFError, EngineError, InputError
from datasets.engines import Calculation, EmbeddingEngine
from datasets.parts import Arrays, Parts
from datasets.solutes import Solute, bonds, lennard_jones

WATER_CHARGES = (-0.8476, 0.4238, 0.4238)
"""SPC/E: oxygen, hydrogen, hydrogen, e."""

MARGIN, MARGIN_OF_A_PAIR = 4.0, 8.0
"""How much wider than solute and zone the box is, and how much more for every further molecule, which may drift away, angstrom."""

WATER_REACH = 1.0
"""How far the atoms of a water molecule are from its oxygen atom, which decides the image that is taken, angstrom."""

SMALLEST_BOX = 22.0
"""Twice the cut-off of the direct sum of the electrostatics among water, and some, angstrom."""

EXCLUSION = 2.4
"""No water molecule starts with an atom closer than this to the solute, angstrom."""

NM = 10.0
"""Angstroms in a nanometre."""


@dataclass(frozen=True)
class Sampling:
    """How snapshots are made.

    Attributes:
        n_frames: snapshots.
        stride: steps between two snapshots.
        zone: molecules with an atom this close to a QM atom are charges of the QM calculation, whole, angstrom.
        temperature: K.
        friction: of the Langevin thermostat, 1/ps.
        time_step: fs.
        equilibration: classical dynamics with the solute frozen in its gas-phase charges, ps.
        qm_equilibration: QM/MM steps before the first snapshot.
        block: snapshots that one file of the trajectory holds.
        seed: of velocities and thermostat.
    """

    n_frames: int
    stride: int = 20
    zone: float = 14.0
    temperature: float = 300.0
    friction: float = 1.0
    time_step: float = 0.5
    equilibration: float = 10.0
    qm_equilibration: int = 2000
    block: int = 25
    seed: int = 0


def box_length(solute: Solute, zone: float) -> float:
    """Edge of the cubic box in which no water molecule lies within ``zone`` of the solute twice, angstrom."""
    extent = float(pdist(solute.positions).max()) if len(solute.positions) > 1 else 0.0
    n_molecules = connected_components(bonds(solute.atomic_numbers, solute.positions))[0]
    return max(SMALLEST_BOX, extent + 2.0 * zone + MARGIN + MARGIN_OF_A_PAIR * (n_molecules - 1))


def embedded_zone(positions: np.ndarray, n_water_atoms: int, box: float, zone: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The solute and the water molecules around it, in one image of the periodic box.

    Args:
        positions: [n_atoms, 3], angstrom, whole molecules: water (O, H, H), then the solute.
        n_water_atoms: how many atoms are water.
        box: edge of the cubic box, angstrom.
        zone: see :class:`Sampling`.

    Returns:
        QM positions [n_qm, 3] about the middle of their bounding box, MM positions [n_mm, 3], and the numbers of the MM atoms [n_mm].

    Raises:
        InputError: if the solute has grown too long for the box.
    """
    solute = positions[n_water_atoms:]
    middle = 0.5 * (solute.max(axis=0) + solute.min(axis=0))
    span = float(np.ptp(solute, axis=0).max())
    if span + 2.0 * (zone + WATER_REACH) > box:
        raise InputError(
            f"the solute spans {span:.1f} angstrom, too long for a box of {box:.1f} angstrom with a zone of {zone:g} angstrom; start anew "
            "with a larger --box, or ask for fewer frames, which are those before."
        )
    water = (positions[:n_water_atoms] - middle).reshape(-1, 3, 3)
    water = water - box * np.round(water[:, :1] / box)
    solute = solute - middle
    near = cKDTree(solute).query(water.reshape(-1, 3), distance_upper_bound=zone)[0] < np.inf
    molecules = np.flatnonzero(near.reshape(-1, 3).any(axis=1))
    return solute, water[molecules].reshape(-1, 3), (3 * molecules[:, None] + np.arange(3)).ravel()


class Trajectory:
    """The simulation of one solute, resumable from the blocks in ``parts``.

    Args:
        solute: relaxed, neutral or not; closed shell.
        charges: of the isolated solute [n_atoms], e, for the classical equilibration.
        engine: drives the dynamics.
        sampling: its settings.
        parts: where finished blocks are kept.
        box: edge of the box, angstrom; :func:`box_length` by default.
        n_threads: of OpenMM.

    Raises:
        InputError: if the box is too small or an element has no parameters.
        EngineError: if OpenMM is not installed.
    """

    def __init__(
        self, solute: Solute, charges: np.ndarray, engine: EmbeddingEngine, sampling: Sampling, parts: Parts, box: float | None = None,
        n_threads: int = 2,
    ):  # fmt: skip
        _openmm()
        smallest = box_length(solute, sampling.zone)
        if box is not None and box < smallest:
            raise InputError(f"a box of {box:g} angstrom is too small for {solute.name}: it needs {smallest:.1f} angstrom.")
        self.solute, self.charges, self.engine, self.sampling, self.parts = solute, charges, engine, sampling, parts
        self.start_box = box or smallest
        self._lennard_jones = lennard_jones(solute)
        self._platform_properties = {"Threads": str(n_threads)}
        self._failure: AmpTFError | None = None

    def run(self) -> None:
        """Equilibrate and sample until all blocks are there, with a progress bar and the time left.

        Raises:
            AmpTFError: if it was interrupted or the engine failed; says how to go on.
        """
        if "equilibrated" not in self.parts:
            try:
                self.parts["equilibrated"] = self._equilibrate()
            except KeyboardInterrupt as error:
                raise AmpTFError("interrupted during the equilibration; run the same command to start it again.") from error
        start = self.parts["equilibrated"]
        n_water_atoms, box = len(start["positions"]) - len(self.solute.positions), self.box
        n_blocks = -(-self.sampling.n_frames // self.sampling.block)
        finished = next((number for number in range(n_blocks) if self._name(number) not in self.parts), n_blocks)
        if finished == n_blocks:
            return
        simulation = None
        bar = tqdm(total=n_blocks * self.sampling.block, initial=finished * self.sampling.block, desc="QM/MM dynamics", unit="snapshot")
        try:
            with bar:
                for number in range(finished, n_blocks):
                    if simulation is None:
                        before = self.parts[self._name(number - 1)] if number else start
                        simulation = self._qmmm(n_water_atoms, box, before, number)
                        if not number:
                            self._step(simulation, self.sampling.qm_equilibration)
                    snapshots = []
                    for _ in range(self.sampling.block):
                        self._step(simulation, self.sampling.stride)
                        snapshots.append(self._positions(simulation))
                        bar.update()
                    self.parts[self._name(number)] = self._block(simulation, np.array(snapshots))
        except KeyboardInterrupt as error:
            raise AmpTFError(f"interrupted; the finished blocks are kept in {self.parts.folder}; run the same command to go on.") from error

    @property
    def box(self) -> float:
        """Edge of the box after the equilibration, angstrom."""
        return float(self.parts["equilibrated"]["box"])

    def snapshots(self) -> Iterator[np.ndarray]:
        """[n_atoms, 3], angstrom, one after the other in the order of time; a block is in memory at a time."""
        blocks = (self.parts[self._name(number)]["snapshots"] for number in itertools.count())
        return itertools.islice(itertools.chain.from_iterable(blocks), self.sampling.n_frames)

    def calculations(self) -> dict[str, Calculation]:
        """The embedded calculation of every snapshot, by a name that its geometry decides."""
        start = self.parts["equilibrated"]
        n_water_atoms, box = len(start["positions"]) - len(self.solute.positions), self.box
        charges = np.tile(WATER_CHARGES, n_water_atoms // 3)
        named = {}
        for number, positions in enumerate(self.snapshots()):
            qm, mm, _ = embedded_zone(positions, n_water_atoms, box, self.sampling.zone)
            named[f"frame{number:06d}_{hashlib.sha256(positions.tobytes()).hexdigest()[:12]}"] = Calculation(
                self.solute.atomic_numbers, qm, charge=self.solute.charge, mm_positions=mm,
                mm_charges=charges[: len(mm)],
            )  # fmt: skip
        return named

    # OpenMM ------------------------------------------------------------------------------------------------------------------------------

    def _name(self, block: int) -> str:
        return f"block{block:05d}"

    def _block(self, simulation, snapshots: np.ndarray) -> Arrays:
        state = simulation.context.getState(positions=True, velocities=True)
        return {
            "snapshots": snapshots,
            "positions": state.getPositions(asNumpy=True)._value * NM,
            "velocities": state.getVelocities(asNumpy=True)._value * NM,
        }

    def _positions(self, simulation) -> np.ndarray:
        return simulation.context.getState(positions=True).getPositions(asNumpy=True)._value * NM

    def _step(self, simulation, n_steps: int) -> None:
        try:
            simulation.step(n_steps)
        except Exception as error:  # OpenMM hands on what the engine raised as its own exception
            if isinstance(self._failure, InputError):
                raise self._failure from error
            raise EngineError(
                f"the QM/MM dynamics of {self.solute.name} stopped ({self._failure or ' '.join(str(error).split())[:300]}); the finished "
                f"blocks are kept in {self.parts.folder}: run the same command to go on from the last one."
            ) from error

    def _water(self):
        """Topology and positions (angstrom) of the water around the solute."""
        openmm = _openmm()
        app = openmm.app
        modeller = app.Modeller(app.Topology(), [])
        length = self.start_box / NM
        modeller.addSolvent(app.ForceField("spce.xml"), model="spce", boxSize=openmm.Vec3(length, length, length))
        positions = np.array(modeller.positions.value_in_unit(openmm.unit.angstrom)).reshape(-1, 3, 3) - 0.5 * self.start_box
        distances = cKDTree(self.solute.positions).query(positions.reshape(-1, 3))[0].reshape(-1, 3).min(axis=1)
        residues = list(modeller.topology.residues())
        crowded = [residue for residue, distance in zip(residues, distances, strict=True) if distance < EXCLUSION]
        modeller.delete(crowded)
        return modeller.topology, positions[distances >= EXCLUSION].reshape(-1, 3)

    def _system(self, topology, solute_charges: np.ndarray, frozen: bool):
        """OpenMM's system: water, then the solute, whose atoms see each other only through the engine."""
        openmm = _openmm()
        app = openmm.app
        force_field = app.ForceField("spce.xml")
        system = force_field.createSystem(topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0, removeCMMotion=False)
        nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
        first = system.getNumParticles()
        for number, charge, sigma, epsilon in zip(self.solute.atomic_numbers, solute_charges, *self._lennard_jones, strict=True):
            mass = 0.0 if frozen else app.Element.getByAtomicNumber(int(number)).mass
            system.addParticle(mass)
            nonbonded.addParticle(charge, max(sigma, 1.0) / NM, epsilon)
        for i in range(first, system.getNumParticles()):
            for j in range(first, i):
                nonbonded.addException(i, j, 0.0, 1.0, 0.0)
        return system

    def _simulation(self, system, positions: np.ndarray, box: float, time_step: float, seed: int):
        openmm = _openmm()
        integrator = openmm.LangevinMiddleIntegrator(self.sampling.temperature, self.sampling.friction, 1e-3 * time_step)
        integrator.setRandomNumberSeed(seed)
        platform = openmm.Platform.getPlatformByName("CPU")
        context = openmm.Context(system, integrator, platform, self._platform_properties)
        context.setPeriodicBoxVectors(*(np.eye(3) * box / NM))
        context.setPositions(positions / NM)
        return _Simulation(context, integrator)

    def _equilibrate(self) -> Arrays:
        """Classical dynamics at constant pressure around the frozen solute."""
        openmm = _openmm()
        topology, water = self._water()
        system = self._system(topology, self.charges, frozen=True)
        chain = openmm.HarmonicBondForce()  # of no strength: it makes one molecule of the solute, which the barostat then shifts as a whole
        for atom in range(len(water), system.getNumParticles() - 1):
            chain.addBond(atom, atom + 1, 0.1, 0.0)
        system.addForce(chain)
        barostat = openmm.MonteCarloBarostat(1.0, self.sampling.temperature)
        barostat.setRandomNumberSeed(self._seed(0))
        system.addForce(barostat)
        positions = np.concatenate([water, self.solute.positions])
        simulation = self._simulation(system, positions, self.start_box, 2.0, self._seed(1))
        openmm.LocalEnergyMinimizer.minimize(simulation.context, maxIterations=200)
        simulation.context.setVelocitiesToTemperature(self.sampling.temperature, self._seed(2))
        n_steps = round(self.sampling.equilibration * 1e3 / 2.0)
        with tqdm(total=n_steps, desc="equilibration", unit="step") as bar:
            for start in range(0, n_steps, 100):
                n = min(100, n_steps - start)
                simulation.step(n)
                bar.update(n)
        state = simulation.context.getState(positions=True)
        box = float(state.getPeriodicBoxVectors(asNumpy=True)._value[0, 0] * NM)
        positions = state.getPositions(asNumpy=True)._value * NM
        embedded_zone(positions, len(water), box, self.sampling.zone)  # which checks that the box has not shrunk too far
        return {"positions": positions, "box": np.array(box)}

    def _qmmm(self, n_water_atoms: int, box: float, before: Arrays, block: int):
        """The simulation with the engine's force, from positions and velocities of ``before``."""
        openmm = _openmm()
        system = self._system(_water_topology(n_water_atoms // 3, box), np.zeros(len(self.solute.positions)), frozen=False)
        water_charges = np.tile(WATER_CHARGES, n_water_atoms // 3)

        def engine_force(state):
            try:
                positions = state.getPositions(asNumpy=True)._value * NM
                qm, mm, numbers = embedded_zone(positions, n_water_atoms, box, self.sampling.zone)
                calculation = Calculation(
                    self.solute.atomic_numbers, qm, charge=self.solute.charge, mm_positions=mm, mm_charges=water_charges[numbers]
                )
                try:
                    result = self.engine.embedded(calculation)
                except EngineError:
                    result = self.engine.embedded(calculation)  # once more: from a fresh guess, since a failure drops the last orbitals
            except AmpTFError as error:
                self._failure = error
                raise
            forces = np.zeros_like(positions)
            forces[numbers] = -result.mm_gradients * NM
            forces[n_water_atoms:] = -result.qm_gradients * NM
            return result.energy, forces

        system.addForce(openmm.PythonForce(engine_force))
        simulation = self._simulation(system, before["positions"], box, self.sampling.time_step, self._seed(10 + block))
        if "velocities" in before:
            simulation.context.setVelocities(before["velocities"] / NM)
        else:  # its vibrations have no potential energy yet: twice the kinetic energy soon becomes the share of both
            simulation.context.setVelocitiesToTemperature(self.sampling.temperature, self._seed(3))
            velocities = simulation.context.getState(velocities=True).getVelocities(asNumpy=True)._value
            velocities[n_water_atoms:] *= math.sqrt(2.0)
            simulation.context.setVelocities(velocities)
        return simulation

    def _seed(self, number: int) -> int:
        return int(np.random.default_rng([self.sampling.seed, number]).integers(1, 2**31 - 1))


@dataclass
class _Simulation:
    context: object
    integrator: object

    def step(self, n_steps: int) -> None:
        self.integrator.step(n_steps)


def _water_topology(n_waters: int, box: float):
    openmm = _openmm()
    app = openmm.app
    topology = app.Topology()
    chain = topology.addChain()
    oxygen, hydrogen = app.Element.getBySymbol("O"), app.Element.getBySymbol("H")
    for _ in range(n_waters):
        residue = topology.addResidue("HOH", chain)
        atoms = [topology.addAtom(name, element, residue) for name, element in (("O", oxygen), ("H1", hydrogen), ("H2", hydrogen))]
        topology.addBond(atoms[0], atoms[1])
        topology.addBond(atoms[0], atoms[2])
    topology.setPeriodicBoxVectors(np.eye(3) * box / NM)
    return topology


def _openmm():
    try:
        import openmm
        import openmm.app
    except ImportError as error:
        raise EngineError("OpenMM is not installed; install it with: pip install 'amp_tf[reference]'") from error
    if not hasattr(openmm, "PythonForce"):
        raise EngineError(f"OpenMM {openmm.__version__} has no PythonForce; install a newer one with: pip install -U 'openmm>=8.5'")
    return openmm


def sampling_record(sampling: Sampling, box: float | None) -> dict[str, object]:
    """The settings that decide the trajectory, but for its length: a longer one goes on from a shorter one."""
    record = asdict(sampling)
    record.pop("n_frames")
    start = "relaxed solute, twice the thermal kinetic energy"
    return json.loads(json.dumps(record | {"box": box, "water": "SPC/E", "water_charges_e": WATER_CHARGES, "start": start}))
