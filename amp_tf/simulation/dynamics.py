"""Molecular dynamics of a solute that a potential describes, in water or alone, in files that a killed run goes on with."""

import csv
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amp_tf.errors import AmpTFError, InputError, SimulationError
from amp_tf.files import as_folder, locked, whole_file, write_text
from amp_tf.interfaces.zone import Zone, check_embeds, check_margin
from amp_tf.models import load_potential
from amp_tf.models.ensemble import members_of
from amp_tf.models.ranges import MARGIN
from amp_tf.neighbours import whole_at_first
from amp_tf.npz import read_npz
from amp_tf.progress import progress_bar
from amp_tf.shipped import potential_file
from amp_tf.simulation.collect import Collection, charge_lines
from amp_tf.simulation.observables import Curves, bonded_pairs, import_mdtraj, temperature
from amp_tf.simulation.run_files import (
    CHECKPOINT,
    ENERGIES,
    LAST_CHARGES,
    LAST_FRAME,
    START,
    STATE,
    STOPPED,
    TRAJECTORY,
    Trajectory,
    cut_back,
    remove_partial_files,
    take_folder,
)
from amp_tf.simulation.scene import Setup
from amp_tf.simulation.water_box import NM, Simulation, import_openmm, on_cpu

ENSEMBLES = ("nvt", "npt", "nve")
CHANGEABLE = ("picoseconds", "margin")
"""What a run may go on with in another way."""

COLLECT_ABOVE = 20.0
"""Disagreement from which frames are collected unless told otherwise, kJ/mol/angstrom."""

POTENTIAL_GROUP = 31
"""Of OpenMM's forces, the last, which no force field takes."""

STRONG_FRICTION, BAROSTAT_INTERVAL = 10.0, 25
"""Of the thermostat before the first frame, 1/ps; steps between two moves of the barostat."""

SECONDS_BETWEEN_CHECKPOINTS = 30.0


@dataclass(frozen=True)
class Dynamics:
    """How the solute moves.

    Attributes:
        ensemble: ``"nvt"`` (Langevin), ``"npt"`` (and a Monte Carlo barostat at 1 bar) or ``"nve"`` (Verlet).
        picoseconds: length of the run.
        temperature: K; of ``"nve"`` at its start.
        time_step: fs.
        mm_time_step: of the force field's forces, fs: a whole multiple of ``time_step``, at which those of the potential act (r-RESPA:
            Tuckerman, Berne and Martyna, J. Chem. Phys. 97, 1990, 1992); None: as ``time_step``. Temperatures are then those of
            velocities at whole steps, low by (ω ``mm_time_step``)²/4 in a mode of frequency ω, such as the libration of water.
        interval: steps between two frames.
        equilibration: of the water around the frozen solute, ps.
        relaxation: with the potential, before the first frame, strongly coupled to the thermostat, ps.
        zone, switch: the water that the potential sees, and the width over which its charges are switched off, angstrom.
        friction: of the thermostat, 1/ps.
        seed: of velocities and thermostat.
        margin: how far beyond the distances of its training data the potential may be asked, angstrom, before the run stops.
    """

    ensemble: str = "nvt"
    picoseconds: float = 100.0
    temperature: float = 300.0
    time_step: float = 0.5
    mm_time_step: float | None = None
    interval: int = 50
    equilibration: float = 10.0
    relaxation: float = 0.5
    zone: float = 14.0
    switch: float = 2.0
    friction: float = 1.0
    seed: int = 0
    margin: float = MARGIN

    def __post_init__(self):
        if self.ensemble not in ENSEMBLES:
            raise InputError(f"ensemble {self.ensemble!r}: choose one of {', '.join(ENSEMBLES)}.")
        for name in ("picoseconds", "temperature", "time_step", "interval", "friction"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name} must be positive, got {getattr(self, name)!r}.")
        for name in ("equilibration", "relaxation", "seed"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)!r}.")
        if self.mm_time_step is not None and not (np.isfinite(self.mm_time_step) and self.n_inner >= 1 and self._is_multiple):
            raise InputError(f"mm_time_step must be a multiple of time_step, {self.time_step:g} fs, got {self.mm_time_step!r}.")
        if self.interval % self.n_inner:
            nearest = max(1, self.interval // self.n_inner) * self.n_inner
            raise InputError(
                f"interval must be a multiple of the {self.n_inner} steps in one of mm_time_step, such as {nearest}, got {self.interval}."
            )
        check_margin(self.margin)
        Zone(self.zone, self.switch)  # complains

    @property
    def n_inner(self) -> int:
        """Steps of the potential in one of the force field."""
        return 1 if self.mm_time_step is None else round(self.mm_time_step / self.time_step)

    @property
    def _is_multiple(self) -> bool:
        return abs(self.mm_time_step - self.n_inner * self.time_step) < 1e-6 * self.time_step

    @property
    def n_frames(self) -> int:
        """Frames of the run."""
        return max(1, round(1e3 * self.picoseconds / (self.time_step * self.interval)))


class Run:
    """A run in a folder: ``trajectory.dcd``, ``energies.csv``, ``topology.pdb``, ``checkpoint.npz``, in the end ``summary.json``.

    Args:
        folder: of the run; one that holds a run with the same settings goes on.
        potentials: paths or names (:func:`amp_tf.load_potential`); several are a committee.
        setup: what moves, :class:`amp_tf.simulation.scene.SoluteInWater` or :class:`amp_tf.simulation.scene.PreparedSystem`.
        dynamics: how.
        xla: compile the potential.
        n_threads: of OpenMM; None: OPENMM_CPU_THREADS of the environment, or all cores.
        collect: an extended xyz to which frames go that are worth labelling (:class:`amp_tf.simulation.collect.Collection`), for a
            committee.
        collect_above: disagreement of the committee from which a frame is kept, kJ/mol/angstrom.

    Raises:
        InputError: if the potential does not fit, or frames are to be collected without a committee.
        DataFileError: for a path that is no potential.
        EngineError: without OpenMM or MDTraj.

    Attributes:
        curves: once it has run, the radial distribution functions of water around the solute.
        scene: once it has run, what was simulated.
    """

    def __init__(
        self, folder: Path, potentials: list[Path], setup: Setup, dynamics: Dynamics, xla: bool = True, n_threads: int | None = None,
        collect: Path | None = None, collect_above: float = COLLECT_ABOVE,
    ):  # fmt: skip
        import_openmm()
        import_mdtraj()
        self.curves: Curves = {}
        self.folder, self.setup, self.dynamics = as_folder(folder), setup, dynamics
        self.potentials = [potential_file(path) for path in potentials]
        self.solute = setup.solute
        self.xla, self.n_threads = xla, n_threads
        loaded = [load_potential(path) for path in self.potentials]
        if collect is not None and sum(len(members_of(potential)) for potential in loaded) < 2:
            raise InputError("frames are collected where the members of a committee disagree; give two potentials or more.")
        self._collect, self._collect_above = collect, collect_above
        self._collection: Collection | None = None
        self._collected_elsewhere: dict[str, np.ndarray] = {}  # by this run, when it was called with --collect before
        self.trajectory, self.energies = self.folder / TRAJECTORY, self.folder / ENERGIES
        self._checkpoint, self._start, self._stopped = (self.folder / name for name in (CHECKPOINT, "start.npz", STOPPED))
        self._n_stops = 0
        if dynamics.ensemble == "npt" and not setup.is_periodic:
            raise InputError("what stands in no periodic box has no pressure; choose nvt or nve.")
        if not setup.is_alone:
            for path, potential in zip(self.potentials, loaded, strict=True):
                check_embeds(potential, path)

    def _take_folder(self) -> None:
        settings = {
            "dynamics": {key: value for key, value in asdict(self.dynamics).items() if key not in CHANGEABLE and value is not None},
            "potentials": [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.potentials],
            "system": self.setup.record(),
        }
        take_folder(self.folder, settings)

    def was_stopped(self) -> bool:
        """Whether the potential has stopped the run in the folder.

        Raises:
            InputError: if the folder holds another run.
        """
        with locked(self.folder):
            self._take_folder()
            return self._stopped.is_file()

    def run(self, progress: bool = True) -> dict[str, Any]:
        """Equilibrate, simulate or go on, and sum up.

        Returns:
            The summary, which ``summary.json`` holds too.

        Raises:
            InputError: if the folder holds another run, or the system does not fit the potential.
            DataFileError: if the files of the run are damaged.
            AmpTFError: if it was interrupted or cannot go on; says how to go on.
        """
        with locked(self.folder):
            self._take_folder()
            try:
                return self._run(progress)
            finally:
                if self._collection is not None:
                    self._collection.close()

    def _run(self, progress: bool) -> dict[str, Any]:
        from amp_tf.interfaces.openmm import original_errors

        remove_partial_files(self.folder)
        state = read_npz(self._checkpoint, STATE) if self._checkpoint.is_file() else None
        stopped = read_npz(self._stopped, ("n_stops",)) if self._stopped.is_file() else {}
        self._n_stops = int(stopped.get("n_stops", 0))
        self._find_collection([known for known in (state, stopped) if known and "collected_path" in known])
        if not self._start.is_file():
            seeds = self._seed(0), self._seed(1), self._seed(2)
            with original_errors():
                start = self.setup.start(self.potentials[0], self.dynamics, seeds, self.n_threads)
            self._save(self._start, dict(zip(START, start, strict=True)))
        start = read_npz(self._start, START)
        self.scene = self.setup.scene(start["positions"], start["box"])
        self._is_periodic = bool(np.any(start["box"]))
        self._masses, self._n_constraints = self.scene.masses, self.scene.n_constraints
        if self._is_periodic and not self.setup.is_alone:
            solute = whole_at_first(start["positions"][self.scene.atoms], start["box"])
            Zone(self.dynamics.zone, self.dynamics.switch).check_box(start["box"], solute)
        system = self._system()
        self._write_pdb(start["positions"])
        is_new = state is None
        if state is None:
            state = self._relax(system, start, progress)
        if is_new or self._collection is not None:  # whose file, where it is new too, is this run's from here on
            self._save(self._checkpoint, state | self._collected())
        return self._go_on(system, state, progress)

    # Building ----------------------------------------------------------------------------------------------------------------------------

    def _system(self) -> Any:
        from amp_tf.interfaces.openmm import mixed_system

        chosen, scene = self.dynamics, self.scene
        mixed, self._embedded = mixed_system(
            scene.topology, scene.system, scene.atoms, self.potentials, float(self.solute.charge), Zone(chosen.zone, chosen.switch),
            self.xla, POTENTIAL_GROUP, chosen.margin,
        )  # fmt: skip
        if chosen.ensemble == "npt":
            mixed.addForce(import_openmm().MonteCarloBarostat(1.0, chosen.temperature))
        return mixed

    def _simulation(self, system, state: dict[str, np.ndarray], is_production: bool) -> Simulation:
        openmm, chosen = import_openmm(), self.dynamics
        step = int(state.get("step", 0))
        n_inner = chosen.n_inner if is_production else 1
        time_step, is_nve = 1e-3 * n_inner * chosen.time_step, chosen.ensemble == "nve" and is_production
        thermostat = () if is_nve else (chosen.temperature, chosen.friction if is_production else STRONG_FRICTION)
        if n_inner > 1:
            slow = {force.getForceGroup() for force in system.getForces()} - {POTENTIAL_GROUP}
            groups = [*((group, 1) for group in sorted(slow)), (POTENTIAL_GROUP, n_inner)]
            integrator = (openmm.MTSIntegrator if is_nve else openmm.MTSLangevinIntegrator)(*thermostat, time_step, groups)
        else:
            integrator = (openmm.VerletIntegrator if is_nve else openmm.LangevinMiddleIntegrator)(*thermostat, time_step)
        if not is_nve:
            integrator.setRandomNumberSeed(self._seed(10 + step, self._n_stops))
        integrator.setConstraintTolerance(1e-7)
        for force in system.getForces():
            if isinstance(force, openmm.MonteCarloBarostat):
                force.setFrequency(max(1, BAROSTAT_INTERVAL // n_inner) if is_production else 0)
                force.setRandomNumberSeed(self._seed(11 + step, self._n_stops))
        simulation = on_cpu(system, integrator, state["positions"], state["box"] if self._is_periodic else None, self.n_threads, n_inner)
        simulation.context.setTime(1e-3 * step * chosen.time_step if is_production else -chosen.relaxation)
        if "velocities" in state:
            simulation.context.setVelocities(state["velocities"] / NM)
        return simulation

    def _relax(self, system, state: dict[str, np.ndarray], progress: bool) -> dict[str, np.ndarray]:
        """Dynamics with a strong thermostat, so that the solute finds its place in the water."""
        from amp_tf.interfaces.openmm import original_errors

        chosen = self.dynamics
        simulation = self._simulation(system, state, is_production=False)
        with self._saving_the_last_frame(simulation), original_errors():
            simulation.context.setVelocitiesToTemperature(chosen.temperature, self._seed(3, self._n_stops))
            n_steps = round(1e3 * chosen.relaxation / chosen.time_step)
            with progress_bar(total=n_steps, desc="relaxation", unit="step", disable=not progress) as bar:
                for first in range(0, n_steps, chosen.interval):
                    n = min(chosen.interval, n_steps - first)
                    simulation.step(n)
                    bar.update(n)
        return self._state(simulation, 0) | dict.fromkeys(("trajectory_bytes", "energies_bytes"), np.array(0))

    # Running -----------------------------------------------------------------------------------------------------------------------------

    def _go_on(self, system, state: dict[str, np.ndarray], progress: bool) -> dict[str, Any]:
        from amp_tf.interfaces.openmm import original_errors

        chosen = self.dynamics
        first = int(state["step"]) // chosen.interval
        cut_back(self.folder, state, first)
        simulation = self._simulation(system, state, is_production=True)
        saved = began = time.monotonic()
        last = state
        try:
            with (
                self._saving_the_last_frame(simulation),
                self._open(first) as dcd,
                open(self.energies, "a", newline="") as table,
                original_errors(),
            ):
                writer = csv.writer(table)
                bar = progress_bar(total=chosen.n_frames, initial=first, desc="dynamics", unit="frame", disable=not progress)
                with bar:
                    for frame in range(first, chosen.n_frames):
                        simulation.step(chosen.interval)
                        self._write_frame(simulation, frame + 1, dcd, writer)
                        lengths = {"trajectory_bytes": np.array(dcd.length()), "energies_bytes": np.array(table.tell())}
                        last = self._state(simulation, (frame + 1) * chosen.interval) | lengths | self._collected()
                        bar.update()
                        nanoseconds = (frame + 1 - first) * chosen.interval * chosen.time_step * 1e-6
                        bar.set_postfix({"ns/day": f"{nanoseconds / (time.monotonic() - began) * 86400:.3g}"}, refresh=False)
                        if frame + 1 == chosen.n_frames or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                            self._keep(last)
                            saved = time.monotonic()
        except KeyboardInterrupt as error:
            self._keep(last)
            raise AmpTFError(f"interrupted; the run in {self.folder} is kept: run the same command to go on.") from error
        from amp_tf.simulation.summary import sum_up

        summary, self.curves = sum_up(self.folder, self.scene)
        summary["degrees_of_freedom"] = 3 * int(np.count_nonzero(self._masses)) - self._n_constraints
        summary["stops"] = self._n_stops
        write_text(self.folder / "summary.json", json.dumps(summary, indent=1))
        return summary

    @contextmanager
    def _saving_the_last_frame(self, simulation: Simulation) -> Iterator[None]:
        """Where the potential stops the run, its geometry is kept, and the error tells when and where.

        The same command then goes on from the checkpoint with other random numbers, which may lead elsewhere; the summary counts the stops.
        """
        try:
            yield
        except (SimulationError, InputError) as error:
            now, path, seen = simulation.picoseconds(), self.folder / LAST_FRAME, self._embedded.seen
            positions = simulation.positions()[self.scene.atoms]
            if seen is not None:  # whole, and the last that the potential was asked for
                positions = seen.positions
                write_text(self.folder / LAST_CHARGES, charge_lines(seen))
            with whole_file(path) as partial:
                Atoms(self.solute.atomic_numbers, positions, info={"charge": self.solute.charge}).write(partial, format="extxyz")
            if self._collection is not None and seen is not None:
                self._collection.keep(seen, now)
            self._save(self._stopped, {"n_stops": np.array(self._n_stops + 1)} | self._collected())
            when = f"at {now:.4f} ps" if now >= 0.0 else "before the first frame"
            is_same_again = self.dynamics.ensemble == "nve" and now >= 0.0
            how = "and may meet this frame again unless the margin is wider" if is_same_again else "with other random numbers"
            raise SimulationError(
                f"stopped {when}: {error} The frame is in {path}; the same command goes on {how}; settings other than margin and length "
                "need another folder."
            ) from error

    def _record(self, simulation: Simulation, frame: int) -> list[float]:
        """The row of a frame."""
        state = simulation.context.getState(positions=True, velocities=True, energy=True)
        of_solute = simulation.context.getState(energy=True, groups={POTENTIAL_GROUP}).getPotentialEnergy()._value
        positions, velocities = (values._value * NM for values in (state.getPositions(asNumpy=True), state.getVelocities(asNumpy=True)))
        scene, box = self.scene, state.getPeriodicBoxVectors(asNumpy=True)._value * NM
        solute, pairs = whole_at_first(positions[scene.atoms], box if self._is_periodic else None), bonded_pairs(self.solute)
        lengths = np.linalg.norm(solute[pairs[:, 0]] - solute[pairs[:, 1]], axis=1)
        at_start = np.linalg.norm(self.solute.positions[pairs[:, 0]] - self.solute.positions[pairs[:, 1]], axis=1)
        potential, kinetic = state.getPotentialEnergy()._value, state.getKineticEnergy()._value
        if not np.isfinite(potential):
            raise SimulationError("the energy is no number any more.")
        others = np.setdiff1d(np.flatnonzero(self._masses), scene.atoms)
        return [
            frame * self.dynamics.interval, self._time(frame), potential, kinetic, potential + kinetic, of_solute,
            temperature(self._masses[scene.atoms], velocities[scene.atoms], 0),
            temperature(self._masses[others], velocities[others], self._n_constraints),
            float(np.linalg.det(box)) if self._is_periodic else float("nan"),
            float(np.max(lengths / at_start, initial=1.0)),
        ]  # fmt: skip

    def _time(self, frame: int) -> float:
        return 1e-3 * frame * self.dynamics.interval * self.dynamics.time_step

    def _state(self, simulation: Simulation, step: int) -> dict[str, np.ndarray]:
        state = simulation.context.getState(positions=True, velocities=True)
        return {
            "step": np.array(step),
            "positions": state.getPositions(asNumpy=True)._value * NM,
            "velocities": state.getVelocities(asNumpy=True)._value * NM,
            "box": state.getPeriodicBoxVectors(asNumpy=True)._value * NM * self._is_periodic,
        }

    def _write_frame(self, simulation: Simulation, frame: int, dcd: Trajectory, writer) -> None:
        """Append a frame to trajectory and energies, and offer it to the collection."""
        record = self._record(simulation, frame)
        dcd.write(simulation)
        if self._collection is not None:
            self._collection.offer(self._embedded.seen, self._embedded.disagreement, self._time(frame))
        writer.writerow(record)

    def _keep(self, state: dict[str, np.ndarray]) -> None:
        """Write the checkpoint, once what it says of the other files is on the disk."""
        for path in (self.trajectory, self.energies):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        self._save(self._checkpoint, state)

    def _find_collection(self, known: list[dict[str, np.ndarray]]) -> None:
        """Open the files of collected frames as long as this run left them, at its checkpoint or where it was stopped after that."""
        if self._collect is None:
            if known:
                path = known[-1]["collected_path"]
                self._collected_elsewhere = {"collected_path": path, "collected_bytes": _longest(known, str(path))}
            return
        self._collection = Collection(self._collect, self._collect_above, _longest(known, str(Path(self._collect).resolve())))

    def _collected(self) -> dict[str, np.ndarray]:
        """What checkpoints remember of the files of collected frames."""
        if self._collection is None:
            return self._collected_elsewhere
        path = self._collection.paths[0].resolve()
        return {"collected_path": np.array(str(path)), "collected_bytes": self._collection.lengths()}

    @property
    def n_collected(self) -> int:
        """Frames that the file of collected frames holds."""
        return 0 if self._collection is None else len(self._collection)

    def _save(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        with whole_file(path) as partial:
            np.savez(partial, **arrays)

    def _open(self, n_frames: int) -> Trajectory:
        chosen = self.dynamics
        return Trajectory(self.trajectory, self.scene.topology, 1e-3 * chosen.time_step, chosen.interval, n_frames)

    def _write_pdb(self, positions: np.ndarray) -> None:
        app, path = import_openmm().app, self.folder / "topology.pdb"
        with whole_file(path) as partial, open(partial, "w") as file:
            app.PDBFile.writeFile(self.scene.topology, positions / NM, file)

    def _seed(self, number: int, n_stops: int = 0) -> int:
        """Of each purpose its own; after each time that the potential stopped the run another."""
        entropy = [self.dynamics.seed, number, *([n_stops] if n_stops else [])]
        return int(np.random.default_rng(entropy).integers(1, 2**31 - 1))


def _longest(known: list[dict[str, np.ndarray]], path: str) -> np.ndarray | None:
    """Of what a run remembers of the files of collected frames, the lengths where they were longest, if they are those of ``path``."""
    lengths = [one["collected_bytes"] for one in known if str(one["collected_path"]) == path]
    return np.max(lengths, axis=0) if lengths else None
