"""The runs on solutes in water: their data are built, they are trained or loaded, and their errors are taken down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import InputError
from amp_tf.simulation.solutes import solute_by_name
from common.solute_model import SOLUTES
from datasets.qmmm_sampling import Sampling, sampling_record
from datasets.qmmm_solutes import FRAMES, SHIPPED_FILE, make_engine, relabel, sample, spread
from reproductions.folders import RUNS
from reproductions.solutes import DFT, DFT_FRAMES, DFT_METHOD, LABELS, START, TITLES, Job, configuration, run_folder, start_of


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        job: which one.
        errors: by part of the split and label; kJ/mol and kJ/mol/angstrom; None where there is none.
        null: errors of the null model, by part and label.
        steps, seconds, n_frames: of the training; None if not known.
        n_mm: mean number of MM particles.
        history: rows of the run's ``history.jsonl``.
    """

    job: Job
    errors: dict[str, dict[str, float | None]]
    null: dict[str, dict[str, float | None]]
    steps: int
    seconds: float
    n_frames: int | None
    n_mm: float
    history: list[dict[str, float]] = field(repr=False)


def data_file(system: str, preset: str, files: Mapping[str, Path], runs: Path = RUNS) -> Path:
    """The reference data of a system: what the user gave, the sample that ships (``smoke``), or ``runs/<solute>.h5``, built if it
    is missing and made longer if it has fewer frames than the preset asks for.

    Raises:
        InputError: if a given file is missing, or another file is where ours would be.
    """
    if system in files:
        if not files[system].is_file():
            raise InputError(f"{files[system]}: no such file; correct --data, or leave it out to build the data.")
        return files[system]
    if preset == "smoke":
        return SHIPPED_FILE
    name = SOLUTES[system]
    path, command = runs / f"{name}.h5", "python -m datasets.qmmm_solutes"
    found = read_reference_data(path) if path.is_file() else None
    settings = found.provenance.settings if found else {}
    if system == DFT:
        engine = make_engine("pyscf", *DFT_METHOD, 1)
        source = data_file("Uracil", preset, files, runs)
        geometries = read_reference_data(source)
        if settings.get("geometries_sha256") == geometries.sha256:
            return path
        print(f"{system}: {DFT_FRAMES} frames of {source}, {path}", flush=True)
        command += f" relabel {source} {path} --frames {DFT_FRAMES} --method {DFT_METHOD[0]} --basis {DFT_METHOD[1]}"
        _, failures = relabel(spread(geometries, DFT_FRAMES), path, engine, joblib.cpu_count(), command)
    else:
        n_frames, n_found = FRAMES[preset][name], 0
        if found is not None:
            wanted = sampling_record(Sampling(n_frames), None)
            other = sorted(key for key, value in wanted.items() if settings.get(key) != value)
            if "left_out" not in settings or other or len(found.groups) > 1:
                what = f" ({', '.join(other)})" if other else ", one group of snapshots"
                raise InputError(f"{path} was not sampled as the tables ask for{what}; give it as --data {system}={path}, or move it away.")
            n_found = len(found) + len(settings["left_out"])
        if n_found >= n_frames:
            return path
        print(f"{system}: building {n_frames} frames, {path}", flush=True)
        engine = make_engine("xtb", None, None, 1)
        command += f" sample {name} --frames {n_frames}"
        _, failures = sample(path, solute_by_name(name), engine, Sampling(n_frames), joblib.cpu_count(), command)
    for failure in failures:
        print(f"left out: {failure}", flush=True)
    return path


def run(job: Job, preset: str, data: Path, runs: Path = RUNS) -> Outcome:
    """Train, or go on, or load what is finished."""
    import keras

    from amp_tf.training import make_config, train

    keras.utils.clear_session()
    found, settings = read_reference_data(data), configuration(job, preset, data)
    if start := start_of(job, preset, data, runs):
        settings["start_from"] = start
    config = make_config(settings)
    print(f"Table {job.table}, {job.system}, {job.ordering}, {job.cutoff:g} angstrom:", flush=True)
    result = train(config, run_folder(job, preset, found.sha256, runs))
    errors: dict[str, dict[str, float]] = {}
    null: dict[str, dict[str, float]] = {}
    for entry in result.metrics:
        label = entry["metric"].removesuffix("_mae")
        errors.setdefault(entry["split"], {})[label] = entry["value"]
        null.setdefault(entry["split"], {})[label] = entry["null_model"]
    seconds = result.potential.provenance["training_seconds"]
    outcome = Outcome(job, errors, null, config.steps, seconds, len(found), mean_n_mm(found), result.history)
    print("  test MAE: " + ", ".join(f"{TITLES[label]} {errors['test'][label]:.3g} {unit}" for label, unit in LABELS.items()), flush=True)
    return outcome


def mean_n_mm(data: ReferenceData) -> float:
    """The mean number of MM particles."""
    return float(np.mean(np.concatenate([np.diff(group.mm_offsets) for group in data.groups])))


def outcomes(jobs: Sequence[Job], preset: str, files: Mapping[str, Path], runs: Path = RUNS) -> list[Outcome]:
    """All runs in turn; the data files of all systems first.

    Raises:
        InputError: if a file is given of a system that does not run, its data lack what the tables need, or a fine-tuned run has nothing to
            start from.
        EngineError: if what labels the data is not installed.
    """
    if unused := set(files) - {job.system for job in jobs}:
        raise InputError(f"--data gives {', '.join(sorted(unused))}, which does not run; name it in --systems, or leave its --data out.")
    systems = list(dict.fromkeys(job.system for job in jobs))
    if DFT in systems and DFT not in files and preset != "smoke":
        make_engine("pyscf", *DFT_METHOD, 1).version()  # raises where it is not installed, before uracil is sampled
    data = {system: data_file(system, preset, files, runs) for system in systems}
    for system, path in data.items():
        check_labels(read_reference_data(path), system)
    for job in jobs:
        start = start_of(job, preset, data[job.system], runs)
        if start and not start.is_file() and START not in jobs[: jobs.index(job)]:
            raise InputError(f"{job.system} goes on from {start}, which is missing; train it with --systems Uracil,{job.system}.")
    return [run(job, preset, data[job.system], runs) for job in jobs]


def check_labels(data: ReferenceData, system: str) -> None:
    """Raises:
    InputError: if the data lack MM particles or gradients.
    """
    for group in data.groups:
        missing = [name for name in ("mm_offsets", "qm_gradients", "mm_gradients") if getattr(group, name) is None]
        if missing:
            raise InputError(f"{data.source}: group {group.name!r} lacks {', '.join(missing)}; the tables of {system} need them.")
