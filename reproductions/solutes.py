"""The training runs on solutes in water that Tables 1 and 2 share: AMP(3)-DP by system, split and long-range cut-off."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.symbols import Symbols

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import InputError
from amp_tf.simulation.solutes import solute_by_name
from datasets.qmmm_sampling import Sampling
from datasets.qmmm_solutes import FRAMES, SHIPPED_FILE, make_engine, relabel, sample, spread
from reproductions.common import RUNS, Row, format_table, row

SOLUTES = {"Uracil": "uracil", "RA": "retinoic-acid", "SAM": "sam-cysteine", "Uracil-PBE": "uracil-pbe"}
"""The systems of the tables and the names of their solutes; the last one's geometries are uracil's, see :data:`DFT`."""

FORMULAS = {"Uracil": "C4H4N2O2", "RA": "C20H28O2", "SAM": "C18H29N7O7S2", "Uracil-PBE": "C4H4N2O2"}
"""In Hill's order."""

DFT, DFT_METHOD, DFT_FRAMES = "Uracil-PBE", ("pbe", "def2-svp"), 400
"""The system at the paper's kind of theory: so many of uracil's frames, spread evenly, with the labels of this functional and basis."""

PAPER_SYSTEMS = [system for system in SOLUTES if system != DFT]

LABELS = {"energy": "kJ/mol", "qm_gradients": "kJ/mol/angstrom", "mm_gradients": "kJ/mol/angstrom"}
TITLES = {"energy": "E_QM", "qm_gradients": "F_QM", "mm_gradients": "F_MM"}

PAPER_SETTINGS = {
    "learning_rate": 5e-4,
    "final_learning_rate": 1e-5,
    "clip_norm": 1.0,
    "gradient_weight": 0.8,
    "mm_gradient_factor": 100.0,
}
"""A.2 and A.5."""

MODEL = {"type": "AMP", "max_order": 3, "direct_polarization": True, "pairwise_coulomb": True}


@dataclass(frozen=True)
class Preset:
    """How a preset deviates from the paper's settings.

    Attributes:
        steps, table_2_steps: of the optimizer, by system; one that is not named is left out.
        validations: how often a run is validated; divides its steps.
        settings: changes of :data:`PAPER_SETTINGS`.
        model: further arguments of the model.
        differs: from the paper's settings, in words.
        of_system: what a system changes of ``settings``.
        table_2_model: changes of ``model`` for Table 2, which is about the cut-off of the learnt form: near and far see every charge.
    """

    steps: Mapping[str, int]
    table_2_steps: Mapping[str, int]
    validations: int
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    differs: str
    of_system: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    table_2_model: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "smoke": Preset(
        {"Uracil": 3, DFT: 3}, {"Uracil": 3}, 1, {}, {"n_layers": 1, "n_features": 8, "n_radial_weights": 4, "near_cutoff": 4.0},
        "three steps of a one-layer model of eight features on 50 frames of uracil (unless --data is given) show that all runs, no result",
        table_2_model={"near_cutoff": None},
    ),
    "laptop": Preset(
        {"Uracil": 80_000, "RA": 36_000, "SAM": 36_000, DFT: 40_000},
        {"Uracil": 4000, "RA": 2000, "SAM": 2000},
        20,
        {
            "batch_size": 1, "learning_rate": 1e-3, "mm_gradient_factor": 1e3, "ema_momentum": 0.99, "start_at_zero": True, "xla": True,
        },
        {"coefficient_scale": 1e-3, "near_cutoff": 4.0, "energy_scale": 10.0},
        "in Table 1 charges beyond 4 angstrom act as a field (near and far; paper: all by the learnt form), energies and charges that "
        "start at zero (paper: random), factor 1e3 on MM gradients in the loss, 3e3 for uracil (paper: 100), batches of 1 (paper: 5 for "
        "uracil), energies read out in units of 10 kJ/mol (paper: 1), factor 1e-3 on the coefficients (paper: 1e-4), learning rate from "
        "1e-3 (paper: 5e-4), smooth edges (paper: abrupt), moving average of the weights (0.99; paper: none), frames and steps as in the "
        "table (paper: 10 000, 400 000; Table 2 200 000), in Table 2 64 features (paper: 128)",
        {"Uracil": {"mm_gradient_factor": 3e3}, DFT: {"mm_gradient_factor": 3e3}},
        {"near_cutoff": None, "n_features": 64},
    ),
    "paper": Preset(
        dict.fromkeys(PAPER_SYSTEMS, 400_000), dict.fromkeys(PAPER_SYSTEMS, 200_000), 200, {},
        {"coefficient_scale": 1e-4, "message_cutoff": "none"}, "no setting that the paper states",
    ),
}  # fmt: skip

BATCH = {"Uracil": 5, "RA": 1, "SAM": 1, DFT: 5}
ORDERINGS = {"unshuffled": "ordered", "shuffled": "random", "fine-tuned": "ordered"}
"""How each kind of run splits the frames. A fine-tuned one starts from uracil's unshuffled run, which has not seen its test frames either:
both test on the last tenth in the order of time."""

FINE_TUNING = {"start_at_zero": False, "learning_rate": 3e-4}
CUTOFFS = (30.0, 50.0)
"""Long-range cut-offs of Table 2, angstrom."""

NEAR_AND_FAR = "none: near and far"
"""What stands in the place of a cut-off for a run that sees every charge."""


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        table: 1 or 2.
        system: of :data:`SOLUTES`.
        ordering: of :data:`ORDERINGS`.
        cutoff: long-range cut-off, angstrom.
    """

    table: int
    system: str
    ordering: str = "shuffled"
    cutoff: float = 50.0


START = Job(1, "Uracil", "unshuffled")


def orderings_of(system: str) -> tuple[str, str]:
    """The runs of a system in Table 1; the second one's potential is the system's."""
    return ("unshuffled", "fine-tuned") if system == DFT else ("unshuffled", "shuffled")


def systems_of(table: int, preset: str) -> list[str]:
    """The systems of a table."""
    chosen = PRESETS[preset]
    return list(chosen.steps if table == 1 else chosen.table_2_steps)


def shown_cutoff(job: Job) -> float | None:
    """The cut-off that Table 2 tells a run by; None for that of Table 1."""
    return job.cutoff if job.table == 2 else None


def run_folder(job: Job, preset: str, sha256: str, runs: Path = RUNS) -> Path:
    """Where the run on the data of a content's sha256 lives."""
    return runs / "solutes" / preset / f"table{job.table}" / f"{job.system}-{job.ordering}-{job.cutoff:g}-{sha256[:8]}"


def start_of(job: Job, preset: str, data: Path, runs: Path = RUNS) -> Path | None:
    """The potential that a fine-tuned run starts from, None for the others: :data:`START` on the data that its own were relabelled from."""
    if job.ordering != "fine-tuned":
        return None
    found = read_reference_data(data)
    return run_folder(START, preset, found.provenance.settings.get("geometries_sha256", found.sha256), runs) / "potential.keras"


def jobs_of(table: int, systems: Sequence[str], preset: str) -> list[Job]:
    """The training runs of a table. Table 2 has those of the learnt form and, where Table 1's runs see every charge (near and far), the
    shuffled one of them."""
    if table == 1:
        return [Job(1, system, ordering) for system in systems for ordering in orderings_of(system)]
    beside = "near_cutoff" in PRESETS[preset].model
    return [job for system in systems for job in [*(Job(2, system, cutoff=cutoff) for cutoff in CUTOFFS), *[Job(1, system)] * beside]]


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        job: which one.
        errors: by part of the split and label; kJ/mol and kJ/mol/angstrom.
        null: errors of the null model, by part and label.
        steps, seconds, n_frames: of the training.
        n_mm: mean number of MM particles.
        history: rows of the run's ``history.jsonl``.
    """

    job: Job
    errors: dict[str, dict[str, float]]
    null: dict[str, dict[str, float]]
    steps: int
    seconds: float
    n_frames: int
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
        _, failures = relabel(spread(geometries, DFT_FRAMES), path, engine, os.cpu_count() or 1, command)
    else:
        n_frames, n_found = FRAMES[preset][name], 0
        if found is not None:
            if "left_out" not in settings or "water" not in settings:
                raise InputError(
                    f"{path} was not made by datasets.qmmm_solutes sample; give it as --data {system}={path}, or move it away."
                )
            n_found = len(found) + len(settings["left_out"])
        if n_found >= n_frames:
            return path
        print(f"{system}: building {n_frames} frames, {path}", flush=True)
        engine = make_engine("xtb", None, None, 1)
        command += f" sample {name} --frames {n_frames}"
        _, failures = sample(path, solute_by_name(name), engine, Sampling(n_frames), os.cpu_count() or 1, command)
    for failure in failures:
        print(f"left out: {failure}", flush=True)
    return path


def configuration(job: Job, preset: str, data: Path) -> dict[str, Any]:
    """The training configuration of a run, without the potential that a fine-tuned one starts from."""
    chosen = PRESETS[preset]
    split = {"kind": ORDERINGS[job.ordering]} | ({"train": 0.7, "validation": 0.0} if job.table == 2 else {})
    steps = (chosen.steps if job.table == 1 else chosen.table_2_steps)[job.system]
    model = {**MODEL, **chosen.model, **(chosen.table_2_model if job.table == 2 else {}), "long_range_cutoff": job.cutoff}
    return {
        "data": str(data),
        "model": model,
        "split": split,
        "steps": steps,
        "batch_size": BATCH[job.system],
        "interval": steps // chosen.validations,
        **PAPER_SETTINGS,
        **chosen.settings,
        **chosen.of_system.get(job.system, {}),
        **(FINE_TUNING if job.ordering == "fine-tuned" else {}),
    }


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
    n_mm = float(np.mean(np.concatenate([np.diff(group.mm_offsets) for group in found.groups])))
    seconds = result.potential.provenance["training_seconds"]
    outcome = Outcome(job, errors, null, config.steps, seconds, len(found), n_mm, result.history)
    print("  test MAE: " + ", ".join(f"{TITLES[label]} {errors['test'][label]:.3g} {unit}" for label, unit in LABELS.items()), flush=True)
    return outcome


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


def error_rows(found: Sequence[Outcome], published: Any, parts: Sequence[str]) -> list[Row]:
    """Errors with the published ones, null models, and how each run was trained.

    Args:
        published: ``published(job)`` is the paper's entry by label, a tuple over ``parts``.
        parts: of the split, in the order of the paper.
    """
    rows = []
    for outcome in found:
        job, theirs = outcome.job, published(outcome.job)
        who = {"system": job.system, "ordering": job.ordering, "cutoff": shown_cutoff(job)}
        for label, unit in LABELS.items():
            for number, part in enumerate(parts):
                rows.append(row(f"{label}_mae", unit, outcome.errors[part][label], theirs[label][number], **who, part=part))
                rows.append(row(f"null_{label}_mae", unit, outcome.null[part][label], None, **who, part=part))
        facts = {
            "frames": outcome.n_frames,
            "training_steps": outcome.steps,
            "training_time": outcome.seconds,
            "mm_particles": outcome.n_mm,
        }
        rows += [row(metric, "s" if metric == "training_time" else "", value, None, **who, part=None) for metric, value in facts.items()]
    return rows


def error_table(rows: Sequence[Row], key: str, parts: Sequence[str], literature: Mapping[str, Any] | None = None) -> str:
    """Ours, published and null model for each run, errors as ``train/…/test``; ``key`` names the column that tells runs apart."""
    lines = []
    runs = dict.fromkeys((entry["system"], entry[key]) for entry in rows if entry["metric"] == "energy_mae")
    values = {(entry["system"], entry[key], entry["metric"], entry["part"]): entry for entry in rows}
    for system, which in runs:
        kinds = [("ours", "", "value"), ("published", "", "published"), ("null model", "null_", "value")]
        if values[system, which, "energy_mae", parts[0]]["published"] is None:
            del kinds[1]
        for name, prefix, field_name in kinds:
            cells = [
                "/".join(short_number(values[system, which, f"{prefix}{label}_mae", part][field_name]) for part in parts)
                for label in LABELS
            ]
            facts = ["", ""]
            if name == "ours":
                facts = [str(values[system, which, metric, None]["value"]) for metric in ("frames", "training_steps")]
            lines.append([system, NEAR_AND_FAR if which is None else which, name, *cells, *facts])
        if literature and system == "Uracil" and which == "unshuffled":
            for name, theirs in literature.items():
                lines.append(
                    [
                        system,
                        NEAR_AND_FAR if which is None else which,
                        name,
                        *("/".join(map(short_number, theirs[label])) for label in LABELS),
                        "",
                        "",
                    ]
                )
    titles = [f"{TITLES[label]}, {unit}" for label, unit in LABELS.items()]
    return format_table(["system", key, f"MAE {'/'.join(parts)}", *titles, "frames", "steps"], lines)


def short_number(value: float | None) -> str:
    """Two significant digits; None as a dash."""
    return "–" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def parse_files(given: Sequence[str]) -> dict[str, Path]:
    """``SYSTEM=FILE`` of the command line.

    Raises:
        InputError: for another form or an unknown system.
    """
    files = {}
    for text in given:
        system, separator, path = text.partition("=")
        if not separator or system not in SOLUTES:
            raise InputError(f"--data {text!r}: give SYSTEM=FILE with SYSTEM one of {', '.join(SOLUTES)}.")
        files[system] = Path(path)
    return files


def parse_systems(text: str | None, preset: str, table: int) -> list[str]:
    """The systems of the command line, all those of the preset by default.

    Raises:
        InputError: for a system that the table does not have in this preset.
    """
    known = systems_of(table, preset)
    chosen = known if text is None else text.split(",")
    if unknown := [system for system in chosen if system not in known]:
        raise InputError(f"--systems {text!r}: Table {table} has {', '.join(known)} in PRESET={preset}, not {', '.join(unknown)}.")
    return chosen


def result_name(table: int, systems: Sequence[str], preset: str, files: Mapping[str, Path]) -> str:
    """Of the result file: the table's where all systems of the preset are in it with our data; otherwise it names them."""
    of_some = "" if list(systems) == systems_of(table, preset) else f"-{'-'.join(systems)}"
    return f"table{table}{of_some}{'-own-data' if files else ''}"


def differs(preset: str, data: Mapping[str, dict[str, Any]]) -> str:
    """One line that says what differs from the paper."""
    systems: dict[str, list[str]] = {}
    for system, record in data.items():
        origin = record["level_of_theory"]
        if record["ours"]:
            of_dynamics = f"{theory} " if (theory := record.get("geometries")) else ""
            origin += f" from our own {of_dynamics}QM/MM dynamics in SPC/E water, every molecule with an atom within 14 angstrom embedded"
        systems.setdefault(origin, []).append(system)
    origins = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in systems.items())
    for system, record in data.items():
        if record["formulas"] != [expected := FORMULAS[system]]:
            origins += f"; what is called {system} is {', '.join(record['formulas'])}, the published errors are of {expected}"
    return f"Differs from the paper: the data ({origins}; the paper's are DFT); one seed; {PRESETS[preset].differs}."


def settings_record(jobs: Sequence[Job], preset: str) -> dict[str, Any]:
    """The training configuration of each system, for a result file."""
    records = {}
    for job in jobs:
        settings = configuration(job, preset, Path())
        name = job.system if job.ordering != "fine-tuned" else f"{job.system}, fine-tuned"
        records[name] = {key: value for key, value in settings.items() if key not in ("data", "split")}
        records[name]["model"].pop("long_range_cutoff")
    return records


def data_records(jobs: Sequence[Job], preset: str, files: Mapping[str, Path], runs: Path = RUNS) -> dict[str, dict[str, Any]]:
    """File, sha256 and level of theory of each system's data, for a result file."""
    records = {}
    for system in dict.fromkeys(job.system for job in jobs):
        data = read_reference_data(data_file(system, preset, files, runs))
        records[system] = data_record(data) | {"ours": system not in files}
    return records


def data_record(data: ReferenceData) -> dict[str, Any]:
    """File, sha256, level of theory and molecules of reference data."""
    provenance = data.provenance
    settings = provenance.settings.get("data_settings", provenance.settings)  # of the frames that ship, or of the data
    geometries = {"geometries": theory} if (theory := settings.get("geometries_level_of_theory")) else {}
    return geometries | {
        "file": Path(data.source).name, "sha256": data.sha256, "level_of_theory": provenance.level_of_theory,
        "engine": f"{provenance.engine} {provenance.engine_version}", "builder_command": provenance.builder_command,
        "formulas": sorted({str(Symbols(group.qm_atomic_numbers).get_chemical_formula("hill")) for group in data.groups}),
    }  # fmt: skip


def curves(found: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Validation errors over the steps of each run."""
    drawn = []
    for outcome in found:
        points = [entry for entry in outcome.history if "val_energy_mae" in entry]
        if points:
            drawn.append(
                {
                    "system": outcome.job.system,
                    "ordering": outcome.job.ordering,
                    "step": [int(entry["step"]) for entry in points],
                    **{label: [float(f"{entry['val_' + label + '_mae']:.4g}") for entry in points] for label in LABELS},
                }
            )
    return drawn


def extrapolated(steps: Sequence[int], errors: Sequence[float], at: int) -> float | None:
    """The error at step ``at`` by a power law through the points of the second half of the steps; None with fewer than three of them, where
    the errors do not fall, and beyond a hundred times the steps, where a power law says nothing."""
    if at > 100 * steps[-1]:
        return None
    chosen = [(step, error) for step, error in zip(steps, errors, strict=True) if step >= 0.5 * steps[-1] and error > 0]
    if len(chosen) < 3:
        return None
    slope, offset = np.polyfit(*np.log(np.array(chosen)).T, 1)
    return float(np.exp(offset + slope * np.log(at))) if slope < 0 else None


def now() -> float:
    """The clock that result files measure with."""
    return time.perf_counter()


if __name__ == "__main__":
    from reproductions.shipped_solutes import ship_weights  # which imports this module

    for written in ship_weights():
        print(f"wrote {written}")
