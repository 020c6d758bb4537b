"""The models of Table 3 trained on QM9: one for each of the twelve properties (paper, 4.4 and A.6)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amp_tf import units
from amp_tf.command import run_command
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import InputError
from amp_tf.progress import progress_bar
from amp_tf.training import TrainingResult, make_config, train
from common import paper
from common.results import Row, row, write_result
from datasets.qm9_like import SHIPPED_FILE
from reproductions.folders import RESULTS, RUNS

TARGETS = {
    "U0": "u0", "U": "u", "H": "h", "G": "g", "ZPVE": "zpve", "HOMO": "homo", "LUMO": "lumo", "gap": "gap", "mu": "mu", "alpha": "alpha",
    "R2": "r2", "cv": "cv",
}  # fmt: skip
"""Our name of each row of Table 3."""

MEV, MILLI = 1000.0 / units.EV, 1000.0
TO_PAPER = {
    "mu": MILLI / units.DEBYE, "alpha": MILLI / units.BOHR**3, "r2": MILLI / units.BOHR**2, "cv": MILLI / (units.KCAL_PER_MOL),
}  # fmt: skip
"""From our unit to the paper's; energies are in meV."""

MODELS = {
    "AMP(3)": {"type": "AMP", "max_order": 3, "n_layers": 4, "coefficient_scale": 1e-4},
    "PaiNN": {"type": "PaiNN", "n_layers": 3, "n_features": 128},
    "SchNet": {"type": "SchNet", "n_layers": 6, "n_features": 128, "n_filters": 128},
}
"""AMP as in A.6, its peers in their authors' sizes."""

EXTENSIVE = ("U0", "U", "H", "G", "ZPVE", "alpha", "R2", "cv")
"""Targets that grow with a molecule."""

CURVE_TARGETS = ("U0", "HOMO", "mu")
"""Of the learning curve."""


@dataclass(frozen=True)
class Preset:
    """What is trained, and how long."""

    n_train: tuple[int, ...]
    """Training molecules; the largest number trains all targets and models, smaller ones the learning curve of AMP(3)."""
    n_validation: int
    steps: int
    batch_size: int
    learning_rate: float
    final_learning_rate: float
    targets: tuple[str, ...] = tuple(TARGETS)
    models: tuple[str, ...] = tuple(MODELS)
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of all models."""
    coefficient_scale: float | None = None
    """Of AMP, another than the paper's, which takes long to learn from."""
    further: Mapping[str, Any] = field(default_factory=dict)
    """Of the configuration."""
    fits_atoms: bool = False
    """Subtract a value by element, fitted to the training molecules, from what grows with a molecule, instead of their mean."""


PRESETS = {
    "smoke": Preset(
        (20, 40), 8, 20, 8, 1e-3, 1e-4, ("HOMO", "mu"), ("AMP(3)", "PaiNN"), {"n_features": 8, "n_layers": 1}, further={"interval": 10}
    ),
    "laptop": Preset(
        (2000, 6000, 18_000), 1000, 3000, 16, 1e-3, 1e-5, changes={"n_features": 64}, coefficient_scale=0.1,
        further={"interval": 500, "ema_momentum": 0.99}, fits_atoms=True,
    ),
    "paper": Preset((110_000,), 10_000, 2_200_000, 100, 5e-4, 5e-6, further={"interval": 1000}),
}  # fmt: skip
"""The paper: 2 000 epochs of 110 000 molecules in batches of 100."""


@dataclass(frozen=True)
class Job:
    """One run: a row of Table 3, a model, and how many molecules train it."""

    target: str
    model: str
    n_train: int


def molecules_of(preset: str, given: Path | None, needed: int) -> ReferenceData:
    """The molecules of a preset, more than ``needed``.

    Raises:
        InputError: where there is no file, or it holds too few molecules.
    """
    if given is not None and not given.is_file():
        raise InputError(f"{given} is not there; give a file that amp-tf convert --format qm9 wrote.")
    path = given or (SHIPPED_FILE if preset == "smoke" else RUNS / "qm9.h5")
    if not path.is_file():
        makes = f"python -m datasets.qm9_like build --output {path}" if preset == "smoke" else "make dataset-qm9"
        raise InputError(f'{path} is not there; {makes} makes it, or give OPTIONS="--data FILE" (amp-tf convert --format qm9).')
    data = read_reference_data(path)
    if len(data) <= needed:
        raise InputError(f"{path} holds {len(data)} molecules, PRESET={preset} needs more than {needed}; give a larger file.")
    return data


def data_of(preset: str, given: Path | None, jobs: Sequence[Job]) -> ReferenceData:
    """The molecules of a preset, with the targets of its runs.

    Raises:
        InputError: as :func:`molecules_of`, and where the file lacks a target.
    """
    data = molecules_of(preset, given, max(PRESETS[preset].n_train) + PRESETS[preset].n_validation)
    if lacking := sorted({TARGETS[job.target] for job in jobs} - set(data.target_names)):
        raise InputError(f"{data.source} lacks {', '.join(lacking)}; give a file that has it, or choose others by --targets.")
    return data


def jobs_of(preset: str, targets: Sequence[str] | None = None) -> list[Job]:
    """The runs of a preset, those of all data first.

    Raises:
        InputError: for a target that Table 3 has not.
    """
    settings = PRESETS[preset]
    if unknown := sorted(set(targets or ()) - set(settings.targets)):
        raise InputError(f"unknown target {unknown[0]!r}; Table 3 has, with PRESET={preset}, {', '.join(settings.targets)}.")
    chosen = [target for target in settings.targets if targets is None or target in targets]
    most = max(settings.n_train)
    whole = [Job(target, model, most) for target in chosen for model in settings.models]
    return whole + [Job(target, "AMP(3)", n) for target in chosen if target in CURVE_TARGETS for n in settings.n_train if n < most]


def configuration(job: Job, preset: str, data: ReferenceData) -> dict[str, Any]:
    """Of a run; the same molecules train all models, and all others but those of the validation test them."""
    settings = PRESETS[preset]
    model = MODELS[job.model] | settings.changes
    if "coefficient_scale" in model and settings.coefficient_scale is not None:
        model |= {"coefficient_scale": settings.coefficient_scale}
    if job.target == "mu" and job.model == "SchNet":
        model |= {"pairwise_coulomb": True}  # charges, of which its dipoles are
    n = len(data)
    return {
        "data": Path(data.source),
        "target": TARGETS[job.target],
        "energy_reference": "fit" if settings.fits_atoms and job.target in EXTENSIVE else "mean",
        "model": model,
        "split": {"kind": "random", "train": job.n_train / n, "validation": settings.n_validation / n},
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "final_learning_rate": settings.final_learning_rate,
        **settings.further,
    }


def run_folder(job: Job, preset: str, data: ReferenceData, runs: Path = RUNS) -> Path:
    """Of a run."""
    model = job.model.replace("(", "").replace(")", "")
    return runs / "qm9" / preset / data.sha256[:8] / f"{job.target}-{model}-{job.n_train}"


def train_job(job: Job, preset: str, data: ReferenceData, runs: Path = RUNS) -> TrainingResult:
    """Train a run, go on with it, or load it where it is finished."""
    return train(make_config(configuration(job, preset, data)), run_folder(job, preset, data, runs))


def reproduce(preset: str, targets: Sequence[str] | None, given: Path | None, runs: Path = RUNS, results: Path = RESULTS) -> Path:
    """Train every run and write ``table3.<preset>.json``."""
    started, jobs = time.perf_counter(), jobs_of(preset, targets)
    data = data_of(preset, given, jobs)
    rows: list[Row] = []
    for job in progress_bar(jobs, desc="table3", unit="run"):
        rows += rows_of(job, train_job(job, preset, data, runs))
    settings, some = PRESETS[preset], "-".join(dict.fromkeys(job.target for job in jobs))
    return write_result(
        "table3" if targets is None else f"table3-{some}", preset, rows, started, results, seeds=[0],
        data={"file": Path(data.source).name, "sha256": data.sha256, "molecules": len(data)}, differs=differs(settings, data),
    )  # fmt: skip


def rows_of(job: Job, result: TrainingResult) -> list[Row]:
    """Errors of a run in the paper's unit, beside the published ones of that model, and those of the validation while it trained."""
    unit, published, factor = paper_entry(job.target, job.model)
    who = {"target": job.target, "model": job.model, "n_train": job.n_train}
    rows = []
    for entry in result.metrics:
        shown = published if entry["split"] == "test" else None
        rows.append(row(f"{entry['split']}_mae", unit, factor * entry["value"], shown, **who))
    for entry in result.history:
        rows.append(row("validation_mae_while_training", unit, factor * entry["val_energy_mae"], None, step=entry["step"], **who))
    null = next(entry["null_model"] for entry in result.metrics if entry["split"] == "test")
    seconds = result.potential.provenance["training_seconds"]
    return [*rows, row("null_model_test_mae", unit, factor * null, **who), row("training_time", "s", seconds, **who)]


def paper_entry(target: str, model: str) -> tuple[str, float | None, float]:
    """The paper's unit of a target, its error of a model, and the factor from our unit."""
    unit, values = paper.TABLE_3[target]
    published = dict(zip(paper.TABLE_3_MODELS, values, strict=True)).get(model.removesuffix("(3)"))
    return unit, published, TO_PAPER.get(TARGETS[target], MEV)


def differs(settings: Preset, data: ReferenceData) -> str:
    """What is not as in the paper."""
    whole = PRESETS["paper"]
    parts = [f"{max(settings.n_train)} training molecules (paper: 110 000), of a file of {len(data)} (paper: 130 697)"]
    if settings.steps != whole.steps:
        parts.append(f"{settings.steps} steps of batches of {settings.batch_size} (paper: 2.2 million of 100)")
    if settings.learning_rate != whole.learning_rate:
        parts.append(f"learning rate from {settings.learning_rate:g} to {settings.final_learning_rate:g} (paper: 5e-4 to 5e-6)")
    if "n_features" in settings.changes:
        parts.append(f"{settings.changes['n_features']} features in all models (paper: 128 in AMP)")
    if settings.coefficient_scale is not None:
        parts.append(f"factor {settings.coefficient_scale:g} on AMP's coefficients (paper: 1e-4)")
    if settings.fits_atoms:
        parts.append(f"values by element, fitted to the training molecules, subtracted from {', '.join(EXTENSIVE)} (paper: the mean)")
    return f"Differs from the paper: {'; '.join(parts)}; energies trained in kJ/mol (paper: kcal/mol); one seed."


if __name__ == "__main__":
    from reproductions.shipped_qm9 import ship_weights  # which imports this module

    def ship() -> None:
        written = ship_weights()
        print("\n".join(f"wrote {path}" for path in written) or f"{RUNS} has no finished run of Table 3; nothing of it ships.")

    run_command(ship)
