"""Dynamics with an embedded potential: is it fit for them? Bonds, gas, water, energy conservation, speed. ``make reproduce-dynamics``."""

import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import joblib
import mdtraj
import numpy as np
import typer

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError, SimulationError
from amp_tf.files import sha256_of
from amp_tf.interfaces.zone import Zone, compute_embedded
from amp_tf.models import Potential, load_potential
from amp_tf.shipped import FOLDER
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import CHUNK, Curves, RadialDistributions
from amp_tf.simulation.run_files import COLUMNS
from amp_tf.simulation.scene import SoluteInWater
from amp_tf.simulation.solutes import Solute, solute_by_name
from amp_tf.simulation.summary import first_peak
from amp_tf.simulation.water_box import WATER_CHARGES
from amp_tf.systems import System
from datasets.engines import Calculation, EmbeddingEngine, XTBEngine
from datasets.parts import Parts, in_worker
from datasets.qmmm_sampling import Sampling, Trajectory, embedded_zone, relaxed, sampling_record
from datasets.qmmm_solutes import make_engine, sample, solute_identity
from figures.dynamics import draw
from reproductions.bond_scans import Scan, barrier_error, deepest_hole, scans
from reproductions.common import RESULTS, RUNS, Row, copy_compressed, format_table, row, write_result
from reproductions.entry import run_reproduction

SHIPPED = FOLDER / "uracil.keras"
SOLUTE = "uracil"
BARRIER_LENGTH, HOLES_BETWEEN = 1.9, (0.7, 2.5)
"""Where barriers are compared, and holes looked for, angstrom."""

AIMS = {
    "barrier_error": 0.2, "deepest_hole": 0.0, "peak_shift": 0.05, "peak_height": 0.1, "nve_drift": 1e-6, "nve_rms": 0.2,
    "step_ratio": 0.4,
}  # fmt: skip
"""What a potential that is fit for dynamics reaches; the units are those of the rows."""


@dataclass(frozen=True)
class Preset:
    """Size of the reproduction.

    Attributes:
        n_frames: snapshots of QM/MM dynamics at 300 K; as many more are distorted.
        steps: of the training.
        lengths: of the stretched bonds, angstrom.
        gas: temperatures (K) by number of seeds, and ps.
        water, conservation: ps of the runs in water, NVT and NVE.
        timed: steps.
        settings: of the training.
        sampling: changes of :class:`datasets.qmmm_sampling.Sampling`.
        dynamics: changes of :class:`amp_tf.simulation.dynamics.Dynamics`.
        most_relaxation_steps: of a stretched molecule.
        xla: compile the potential for simulations.
    """

    n_frames: int
    steps: int
    lengths: Sequence[float]
    gas: dict[float, int]
    gas_time: float
    water: float
    conservation: float
    timed: int
    settings: dict[str, Any]
    sampling: dict[str, Any] = field(default_factory=dict)
    dynamics: dict[str, Any] = field(default_factory=dict)
    most_relaxation_steps: int = 60
    xla: bool = True


MODEL = {
    "type": "AMP", "max_order": 3, "direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": 4.0, "repulsion": True,
    "coefficient_scale": 1e-3, "energy_scale": 10.0,
}  # fmt: skip

SETTINGS = {
    "batch_size": 1, "learning_rate": 1e-3, "final_learning_rate": 1e-5, "clip_norm": 1.0, "gradient_weight": 0.8,
    "mm_gradient_factor": 3e3, "ema_momentum": 0.99, "start_at_zero": True, "xla": True, "split": {"kind": "random"},
}  # fmt: skip

PRESETS = {
    "smoke": Preset(
        10, 2, (1.0, 1.9), {300.0: 1}, 0.005, 0.005, 0.005, 2,
        {"model": MODEL | {"n_layers": 1, "n_features": 8, "n_radial_weights": 4}, "xla": False},
        {"equilibration": 0.02, "qm_equilibration": 2, "stride": 2, "block": 5, "zone": 4.0},
        {"equilibration": 0.02, "relaxation": 0.002, "interval": 2, "zone": 4.0, "margin": np.inf},
        most_relaxation_steps=2, xla=False,
    ),
    "laptop": Preset(
        2000, 120_000, tuple(np.round(np.arange(0.7, 2.51, 0.1), 2)), {300.0: 10, 500.0: 10}, 50.0, 100.0, 20.0, 200, {"model": MODEL}
    ),
}  # fmt: skip


def data_file(preset: str, engine: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """Snapshots and distorted frames; built, or gone on with, where they are missing."""
    chosen, path = PRESETS[preset], runs / f"{SOLUTE}-dynamics{'' if preset == 'laptop' else f'-{preset}'}.h5"
    if not path.is_file():
        sampling = Sampling(chosen.n_frames, **chosen.sampling)
        command = f"python -m datasets.qmmm_solutes sample {SOLUTE} --for-dynamics --frames {chosen.n_frames} --output {path}"
        sample(path, solute_by_name(SOLUTE), engine, sampling, os.cpu_count() or 1, command, for_dynamics=True)
    return path


def trained(preset: str, data: Path, runs: Path = RUNS) -> Path:
    """The potential of the preset's training on the data; finished ones are found, killed ones go on."""
    from amp_tf.training import make_config, train

    chosen = PRESETS[preset]
    values = {"data": data, "steps": chosen.steps, "interval": max(1, chosen.steps // 20), **SETTINGS, **chosen.settings}
    folder = runs / "dynamics" / preset / f"training-{read_reference_data(data).sha256[:8]}"
    train(make_config(values), folder)
    return folder / "potential.keras"


def reproduce(
    preset: str, retrain: bool, results: Path = RESULTS, runs: Path = RUNS, engine: EmbeddingEngine | None = None
) -> Path:  # fmt: skip
    """Sample, train where asked to, simulate (each run goes on where it was killed), compare, and write the result file.

    Raises:
        InputError: for a preset that there is not.
        EngineError: without the program xtb or OpenMM.
    """
    started = time.perf_counter()
    task, data = prepared(preset, retrain, runs, engine)
    found, further = [], {}
    for measure in (scan_rows, gas_rows, water_rows, conservation_rows, speed_rows):
        rows, more = measure(task)
        found += rows
        further |= more
    origin = {"potential_data_sha256": task.potential.provenance["data_sha256"], "potential_sha256": sha256_of(task.path)}
    return write_result(
        "dynamics", preset, found, started, results, seeds=[0], data={"file": data.name, "sha256": read_reference_data(data).sha256},
        differs=DIFFERS, **origin, **further,
    )  # fmt: skip


DIFFERS = (
    "Beyond the paper, which has no dynamics. Reference: GFN2-xTB, as the labels of the potential; RDFs of it from its own QM/MM dynamics, "
    "with a zone of 14 angstrom that ends abruptly, of the potential with charges switched off between 12 and 14 angstrom."
)


@dataclass(frozen=True)
class Task:
    """What every measurement takes.

    Attributes:
        preset: name of the preset.
        path, potential: the potential that is judged.
        engine: of its labels.
        reference: the QM/MM dynamics that its data come from.
        runs: where simulations are kept.
    """

    preset: str
    path: Path
    potential: Potential
    engine: EmbeddingEngine
    reference: Trajectory
    runs: Path

    @property
    def size(self) -> Preset:
        """The preset's numbers."""
        return PRESETS[self.preset]

    def folder(self, name: str) -> Path:
        """Of a run; another potential has runs of its own."""
        return self.runs / "dynamics" / self.preset / sha256_of(self.path)[:8] / name


def prepared(preset: str, retrain: bool, runs: Path = RUNS, engine: EmbeddingEngine | None = None) -> tuple[Task, Path]:
    """What the measurements take, and the data; these are built, and the potential is trained, where they are missing."""
    if preset not in PRESETS:
        raise InputError(f"there is no PRESET={preset} of the dynamics; choose {' or '.join(PRESETS)}.")
    is_shipped = preset == "laptop" and not retrain
    if is_shipped and not SHIPPED.is_file():
        raise InputError(f"{SHIPPED} is not there; train it with RETRAIN=1, which takes hours.")
    engine = engine or make_engine("xtb", None, None, 1)
    engine.version()  # complains where it is not installed
    data = data_file(preset, engine, runs)
    path = SHIPPED if is_shipped else trained(preset, data, runs)
    if preset == "laptop" and retrain:
        path = ship(path)
    sampling, start = Sampling(PRESETS[preset].n_frames, **PRESETS[preset].sampling), solute_by_name(SOLUTE)
    method = {"engine": engine.name, "version": engine.version(), "level_of_theory": engine.level_of_theory}
    solute, _, charges = relaxed(start, engine)
    record = sampling_record(sampling, None) | method | {"solute": solute_identity(start)}
    driver = XTBEngine(keep_orbitals=True) if isinstance(engine, XTBEngine) else engine
    reference = Trajectory(solute, charges, driver, sampling, Parts(data.with_name(f"{data.name}.trajectory"), record))
    return Task(preset, path, load_potential(path), engine, reference, runs), data


def ship(path: Path, target: Path = SHIPPED) -> Path:
    """The potential where it ships. A file of the same weights stays as it is: simulations know a potential by the bytes of its file."""
    weights = load_potential(path).get_weights()
    if target.is_file():
        known = load_potential(target).get_weights()
        if len(known) == len(weights) and all(map(np.array_equal, known, weights)):
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_compressed(path, target)
    return target


def scan_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """Bonds to hydrogen, stretched, of potential and labels."""
    frame = next(iter(task.reference.calculations().values()))
    found = scans(task.reference.solute, task.potential, task.engine, frame, task.size.lengths, task.size.most_relaxation_steps)
    rows = []
    for scan in found:
        who = {"measure": f"{scan.bond}, {scan.where}, {scan.how}"}
        rows.append(row("barrier_error", "", barrier_error(scan, BARRIER_LENGTH), None, **who))
        rows.append(row("deepest_hole", "kJ/mol", deepest_hole(scan, HOLES_BETWEEN), None, **who))
    return rows, {"scans": [_as_json(scan) for scan in found]}


def _as_json(scan: Scan) -> dict[str, Any]:
    def numbers(values: np.ndarray) -> list[float | None]:
        return [round(float(value), 2) if np.isfinite(value) else None for value in values]

    curves = {name: numbers(getattr(scan, name)) for name in ("lengths", "potential", "label")}
    return {"bond": scan.bond, "where": scan.where, "how": scan.how, **curves}


def simulate(task: Task, name: str, **changes: Any) -> tuple[dict[str, Any], Run]:
    """A run in water and its summary."""
    setup, dynamics = SoluteInWater(task.reference.solute), Dynamics(**changes | task.size.dynamics)
    run = Run(task.folder(name), [task.path], setup, dynamics, task.size.xla)
    return run.run(), run


def gas_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """Independent runs, as many at a time as there are cores, a thread each."""
    for pool in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{pool}_THREADS", "1")  # of the processes to come
    rows = []
    for temperature, n_seeds in task.size.gas.items():
        settings = {"picoseconds": task.size.gas_time, "temperature": temperature, "interval": 100}
        calls = (
            joblib.delayed(in_worker)(os.getpid(), _gas_run, task.folder(f"gas-{temperature:g}-{seed}"), task.path,
                                      task.reference.solute, task.size.xla, settings | {"seed": seed} | task.size.dynamics)
            for seed in range(n_seeds)
        )  # fmt: skip
        ends = joblib.Parallel(n_jobs=min(os.cpu_count() or 1, n_seeds))(calls)
        who = {"measure": f"gas, {temperature:g} K, {n_seeds} seeds, {task.size.gas_time:g} ps"}
        rows.append(row("runs_whole", "", sum(is_whole for is_whole, _ in ends), None, **who))
        rows.append(row("shortest_run", "ps", min(time for _, time in ends), None, **who))
    return rows, {}


def _gas_run(folder: Path, path: Path, solute: Solute, xla: bool, settings: dict[str, Any]) -> tuple[bool, float]:
    """Whether the molecule was whole to the end, and how far the run came, ps: less where it left the range of the training data."""
    run = Run(folder, [path], SoluteInWater(solute, gas=True), Dynamics(**settings), xla, n_threads=1)
    try:
        summary = run.run(progress=False)
    except SimulationError as error:
        print(f"{folder.name}: {error}", flush=True)
        rows = run.energies.read_text().splitlines()[1:] if run.energies.is_file() else []
        return False, float(rows[-1].split(",")[COLUMNS.index("time_ps")]) if rows else 0.0
    return summary["whole"], summary["picoseconds"]


def water_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """One long run; where water stands around the solute, beside the QM/MM dynamics of the reference."""
    summary, run = simulate(task, "water", picoseconds=task.size.water)
    ours, reference = run.curves, reference_curves(task.reference)
    who = {"measure": f"water, 300 K, {task.size.water:g} ps"}
    rows = [
        row("runs_whole", "", int(summary["whole"]), None, **who),
        row("longest_bond", "", summary["longest_bond_by_its_start"], None, **who),
        row("solute_temperature", "K", summary["solute_temperature_k"], None, **who),
    ]
    curves = {}
    for key, (distances, values) in ours.items():
        curves[key] = {"ours": np.round(values, 3).tolist(), "reference": np.round(reference[key][1], 3).tolist()}
        peaks = first_peak(distances, values), first_peak(*reference[key])
        if key.partition("-")[0] != "C" and all(peaks):
            about = {"measure": f"first peak of water's {key.partition('-')[2]} around {key.partition('-')[0]}"}
            rows.append(row("peak_shift", "angstrom", peaks[0]["angstrom"] - peaks[1]["angstrom"], None, **about))
            rows.append(row("peak_height", "", peaks[0]["g"] / peaks[1]["g"] - 1.0, None, **about))
    return rows, {"distances": np.round(distances, 3).tolist(), "distributions": curves}


def reference_curves(reference: Trajectory) -> Curves:
    """Where water stands around the solute in the QM/MM dynamics."""
    first = next(iter(reference.snapshots()))
    box = reference.box * np.eye(3)
    scene = SoluteInWater(reference.solute).scene(first, box)
    found, topology = RadialDistributions(scene.solute, scene.atoms, scene.waters), mdtraj.Topology.from_openmm(scene.topology)
    snapshots = reference.snapshots()
    while chunk := list(itertools.islice(snapshots, CHUNK)):
        frames = mdtraj.Trajectory(0.1 * np.array(chunk), topology)
        frames.unitcell_vectors = np.repeat(0.1 * box[None], len(chunk), axis=0)
        found.add(frames)
    return found.curves()


def conservation_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """How well the energy is conserved without a thermostat, in water."""
    summary, run = simulate(task, "conservation", ensemble="nve", picoseconds=task.size.conservation, relaxation=2.0)
    table = np.genfromtxt(run.energies, delimiter=",", names=True)
    energies = table["total_energy_kj_per_mol"] - table["total_energy_kj_per_mol"][0]
    stride = max(1, len(energies) // 400)
    who = {"measure": f"NVE, {task.size.conservation:g} ps"}
    drift = summary["total_energy_drift_kj_per_mol_per_ps"] / summary["degrees_of_freedom"]
    rows = [
        row("nve_drift", "kJ/mol/ps a degree of freedom", drift, None, **who),
        row("nve_rms", "kJ/mol", summary["total_energy_rms_about_the_line_kj_per_mol"], None, **who),
    ]
    drawn = {"times": np.round(table["time_ps"][::stride], 4).tolist(), "energies": np.round(energies[::stride], 4).tolist()}
    return rows, {"conservation": drawn}


def speed_rows(task: Task) -> tuple[list[Row], dict[str, Any]]:
    """The part of a step that the engine does, both in one run, in turn: from one snapshot to the next in steps of half a femtosecond."""
    frames = _path(task.reference, task.size.timed)
    charge = float(task.reference.solute.charge)
    zone, seconds = Zone(task.reference.sampling.zone), {"potential": [], "engine": []}
    for number, (qm, mm, mm_charges) in enumerate(frames):
        began = time.perf_counter()
        around = zone.surroundings(qm, mm, mm_charges, np.arange(len(mm)) // 3)
        system = System(task.reference.solute.atomic_numbers, qm, charge, around.positions, around.charges)
        compute_embedded([task.potential], system, around, len(mm), task.size.xla)
        between = time.perf_counter()
        task.reference.engine.embedded(Calculation(system.atomic_numbers, qm, charge=round(charge), mm_positions=mm, mm_charges=mm_charges))
        if number:  # the first step compiles
            seconds["potential"].append(between - began)
            seconds["engine"].append(time.perf_counter() - between)
    medians = {name: 1e3 * float(np.median(values)) for name, values in seconds.items()}
    who = {"measure": f"step of {SOLUTE} among {len(frames[0][2])} charges"}
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


def table(rows: Sequence[Row]) -> str:
    """Every measure with its aim."""
    lines = [[entry["measure"], entry["metric"].replace("_", " "), entry["value"], entry["unit"], _aim(entry)] for entry in rows]
    return format_table(["measure", "of it", "value", "unit", "aim"], lines)


def _aim(entry: Row) -> str:
    if entry["metric"] == "runs_whole":
        return entry["measure"].split(" seeds")[0].rpartition(" ")[2] if "seeds" in entry["measure"] else "1"
    limit = AIMS.get(entry["metric"])
    return "" if limit is None else f"{'±' if entry['metric'] in SIGNED else '<='} {limit:g}"


SIGNED = ("barrier_error", "peak_shift", "peak_height", "nve_drift")
"""Metrics that may miss their aim either way."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train the potential, and ship it.")] = False,
) -> None:
    """Measure whether the potential of uracil that ships is fit for dynamics, or train it first."""

    run_reproduction(preset, lambda preset: reproduce(preset, retrain), draw, table)


if __name__ == "__main__":
    app()
