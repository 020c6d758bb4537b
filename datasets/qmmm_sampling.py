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
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from amp_tf.errors import AmpTFError, EngineError, InputError
from amp_tf.progress import progress_bar
from amp_tf.simulation.solutes import Solute, lennard_jones
from amp_tf.simulation.water_box import (
    NM,
    WATER_CHARGES,
    Simulation,
    box_length,
    equilibrated,
    force_field_system,
    import_openmm,
    on_cpu,
    water_topology,
)
from datasets.engines import Calculation, EmbeddingEngine
from datasets.parts import Arrays, Parts

WATER_REACH = 1.0
"""How far the atoms of a water molecule are from its oxygen atom, which decides the image that is taken, angstrom."""

HOT = 1_000_000
"""Added to the number of a block of hot dynamics, for seeds of its own."""


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
        n_threads: of OpenMM; None: OPENMM_CPU_THREADS of the environment, or all cores.

    Raises:
        InputError: if the box is too small or an element has no parameters.
        EngineError: if OpenMM is not installed.
    """

    def __init__(
        self, solute: Solute, charges: np.ndarray, engine: EmbeddingEngine, sampling: Sampling, parts: Parts, box: float | None = None,
        n_threads: int | None = None,
    ):  # fmt: skip
        import_openmm()
        smallest = box_length(solute, sampling.zone)
        if box is not None and box < smallest:
            raise InputError(f"a box of {box:g} angstrom is too small for {solute.name}: it needs {smallest:.1f} angstrom.")
        self.solute, self.charges, self.engine, self.sampling, self.parts = solute, charges, engine, sampling, parts
        self.start_box = box or smallest
        self._n_threads = n_threads
        lennard_jones(solute)  # complains about an element without parameters before any work
        self._failure: BaseException | None = None
        self._box: float | None = None

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
        bar = progress_bar(
            total=n_blocks * self.sampling.block, initial=finished * self.sampling.block, desc="QM/MM dynamics", unit="snapshot"
        )
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
                        snapshots.append(simulation.positions())
                        bar.update()
                    self.parts[self._name(number)] = self._block(simulation, np.array(snapshots))
        except KeyboardInterrupt as error:
            raise AmpTFError(f"interrupted; the finished blocks are kept in {self.parts.folder}; run the same command to go on.") from error

    @property
    def box(self) -> float:
        """Edge of the box after the equilibration, angstrom."""
        if self._box is None:
            self._box = float(self.parts["equilibrated"]["box"])
        return self._box

    def snapshots(self) -> Iterator[np.ndarray]:
        """[n_atoms, 3], angstrom, one after the other in the order of time; a block is in memory at a time."""
        blocks = (self.parts[self._name(number)]["snapshots"] for number in itertools.count())
        return itertools.islice(itertools.chain.from_iterable(blocks), self.sampling.n_frames)

    def calculations(self) -> dict[str, Calculation]:
        """The embedded calculation of every snapshot, by a name that its geometry decides."""
        return {
            f"frame{number:06d}_{hashlib.sha256(positions.tobytes()).hexdigest()[:12]}": self._embedded(positions)
            for number, positions in enumerate(self.snapshots())
        }

    def hot_calculations(self, n_frames: int, temperatures: tuple[float, float]) -> Iterator[Calculation]:
        """Embedded calculations of a hot solute in water of the usual temperature.

        From the ends of blocks of the trajectory that has run, spread over it, the solute starts with velocities of a temperature drawn
        between two, K: twice its excess, which soon is shared with the potential energy.
        """
        n_hot, n_blocks = (-(-number // self.sampling.block) for number in (n_frames, self.sampling.n_frames))
        bar = progress_bar(total=n_hot, desc="hot dynamics", unit="block")
        for number in range(n_hot):
            name = f"hot{number:05d}"
            if name not in self.parts:
                self.parts[name] = self._hot_block(number, self.parts[self._name(number * n_blocks // n_hot)], temperatures)
            bar.update()
        bar.close()
        frames = itertools.chain.from_iterable(self.parts[f"hot{number:05d}"]["snapshots"] for number in range(n_hot))
        return map(self._embedded, itertools.islice(frames, n_frames))

    def _hot_block(self, number: int, before: Arrays, temperatures: tuple[float, float]) -> Arrays:
        n_water_atoms = len(before["positions"]) - len(self.solute.positions)
        drawn = np.random.default_rng([self.sampling.seed, 1_000 + number]).uniform(*temperatures)
        simulation = self._qmmm(n_water_atoms, self.box, before, HOT + number)
        velocities = before["velocities"] / NM
        simulation.context.setVelocitiesToTemperature(2.0 * drawn - self.sampling.temperature, self._seed(HOT + number))
        heated = simulation.context.getState(velocities=True).getVelocities(asNumpy=True)._value
        velocities[n_water_atoms:] = heated[n_water_atoms:]
        simulation.context.setVelocities(velocities)
        snapshots = []
        for _ in range(self.sampling.block):
            self._step(simulation, self.sampling.stride)
            snapshots.append(simulation.positions())
        return {"snapshots": np.array(snapshots), "temperature": np.array(drawn)}

    def _embedded(self, positions: np.ndarray) -> Calculation:
        n_water_atoms = len(positions) - len(self.solute.positions)
        qm, mm, _ = embedded_zone(positions, n_water_atoms, self.box, self.sampling.zone)
        charges = np.tile(WATER_CHARGES, len(mm) // 3)
        return Calculation(self.solute.atomic_numbers, qm, charge=self.solute.charge, mm_positions=mm, mm_charges=charges)

    # OpenMM ------------------------------------------------------------------------------------------------------------------------------

    def _name(self, block: int) -> str:
        return f"block{block:05d}"

    def _block(self, simulation: Simulation, snapshots: np.ndarray) -> Arrays:
        return {"snapshots": snapshots, "positions": simulation.positions(), "velocities": simulation.velocities()}

    def _step(self, simulation, n_steps: int) -> None:
        try:
            simulation.step(n_steps)
        except Exception as error:  # OpenMM hands on what the engine raised as its own exception
            failure, self._failure = self._failure, None
            if isinstance(failure, InputError) or (failure is not None and not isinstance(failure, Exception)):  # such as Ctrl-C
                raise failure from error
            raise EngineError(
                f"the QM/MM dynamics of {self.solute.name} stopped ({failure or ' '.join(str(error).split())[:300]}); the finished "
                f"blocks are kept in {self.parts.folder}: run the same command to go on from the last one."
            ) from error

    def _equilibrate(self) -> Arrays:
        """Classical dynamics at constant pressure around the frozen solute."""
        chosen = self.sampling
        seeds = self._seed(0), self._seed(1), self._seed(2)
        positions, box = equilibrated(
            self.solute, self.charges, self.start_box, chosen.equilibration, chosen.temperature, chosen.friction, seeds, self._n_threads
        )
        # which checks that the box has not shrunk too far
        embedded_zone(positions, len(positions) - len(self.solute.positions), box, chosen.zone)
        return {"positions": positions, "box": np.array(box)}

    def _qmmm(self, n_water_atoms: int, box: float, before: Arrays, block: int):
        """The simulation with the engine's force, from positions and velocities of ``before``."""
        openmm = import_openmm()
        topology, uncharged = water_topology(n_water_atoms // 3, box), np.zeros(len(self.solute.positions))
        system = force_field_system(topology, self.solute, uncharged, frozen=False)
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
            except BaseException as error:  # OpenMM makes an exception of its own of it
                self._failure = error
                raise
            forces = np.zeros_like(positions)
            forces[numbers] = -result.mm_gradients * NM
            forces[n_water_atoms:] = -result.qm_gradients * NM
            return result.energy, forces

        system.addForce(openmm.PythonForce(engine_force))
        chosen = self.sampling
        integrator = openmm.LangevinMiddleIntegrator(chosen.temperature, chosen.friction, 1e-3 * chosen.time_step)
        integrator.setRandomNumberSeed(self._seed(10 + block))
        simulation = on_cpu(system, integrator, before["positions"], box * np.eye(3), self._n_threads)
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


def sampling_record(sampling: Sampling, box: float | None) -> dict[str, object]:
    """The settings that decide the trajectory, but for its length: a longer one goes on from a shorter one."""
    record = asdict(sampling)
    record.pop("n_frames")
    start = "relaxed solute, twice the thermal kinetic energy"
    return json.loads(json.dumps(record | {"box": box, "water": "SPC/E", "water_charges_e": WATER_CHARGES, "start": start}))


def relaxed(solute: Solute, engine: EmbeddingEngine, n_iterations: int = 100) -> tuple[Solute, float, np.ndarray]:
    """The isolated solute after up to ``n_iterations`` of L-BFGS, its energy in kJ/mol and its charges [n_atoms], e."""

    def energy_and_gradient(flat):
        result = engine.embedded(Calculation(solute.atomic_numbers, flat.reshape(-1, 3), charge=solute.charge))
        return result.energy, result.qm_gradients.ravel()

    start, options = solute.positions.ravel(), {"maxiter": n_iterations, "gtol": 5.0}
    try:
        positions = minimize(energy_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x.reshape(-1, 3)
        result = engine.embedded(Calculation(solute.atomic_numbers, positions, charge=solute.charge))
    except EngineError as error:
        raise EngineError(f"{solute.name}: the isolated solute fails ({error})") from error
    except KeyboardInterrupt as error:
        raise AmpTFError(f"interrupted while {solute.name} was relaxed; run the same command to start again.") from error
    return Solute(solute.name, solute.atomic_numbers, positions - positions.mean(axis=0), solute.charge), result.energy, result.charges
