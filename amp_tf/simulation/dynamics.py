"""Molecular dynamics of a solute that a potential describes, in water or alone, in files that a killed run goes on with."""

import csv
import hashlib
import json
import os
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from amp_tf.errors import AmpTFError, DataFileError, InputError, SimulationError
from amp_tf.files import PARTIAL, locked, whole_file, write_text
from amp_tf.interfaces.zone import Zone
from amp_tf.models import load_potential
from amp_tf.npz import read_npz
from amp_tf.simulation.observables import RadialDistributions, bond_names, bonded_pairs, temperature
from amp_tf.simulation.solutes import Solute
from amp_tf.simulation.water_box import (
    NM,
    Simulation,
    add_solute,
    box_length,
    equilibrated,
    force_field_system,
    import_openmm,
    on_cpu,
    water_topology,
)

ENSEMBLES = ("nvt", "npt", "nve")
COLUMNS = (
    "step", "time_ps", "potential_energy_kj_per_mol", "kinetic_energy_kj_per_mol", "total_energy_kj_per_mol", "solute_energy_kj_per_mol",
    "solute_temperature_k", "water_temperature_k", "box_edge_angstrom", "longest_bond_by_its_start",
)  # fmt: skip
START = ("positions", "box")
STATE = (*START, "step", "velocities", "bonds", "trajectory_bytes", "energies_bytes", "rdf_frames", "rdf_densities")
"""The arrays of ``start.npz`` and those that ``checkpoint.npz`` has at least."""

RUN_FILES = ("settings.json", "start.npz", "topology.pdb", "checkpoint.npz", "summary.json", "summary.png")
"""What is written whole, beside ``trajectory.dcd`` and ``energies.csv``."""

POTENTIAL_GROUP = 1
SECONDS_BETWEEN_CHECKPOINTS = 30.0


@dataclass(frozen=True)
class Dynamics:
    """How the solute moves.

    Attributes:
        ensemble: ``"nvt"`` (Langevin), ``"npt"`` (and a Monte Carlo barostat at 1 bar) or ``"nve"`` (Verlet).
        picoseconds: length of the run.
        temperature: K; of ``"nve"`` at its start.
        time_step: fs.
        interval: steps between two frames.
        equilibration: of the water around the frozen solute, ps.
        relaxation: with the potential, before the first frame, strongly coupled to the thermostat, ps.
        zone, switch: the water that the potential sees, and the width over which its charges are switched off, angstrom.
        gas: the solute alone.
        friction: of the thermostat, 1/ps.
        seed: of velocities and thermostat.
    """

    ensemble: str = "nvt"
    picoseconds: float = 100.0
    temperature: float = 300.0
    time_step: float = 0.5
    interval: int = 50
    equilibration: float = 10.0
    relaxation: float = 0.5
    zone: float = 14.0
    switch: float = 2.0
    gas: bool = False
    friction: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.ensemble not in ENSEMBLES:
            raise InputError(f"ensemble {self.ensemble!r}: choose one of {', '.join(ENSEMBLES)}.")
        if self.gas and self.ensemble == "npt":
            raise InputError("a solute alone has no pressure; choose nvt or nve.")
        for name in ("picoseconds", "temperature", "time_step", "interval", "friction"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)!r}.")

    @property
    def n_frames(self) -> int:
        """Frames of the run."""
        return max(1, round(1e3 * self.picoseconds / (self.time_step * self.interval)))


class Run:
    """A run in a folder: ``trajectory.dcd``, ``energies.csv``, ``topology.pdb``, ``checkpoint.npz``, in the end ``summary.json``.

    Args:
        folder: of the run; one that holds a run with the same settings goes on.
        potentials: paths; several are a committee.
        solute: what moves.
        dynamics: how.
        xla: compile the potential.
        n_threads: of OpenMM.

    Raises:
        InputError: if the folder holds another run, or the potential does not fit.
        DataFileError: if the files of the run are damaged.
        EngineError: without OpenMM.
    """

    def __init__(
        self, folder: Path, potentials: list[Path], solute: Solute, dynamics: Dynamics, xla: bool = True, n_threads: int = 2
    ):  # fmt: skip
        import_openmm()
        self.folder, self.potentials, self.solute, self.dynamics = Path(folder), potentials, solute, dynamics
        self.xla, self.n_threads = xla, n_threads
        self.trajectory, self.energies = self.folder / "trajectory.dcd", self.folder / "energies.csv"
        self._checkpoint, self._start = self.folder / "checkpoint.npz", self.folder / "start.npz"
        self._take_folder()

    def _take_folder(self) -> None:
        settings = {
            "dynamics": {key: value for key, value in asdict(self.dynamics).items() if key != "picoseconds"},
            "potentials": [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in self.potentials],
            "solute": {
                "name": self.solute.name, "charge": self.solute.charge, "atomic_numbers": self.solute.atomic_numbers.tolist(),
                "positions_angstrom": np.round(self.solute.positions, 3).tolist(),
            },
        }  # fmt: skip
        record = self.folder / "settings.json"
        if record.is_file():
            if (known := _read_settings(record)) != settings:
                differing = ", ".join(key for key in settings if known.get(key) != settings[key])
                raise InputError(f"{self.folder} holds a run with other settings ({differing}); choose another folder or remove that one.")
        else:
            write_text(record, json.dumps(settings, indent=1))

    def run(self, progress: bool = True) -> dict[str, Any]:
        """Equilibrate, simulate or go on, and sum up.

        Returns:
            The summary, which ``summary.json`` holds too.

        Raises:
            AmpTFError: if it was interrupted or cannot go on; says how to go on.
        """
        with locked(self.folder):
            return self._run(progress)

    def _run(self, progress: bool) -> dict[str, Any]:
        for name in RUN_FILES:  # what killed runs were writing
            for partial in self.folder.glob(f"{PARTIAL}*.{name}"):
                partial.unlink()
        if not self._start.is_file():
            self._save(self._start, self._equilibrate())
        positions, box = (read_npz(self._start, START)[name] for name in START)
        topology, system = self._system(len(positions) - len(self.solute.positions), float(box))
        self._write_pdb(topology, positions)
        state = read_npz(self._checkpoint, STATE) if self._checkpoint.is_file() else None
        if state is None:
            state = self._relax(system, positions, float(box))
            self.trajectory.unlink(missing_ok=True)
            with open(self.energies, "w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)
        return self._go_on(topology, system, state, progress)

    # Building ----------------------------------------------------------------------------------------------------------------------------

    def _equilibrate(self) -> dict[str, np.ndarray]:
        chosen, solute = self.dynamics, self.solute
        if chosen.gas:
            return {"positions": solute.positions, "box": np.array(0.0)}
        result = load_potential(self.potentials[0]).compute(solute.atomic_numbers, solute.positions, total_charge=float(solute.charge))
        if "charges" not in result:
            raise InputError(f"{self.potentials[0]} predicts no charges for water to stand around; use a potential with -P, or --gas.")
        seeds = self._seed(0), self._seed(1), self._seed(2)
        length = box_length(solute, chosen.zone)
        positions, box = equilibrated(
            solute, result["charges"], length, chosen.equilibration, chosen.temperature, chosen.friction, seeds, self.n_threads
        )
        return {"positions": positions, "box": np.array(box)}

    def _system(self, n_water_atoms: int, box: float) -> tuple[Any, Any]:
        from amp_tf.interfaces.openmm import make_mixed_system

        openmm = import_openmm()
        topology = water_topology(n_water_atoms // 3, box) if n_water_atoms else openmm.app.Topology()
        system = force_field_system(topology, self.solute, np.zeros(len(self.solute.positions)), frozen=False)
        add_solute(topology, self.solute)
        nonbonded = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
        if n_water_atoms:
            nonbonded.setEwaldErrorTolerance(1e-5)
            nonbonded.setUseSwitchingFunction(True)
            nonbonded.setSwitchingDistance(0.9)
        molecule = openmm.HarmonicBondForce()
        for first, second in bonded_pairs(self.solute):
            molecule.addBond(n_water_atoms + int(first), n_water_atoms + int(second), 0.1, 0.0)
        system.addForce(molecule)
        zone = Zone(self.dynamics.zone, self.dynamics.switch)
        atoms = range(n_water_atoms, system.getNumParticles())
        charge = float(self.solute.charge)
        return topology, make_mixed_system(topology, system, atoms, self.potentials, charge, zone, self.xla, POTENTIAL_GROUP)

    def _simulation(self, system, state: dict[str, np.ndarray], friction: float, thermostat: bool) -> Simulation:
        openmm, chosen = import_openmm(), self.dynamics
        step = int(state.get("step", 0))
        if thermostat:
            integrator = openmm.LangevinMiddleIntegrator(chosen.temperature, friction, 1e-3 * chosen.time_step)
            integrator.setRandomNumberSeed(self._seed(10 + step))
        else:
            integrator = openmm.VerletIntegrator(1e-3 * chosen.time_step)
        integrator.setConstraintTolerance(1e-7)
        if chosen.ensemble == "npt" and friction == chosen.friction:
            system = openmm.XmlSerializer.clone(system)
            barostat = openmm.MonteCarloBarostat(1.0, chosen.temperature)
            barostat.setRandomNumberSeed(self._seed(11 + step))
            system.addForce(barostat)
        simulation = on_cpu(system, integrator, state["positions"], float(state["box"]) or 100.0, self.n_threads)
        if "velocities" in state:
            simulation.context.setVelocities(state["velocities"] / NM)
        return simulation

    def _relax(self, system, positions: np.ndarray, box: float) -> dict[str, np.ndarray]:
        """Downhill, then dynamics with a strong thermostat, so that the solute finds its place in the water."""
        from amp_tf.interfaces.openmm import original_errors

        openmm, chosen = import_openmm(), self.dynamics
        state = {"positions": positions, "box": np.array(box)}
        simulation = self._simulation(system, state, 10.0, True)
        with original_errors():
            openmm.LocalEnergyMinimizer.minimize(simulation.context, maxIterations=50)
            simulation.context.setVelocitiesToTemperature(chosen.temperature, self._seed(3))
            simulation.step(round(1e3 * chosen.relaxation / chosen.time_step))
        return self._state(simulation, 0) | {"bonds": np.zeros((0, len(bonded_pairs(self.solute))), np.float32)}

    # Running -----------------------------------------------------------------------------------------------------------------------------

    def _go_on(self, topology, system, state: dict[str, np.ndarray], progress: bool) -> dict[str, Any]:
        from amp_tf.interfaces.openmm import original_errors

        chosen = self.dynamics
        first = int(state["step"]) // chosen.interval
        self._cut_back(state, first)
        distributions = self._distributions(state)
        bond_lengths = list(state["bonds"])
        simulation = self._simulation(system, state, chosen.friction, chosen.ensemble != "nve")
        saved = began = time.monotonic()
        frame = first
        try:
            with self._open(topology, first) as dcd, open(self.energies, "a", newline="") as table, original_errors():
                writer = csv.writer(table)
                bar = tqdm(total=chosen.n_frames, initial=first, desc="dynamics", unit="frame", disable=not progress)
                with bar:
                    for frame in range(first, chosen.n_frames):
                        simulation.step(chosen.interval)
                        record, lengths = self._record(simulation, frame + 1, distributions)
                        dcd.write(simulation)
                        writer.writerow(record)
                        bond_lengths.append(lengths)
                        bar.update()
                        nanoseconds = (frame + 1 - first) * chosen.interval * chosen.time_step * 1e-6
                        bar.set_postfix({"ns/day": f"{nanoseconds / (time.monotonic() - began) * 86400:.3g}"}, refresh=False)
                        if frame + 1 == chosen.n_frames or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                            table.flush()
                            self._keep(simulation, frame + 1, dcd, table, bond_lengths, distributions)
                            saved = time.monotonic()
        except KeyboardInterrupt as error:
            raise AmpTFError(f"interrupted; the run in {self.folder} is kept: run the same command to go on.") from error
        except SimulationError as error:
            self._write_xyz(simulation, frame)
            raise SimulationError(f"stopped at {self._time(frame):.3f} ps: {error} The frame is in {self.folder / 'last.xyz'}.") from error
        from amp_tf.simulation.summary import sum_up

        summary = sum_up(self.folder, np.array(bond_lengths), bond_names(self.solute), distributions)
        write_text(self.folder / "summary.json", json.dumps(summary, indent=1))
        return summary

    def _record(self, simulation: Simulation, frame: int, distributions: RadialDistributions) -> tuple[list[float], np.ndarray]:
        """The row of a frame and the lengths of the solute's bonds, angstrom."""
        state = simulation.context.getState(positions=True, velocities=True, energy=True)
        of_solute = simulation.context.getState(energy=True, groups={POTENTIAL_GROUP}).getPotentialEnergy()._value
        positions, velocities = (values._value * NM for values in (state.getPositions(asNumpy=True), state.getVelocities(asNumpy=True)))
        n_water_atoms = len(positions) - len(self.solute.positions)
        system = simulation.context.getSystem()
        masses = np.array([system.getParticleMass(number)._value for number in range(len(positions))])
        box = float(state.getPeriodicBoxVectors(asNumpy=True)._value[0, 0] * NM)
        solute, pairs = positions[n_water_atoms:], bonded_pairs(self.solute)
        lengths = np.linalg.norm(solute[pairs[:, 0]] - solute[pairs[:, 1]], axis=1)
        at_start = np.linalg.norm(self.solute.positions[pairs[:, 0]] - self.solute.positions[pairs[:, 1]], axis=1)
        if n_water_atoms:
            distributions.add(solute, positions[:n_water_atoms].reshape(-1, 3, 3), box)
        potential, kinetic = state.getPotentialEnergy()._value, state.getKineticEnergy()._value
        if not np.isfinite(potential):
            raise SimulationError("the energy is no number any more.")
        row = [
            frame * self.dynamics.interval, self._time(frame), potential, kinetic, potential + kinetic, of_solute,
            temperature(masses[n_water_atoms:], velocities[n_water_atoms:], 0),
            temperature(masses[:n_water_atoms], velocities[:n_water_atoms], n_water_atoms), box if n_water_atoms else float("nan"),
            float(np.max(lengths / at_start, initial=1.0)),
        ]  # fmt: skip
        return row, lengths.astype(np.float32)

    def _time(self, frame: int) -> float:
        return 1e-3 * frame * self.dynamics.interval * self.dynamics.time_step

    def _state(self, simulation: Simulation, step: int) -> dict[str, np.ndarray]:
        state = simulation.context.getState(positions=True, velocities=True)
        return {
            "step": np.array(step),
            "positions": state.getPositions(asNumpy=True)._value * NM,
            "velocities": state.getVelocities(asNumpy=True)._value * NM,
            "box": state.getPeriodicBoxVectors(asNumpy=True)._value[0, 0] * NM * (not self.dynamics.gas),
        }

    def _keep(self, simulation: Simulation, frame: int, dcd: "_Trajectory", table, bond_lengths, distributions) -> None:
        """Write the checkpoint: where to go on, and how long the files were then."""
        counts = {f"rdf {key}": values for key, values in distributions.counts.items()}
        self._save(
            self._checkpoint,
            self._state(simulation, frame * self.dynamics.interval)
            | {"trajectory_bytes": np.array(dcd.flush()), "energies_bytes": np.array(table.tell()), "bonds": np.array(bond_lengths)}
            | {"rdf_frames": np.array(distributions.n_frames), "rdf_densities": np.array(distributions.densities)} | counts,
        )  # fmt: skip

    def _save(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        with whole_file(path) as partial:
            np.savez(partial, **arrays)

    def _distributions(self, state: dict[str, np.ndarray]) -> RadialDistributions:
        counts = {key.removeprefix("rdf "): state[key] for key in state if key.startswith("rdf ")}
        return RadialDistributions(self.solute, counts, int(state.get("rdf_frames", 0)), float(state.get("rdf_densities", 0.0)))

    def _cut_back(self, state: dict[str, np.ndarray], n_frames: int) -> None:
        """Cut the files to their lengths at the checkpoint: what a killed run wrote after it comes once more."""
        if n_frames:
            for path, size in {self.trajectory: int(state["trajectory_bytes"]), self.energies: int(state["energies_bytes"])}.items():
                if not path.is_file() or path.stat().st_size < size:
                    raise DataFileError(f"{path}: shorter than {self._checkpoint} says; copy it again, or delete both to start anew.")
                with open(path, "rb+") as file:
                    file.truncate(size)
            with open(self.trajectory, "rb+") as file:
                file.seek(8)
                file.write(struct.pack("<i", n_frames))

    def _open(self, topology, n_frames: int) -> "_Trajectory":
        return _Trajectory(self.trajectory, topology, self.dynamics, n_frames)

    def _write_pdb(self, topology, positions: np.ndarray) -> None:
        app, path = import_openmm().app, self.folder / "topology.pdb"
        with whole_file(path) as partial, open(partial, "w") as file:
            app.PDBFile.writeFile(topology, positions / NM, file)

    def _write_xyz(self, simulation: Simulation, frame: int) -> None:
        from ase import Atoms

        positions = simulation.positions()[-len(self.solute.positions) :]
        Atoms(self.solute.atomic_numbers, positions, info={"charge": self.solute.charge, "frame": frame}).write(self.folder / "last.xyz")

    def _seed(self, number: int) -> int:
        return int(np.random.default_rng([self.dynamics.seed, number]).integers(1, 2**31 - 1))


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{path}: damaged; remove its folder to start anew.") from error
    if not isinstance(settings, dict):
        raise DataFileError(f"{path}: damaged; remove its folder to start anew.")
    return settings


class _Trajectory:
    """A DCD file that is appended to."""

    def __init__(self, path: Path, topology, dynamics: Dynamics, n_frames: int):
        self._file = open(path, "rb+" if n_frames else "wb+")  # noqa: SIM115 (closed by __exit__)
        interval = dynamics.interval
        dcd = import_openmm().app.DCDFile
        self._dcd = dcd(self._file, topology, 1e-3 * dynamics.time_step, interval, interval, append=n_frames > 0)

    def __enter__(self) -> "_Trajectory":
        return self

    def __exit__(self, *error) -> None:
        self._file.close()

    def write(self, simulation: Simulation) -> None:
        """Append a frame, molecules whole."""
        state = simulation.context.getState(
            positions=True, enforcePeriodicBox=simulation.context.getSystem().usesPeriodicBoundaryConditions()
        )
        self._dcd.writeModel(state.getPositions(asNumpy=True), periodicBoxVectors=state.getPeriodicBoxVectors())

    def flush(self) -> int:
        """Flush to the disk; returns the length of the file in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.seek(0, 2)
