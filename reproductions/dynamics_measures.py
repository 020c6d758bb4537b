"""The measures of a potential's fitness for dynamics: bonds, gas, water, energy conservation, speed; rows of each."""

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import mdtraj
import numpy as np
from ase.data import chemical_symbols

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import SimulationError
from amp_tf.interfaces.zone import Zone, compute_embedded
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import CHUNK, Curves, RadialDistributions, read_trajectory
from amp_tf.simulation.run_files import COLUMNS
from amp_tf.simulation.scene import SoluteInWater
from amp_tf.simulation.solutes import Solute
from amp_tf.simulation.summary import first_peak
from amp_tf.simulation.water_box import WATER_CHARGES
from amp_tf.systems import System
from common.results import Row, numbers, row
from datasets.engines import Calculation
from datasets.parts import in_worker
from datasets.qmmm_sampling import Trajectory, embedded_zone
from reproductions.bond_scans import Scan, barrier_error, bonds_to_hydrogen, deepest_hole, scans, water_on_bond
from reproductions.dynamics_holes import errors_in_holes
from reproductions.dynamics_task import SOLUTE, THEORIES, Task, snapshots_of
from reproductions.own_frames import errors_on_own_frames

THREADS = os.environ.get("TF_NUM_INTRAOP_THREADS", "all cores")
"""Of TensorFlow in this process, as it reads them at its start."""

QUARTERS = 4
"""Of the run at constant energy, whose drifts are compared."""

DONORS, WATER_DISTANCES = ("N", "O"), (1.7, 1.8, 1.9, 2.0, 2.1, 2.2, 2.4, 2.7, 3.0, 3.5, 4.0, 5.0)
"""Partners of hydrogen atoms that a water molecule is put on, and where, angstrom."""

MM_TIME_STEP = 2.0
"""Of the force field in the run in water, fs."""

BARRIER_LENGTH, HOLES_BETWEEN = 1.9, (0.7, 2.5)
"""Where barriers are compared, and holes looked for, angstrom."""


def scan_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """Bonds to hydrogen, stretched, and a water molecule on those of donors, of potential and labels."""
    frame = next(iter(task.reference.calculations().values()))
    most_steps = task.size.most_relaxation_steps if THEORIES[task.theory].relaxes else None
    found = scans(task.solute, task.potential, task.engine, frame, task.size.lengths, most_steps)
    rows = []
    for scan in found:
        who = {"measure": f"{scan.bond}, {scan.where}, {scan.how}"}
        rows.append(row("barrier_error", "", barrier_error(scan, BARRIER_LENGTH), None, **who))
        rows.append(row("deepest_hole", "kJ/mol", deepest_hole(scan, HOLES_BETWEEN), None, **who))
        if scan.how == "relaxed":
            rows.append(row("points_not_relaxed", f"of {len(scan.lengths)}", len(scan.unrelaxed), None, **who))
    solute = task.solute
    for hydrogen, partner in bonds_to_hydrogen(solute):
        name = chemical_symbols[solute.atomic_numbers[partner]]
        if name in DONORS:
            ours, labels = water_on_bond(solute, task.potential, task.engine, hydrogen, partner, WATER_DISTANCES)
            span = f"{WATER_DISTANCES[0]:g} to {WATER_DISTANCES[-1]:g} angstrom"
            who = {"measure": f"charges of a water molecule {span} from {name}{partner + 1}-H{hydrogen + 1}"}
            rows.append(row("hydrogen_bond_error", "kJ/mol", float(np.nanmax(np.abs(ours - labels))), None, **who))
    if THEORIES[task.theory].relaxes:
        n_walks = -(-task.size.n_walks // 4)
        errors = errors_in_holes(task.potential, task.engine, solute, snapshots_of(read_reference_data(task.data))[0], n_walks, seed=1)
        known = errors[np.isfinite(errors)]
        who = {"measure": f"{len(errors)} frames that {n_walks} stretched bonds lead to, relaxed in water"}
        rows.append(row("labels_that_failed", "", len(errors) - len(known), None, **who))
        rows.append(row("energy_mae", "kJ/mol", float(np.mean(np.abs(known))), None, **who))
        rows.append(row("most_negative_error", "kJ/mol", float(np.min(known)), None, **who))
    return rows, {"scans": [_as_json(scan) for scan in found]}


def _as_json(scan: Scan) -> dict[str, Any]:
    curves = {name: numbers(getattr(scan, name), 2) for name in ("lengths", "potential", "label", "unrelaxed")}
    return {"bond": scan.bond, "where": scan.where, "how": scan.how, **curves}


def simulate(task: Task, name: str, **changes: Any) -> tuple[dict[str, Any], Run]:
    """A run in water and its summary."""
    setup, dynamics = SoluteInWater(task.solute), Dynamics(**changes | task.size.dynamics)
    run = Run(task.folder(name), [task.path], setup, dynamics, task.size.xla)
    return run.run(), run


def gas_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """Independent runs, as many at a time as there are cores, a thread each."""
    for pool in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{pool}_THREADS", "1")  # of the processes to come
    runs = [(temperature, seed) for temperature, n_seeds in task.size.gas.items() for seed in range(n_seeds)]
    settings = {"picoseconds": task.size.gas_time, "interval": 100} | task.size.dynamics
    calls = (
        joblib.delayed(in_worker)(os.getpid(), _gas_run, task.folder(f"gas-{temperature:g}-{seed}"), task.path, task.solute, task.size.xla,
                                  settings | {"temperature": temperature, "seed": seed})
        for temperature, seed in runs
    )  # fmt: skip
    ends = dict(zip(runs, joblib.Parallel(n_jobs=min(joblib.cpu_count(), len(runs)))(calls), strict=True))
    rows = []
    for temperature, n_seeds in task.size.gas.items():
        of_temperature = [ends[temperature, seed] for seed in range(n_seeds)]
        who = {"measure": f"gas, {temperature:g} K, {n_seeds} seeds, {task.size.gas_time:g} ps"}
        rows.append(row("runs_whole", "", sum(is_whole for is_whole, _ in of_temperature), None, **who))
        rows.append(row("shortest_run", "ps", min(time for _, time in of_temperature), None, **who))
    return rows, {}


def _gas_run(folder: Path, path: Path, solute: Solute, xla: bool, settings: dict[str, Any]) -> tuple[bool, float]:
    """Whether the molecule was whole to the end, and how far the run came, ps: less where it left the range of the training data.

    A run that has stopped there does not go on with other random numbers.
    """
    run = Run(folder, [path], SoluteInWater(solute, gas=True), Dynamics(**settings), xla, n_threads=1)
    if not run.was_stopped():
        try:
            summary = run.run(progress=False)
            return summary["whole"], summary["picoseconds"]
        except SimulationError as error:
            print(f"{folder.name}: {error}", flush=True)
    rows = run.energies.read_text().splitlines()[1:] if run.energies.is_file() else []
    return False, float(rows[-1].split(",")[COLUMNS.index("time_ps")]) if rows else 0.0


def water_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """One long run; where water stands around the solute, beside the QM/MM dynamics of the reference.

    The uncertainty of a peak is what windows of our run scatter that are as long as the reference.
    """
    summary, run = simulate(task, "water", picoseconds=task.size.water, mm_time_step=MM_TIME_STEP, interval=40)
    who = {"measure": f"water, 300 K, {task.size.water:g} ps"}
    rows = [
        row("runs_whole", "", int(summary["whole"] and not summary["stops"]), None, **who),
        row("longest_bond", "", summary["longest_bond_by_its_start"], None, **who),
        row("solute_temperature", "K", summary["solute_temperature_k"], None, **who),
        row("water_temperature", "K", summary["surroundings_temperature_k"], None, **who),
        *errors_on_own_frames(task, run, THEORIES[task.theory].own_frames),
    ]
    return _structure(task, run, rows) if THEORIES[task.theory].samples else (rows, {})


def _structure(task: Task, run: Run, rows: list[Row]) -> tuple[list[Row], dict[str, Any]]:
    """``rows``, those of the peaks of water around the solute, and what is drawn of it."""
    ours, (reference, picoseconds) = run.curves, reference_curves(task.reference)
    windows, curves = window_curves(run, picoseconds), {}
    rows = [*rows, row("reference_length", "ps", picoseconds, None, measure="QM/MM dynamics of the reference")]
    for key, (distances, values) in ours.items():
        scatter = np.std([of_window[key][1] for of_window in windows], axis=0, ddof=1) if len(windows) > 1 else np.zeros(len(values))
        drawn = {"ours": values, "reference": reference[key][1], "scatter": scatter}
        curves[key] = {name: np.round(of_curve, 3).tolist() for name, of_curve in drawn.items()}
        kind, _, site = key.partition("-")
        peaks = first_peak(distances, values), first_peak(*reference[key])
        about = {"measure": f"first peak of water's {site} around {kind}"}
        if kind != "C" and not all(peaks):
            which = " and ".join(name for name, peak in zip(("the run", "the reference"), peaks, strict=True) if not peak)
            rows.append(row("peak_shift", "angstrom", None, None, measure=f"{about['measure']}: none in {which}"))
        elif kind != "C":
            of_windows = [peak for of_window in windows if (peak := first_peak(*of_window[key]))]
            far, high = peaks[0]["angstrom"] - peaks[1]["angstrom"], peaks[0]["g"] / peaks[1]["g"] - 1.0
            places, heights = ([peak[name] for peak in of_windows] for name in ("angstrom", "g"))
            rows.append(row("peak_shift", "angstrom", far, None, **about, uncertainty=_scatter(places)))
            rows.append(row("peak_height", "", high, None, **about, uncertainty=_scatter(np.divide(heights, peaks[0]["g"]))))
    return rows, {"distances": np.round(distances, 3).tolist(), "distributions": curves}


def _scatter(values: Sequence[float]) -> float | None:
    """Standard deviation of the difference between the mean of windows and one more; None for fewer than two."""
    return float(np.std(values, ddof=1) * np.sqrt(1.0 + 1.0 / len(values))) if len(values) > 1 else None


def window_curves(run: Run, picoseconds: float) -> list[Curves]:
    """Where water stands around the solute in each window of that length of a run."""
    per_window = max(1, round(1e3 * picoseconds / (run.dynamics.time_step * run.dynamics.interval)))
    whole: list[Curves] = []
    window, n_frames = RadialDistributions(run.scene.solute, run.scene.atoms, run.scene.waters), 0
    for frames in read_trajectory(run.trajectory, run.scene.topology):
        while len(frames):
            taken, frames = frames[: per_window - n_frames], frames[per_window - n_frames :]
            window.add(taken)
            n_frames += len(taken)
            if n_frames == per_window:
                whole.append(window.curves())
                window, n_frames = RadialDistributions(run.scene.solute, run.scene.atoms, run.scene.waters), 0
    return whole


def reference_curves(reference: Trajectory) -> tuple[Curves, float]:
    """Where water stands around the solute in the QM/MM dynamics, and their length, ps."""
    first, n_frames = next(iter(reference.snapshots())), 0
    box = reference.box * np.eye(3)
    scene = SoluteInWater(reference.solute).scene(first, box)
    found, topology = RadialDistributions(scene.solute, scene.atoms, scene.waters), mdtraj.Topology.from_openmm(scene.topology)
    snapshots = reference.snapshots()
    while chunk := list(itertools.islice(snapshots, CHUNK)):
        frames = mdtraj.Trajectory(0.1 * np.array(chunk), topology)
        frames.unitcell_vectors = np.repeat(0.1 * box[None], len(chunk), axis=0)
        found.add(frames)
        n_frames += len(chunk)
    return found.curves(), 1e-3 * n_frames * reference.sampling.stride * reference.sampling.time_step


def conservation_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """How well the energy is conserved without a thermostat, in water; the uncertainty of the drift is what quarters of the run tell."""
    summary, run = simulate(task, "conservation", ensemble="nve", picoseconds=task.size.conservation, relaxation=2.0)
    table = np.genfromtxt(run.energies, delimiter=",", names=True)
    energies = table["total_energy_kj_per_mol"] - table["total_energy_kj_per_mol"][0]
    stride = max(1, len(energies) // 400)
    who = {"measure": f"NVE, {task.size.conservation:g} ps"}
    n_free = summary["degrees_of_freedom"]
    quarters = zip(np.array_split(table["time_ps"], QUARTERS), np.array_split(energies, QUARTERS), strict=True)
    slopes = [np.polyfit(times, of_quarter, 1)[0] for times, of_quarter in quarters if len(times) > 1]
    error = float(np.std(slopes, ddof=1) / np.sqrt(len(slopes))) / n_free if len(slopes) == QUARTERS else None
    drift = summary["total_energy_drift_kj_per_mol_per_ps"] / n_free
    rows = [
        row("nve_drift", "kJ/mol/ps a degree of freedom", drift, None, **who, uncertainty=error),
        row("nve_rms", "kJ/mol", summary["total_energy_rms_about_the_line_kj_per_mol"], None, **who),
    ]
    drawn = {"times": np.round(table["time_ps"][::stride], 4).tolist(), "energies": np.round(energies[::stride], 4).tolist()}
    return rows, {"conservation": drawn}


def speed_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """The part of a step that the engine does, both in one run, in turn: from one snapshot to the next in steps of half a femtosecond."""
    frames = _path(task.reference, task.size.timed)
    charge = float(task.solute.charge)
    zone, seconds = Zone(task.reference.sampling.zone), {"potential": [], "engine": []}
    for number, (qm, mm, mm_charges) in enumerate(frames):
        began = time.perf_counter()
        around = zone.surroundings(qm, mm, mm_charges, np.arange(len(mm)) // 3)
        system = System(task.solute.atomic_numbers, qm, charge, around.positions, around.charges)
        compute_embedded([task.potential], system, around, len(mm), task.size.xla)
        between = time.perf_counter()
        task.reference.engine.embedded(Calculation(system.atomic_numbers, qm, charge=round(charge), mm_positions=mm, mm_charges=mm_charges))
        if number:  # the first step compiles
            seconds["potential"].append(between - began)
            seconds["engine"].append(time.perf_counter() - between)
    medians = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    who = {"measure": f"step of {SOLUTE} among {len(frames[0][2])} charges; threads: potential {THREADS}, engine 1"}
    rows = [row(f"{name}_time", "ms", value, None, **who) for name, value in medians.items()]
    return [*rows, row("step_ratio", "", medians["potential"] / medians["engine"], None, **who)], {}


def _path(reference: Trajectory, n_steps: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """QM positions, and positions and charges of the water around, on straight lines between snapshots."""
    snapshots = list(itertools.islice(reference.snapshots(), 2 + n_steps // reference.sampling.stride))
    n_water_atoms = len(snapshots[0]) - len(reference.solute.positions)
    found, stride = [], reference.sampling.stride
    _, _, numbers = embedded_zone(snapshots[0], n_water_atoms, reference.box, reference.sampling.zone)
    for number in range(n_steps + 1):
        first, part = divmod(number, stride)
        positions = snapshots[first] + (snapshots[first + 1] - snapshots[first]) * part / stride
        qm, mm, numbers = embedded_zone(positions, n_water_atoms, reference.box, reference.sampling.zone)
        found.append((qm, mm, np.tile(WATER_CHARGES, n_water_atoms // 3)[numbers]))
    return found
