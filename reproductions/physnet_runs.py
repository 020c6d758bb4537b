"""PhysNet's models of all reproductions: sizes, training as its authors do it, runs, and what is told of errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import AmpTFError
from amp_tf.models import Ensemble, Potential, load_potential
from amp_tf.models.batches import batches
from amp_tf.training import evaluate, make_config, train
from common.results import Row, row
from reproductions.folders import RUNS
from reproductions.processes import in_processes

TRAINING = {
    "loss": "absolute", "amsgrad": True, "beta_2": 0.99, "epsilon": 1e-3, "clip_norm": 1000.0, "ema_momentum": 0.999, "ema_ramp": True,
    "keep_best": True, "learning_rate": 1e-3, "final_learning_rate": 1e-5, "batch_size": 32,
}  # fmt: skip
"""The published settings; the rate falls to a hundredth in the steps that there are."""

SIZES = {
    "tiny": {"n_features": 8, "n_radial": 8, "n_layers": 2, "n_interaction": 1, "n_atomic": 1},
    "small": {"n_features": 64, "n_radial": 32, "n_layers": 3},
    "published": {},
}
"""Arguments of :class:`amp_tf.PhysNet` that are not its defaults, which are those of the published models."""

LONG_RANGE, SHORT_RANGE = "with long range", "without"
"""Variants, by the names that the paper's Table 6 has."""

TO_PAPER = {
    "energy": ("kcal/mol", 1.0 / units.KCAL_PER_MOL), "qm_gradients": ("kcal/mol/angstrom", 1.0 / units.KCAL_PER_MOL),
    "dipole": ("D", 1.0 / units.DEBYE), "total_charge": ("e", 1.0),
}  # fmt: skip
"""The unit of each error in the paper, and what one of ours is in it."""


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        name: of its folder, below ``runs/physnet/<preset>``.
        data: reference data.
        model: with its type.
        settings: of the configuration, beside :data:`TRAINING` or what the model has instead.
        seed: of weights and batches.
        who: identifiers of its rows.
    """

    name: str
    data: Path
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    seed: int
    who: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """Of the run."""
        return {**TRAINING, "data": self.data, "model": dict(self.model), "seed": self.seed, **self.settings}


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        job: which one.
        path: of its potential.
        seconds: of training.
        energy_error: of the test frames, kJ/mol.
    """

    job: Job
    path: Path
    seconds: float
    energy_error: float

    def potential(self) -> Potential:
        """Loaded from its file."""
        return load_potential(self.path)


def physnet(size: str, charges: bool, **changes: Any) -> dict[str, Any]:
    """The model of a configuration."""
    return {"type": "PhysNet", "charges": charges, **SIZES[size], **changes}


def train_all(jobs: Sequence[Job], preset: str, runs: Path = RUNS, workers: int | None = None) -> list[Trained]:
    """Train the jobs, or load or go on with them, in processes of a thread each; in the order of the jobs."""

    def tell(run: Trained) -> str:
        return f"{run.job.name}: energy {run.energy_error:.3g} kJ/mol after {run.seconds:.0f} s"

    done = list(in_processes(train_job, [(job, preset, runs) for job in jobs], "training", tell, workers))
    return sorted(done, key=lambda run: jobs.index(run.job))


def train_job(job: Job, preset: str, runs: Path) -> Trained:
    """Train one, go on with it, or load it where it is finished."""
    import keras

    keras.utils.clear_session()  # the graphs of earlier runs in this process make Python's garbage collection slow
    folder = runs / "physnet" / preset / job.name
    try:
        result = train(make_config(job.configuration()), folder, progress=False)
    except AmpTFError as error:
        raise type(error)(f"{job.name}: {error}") from error
    error = next(entry["value"] for entry in result.metrics if (entry["split"], entry["metric"]) == ("test", "energy_mae"))
    return Trained(job, folder / "potential.keras", result.potential.provenance["training_seconds"], error)


def test_frames(job: Job) -> Frames:
    """Those of a job's data that do not train or validate."""
    data = read_reference_data(job.data)
    numbers = make_config(job.configuration()).split.assign(data.frame_groups)["test"]
    return Frames.from_reference_data(data)[numbers]


def error_rows(potential: Potential, frames: Frames, published: Mapping[str, float], **who: Any) -> list[Row]:
    """Errors in the paper's units, beside the published ones and those of the null model.

    Args:
        potential: a model or an ensemble.
        frames: that it has not seen.
        published: by the names of :data:`TO_PAPER`.
        who: identifiers of the rows.
    """
    rows = []
    for entry in evaluate(potential, frames):
        label = entry["metric"].removesuffix("_mae")
        unit, factor = TO_PAPER[label]
        rows.append(row(f"{label}_mae", unit, factor * entry["value"], published.get(label), **who))
        rows.append(row(f"null_model_{label}_mae", unit, factor * entry["null_model"], None, **who))
    if "total_charge" in potential.further_label_names:
        errors = [
            charges.sum() - system.total_charge
            for batch in batches(frames.systems)
            for charges, system in zip(potential.compute_systems(batch, gradients=False)["raw_charges"], batch, strict=True)
        ]
        rows.append(row("total_charge_mae", "e", float(np.mean(np.abs(errors))), published.get("total_charge"), **who))
    return rows


def rows_of_runs(
    runs: Sequence[Trained], published: Mapping[str, Sequence[float]] | None = None, frames: Frames | None = None, **who: Any
) -> list[Row]:
    """Errors of each run, and where there are several, which differ in their seed alone, of their ensemble.

    Args:
        runs: of one model on one file.
        published: by label the mean of single models and the ensemble.
        frames: on which they are tested; by default all that neither train nor validate them.
        who: identifiers of all rows.
    """
    published, frames = published or {}, test_frames(runs[0].job) if frames is None else frames
    single, joined = ({label: values[number] for label, values in published.items()} for number in (0, 1))
    potentials, rows = [run.potential() for run in runs], []
    for run, potential in zip(runs, potentials, strict=True):
        rows += error_rows(potential, frames, single, seed=run.job.seed, **who)
        rows.append(row("training_time", "s", run.seconds, None, seed=run.job.seed, **who))
    if len(runs) > 1:
        rows += error_rows(Ensemble(potentials), frames, joined, seed="ensemble", **who)
    return rows


def mean_error(rows: Sequence[Row], metric: str, ensemble: bool = False, **who: Any) -> float | None:
    """The mean over the seeds, or that of the ensemble; None where there is none."""
    chosen = [
        entry["value"]
        for entry in rows
        if entry["metric"] == metric and (entry["seed"] == "ensemble") is ensemble and who.items() <= entry.items()
    ]
    return float(np.mean(chosen)) if chosen else None


def published_of(rows: Sequence[Row], metric: str, ensemble: bool = False, **who: Any) -> float | None:
    """The published value beside :func:`mean_error`."""
    return next(
        (
            entry["published"]
            for entry in rows
            if entry["metric"] == metric and (entry["seed"] == "ensemble") is ensemble and who.items() <= entry.items()
        ),
        None,
    )


def ratio(value: float | None, other: float | None) -> float | None:
    """Of two numbers of which either may be unknown."""
    return None if value is None or not other else value / other


def differs_in_training(jobs: Sequence[Job]) -> str:
    """What of PhysNet's models and training is not as published, in words."""
    job = next(job for job in jobs if job.model["type"] == "PhysNet")
    sizes = {name: job.model.get(name, default) for name, default in {"n_features": 128, "n_radial": 64, "n_layers": 5}.items()}
    seeds = len({job.seed for job in jobs})
    return (
        f"F {sizes['n_features']}, K {sizes['n_radial']}, M {sizes['n_layers']} (published: 128, 64, 5), {job.settings['steps']} steps "
        f"(published: up to 10 million), {seeds} seed{'s' * (seeds > 1)} (published: 5)"
    )


def data_record(data: ReferenceData) -> dict[str, Any]:
    """Of a result file."""
    return {"file": Path(data.source).name, "sha256": data.sha256, "frames": len(data), "level_of_theory": data.provenance.level_of_theory}


def data_records(runs: Sequence[Trained]) -> dict[str, dict[str, Any]]:
    """Of the files that several runs were trained on, by their names."""
    return {path.name: data_record(read_reference_data(path)) for path in dict.fromkeys(run.job.data for run in runs)}
