"""Tables, records and learning curves of the runs on solutes in water."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.symbols import Symbols

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from common.results import Row, format_table, row
from reproductions.folders import RUNS
from reproductions.solute_runs import Outcome, data_file
from reproductions.solutes import DFT, FINE_TUNING, FORMULAS, LABELS, NEAR_AND_FAR, PRESETS, TITLES, Job, configuration, shown_cutoff

FACTS = ("frames", "training_steps")


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
                facts = ["–" if (value := values[system, which, metric, None]["value"]) is None else str(value) for metric in FACTS]
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


def differs(preset: str, data: Mapping[str, dict[str, Any]]) -> str:
    """One line that says what differs from the paper."""
    systems: dict[str, list[str]] = {}
    for system, record in data.items():
        origin = record["level_of_theory"]
        if record["ours"]:
            of_dynamics = f"{theory} " if (theory := record.get("geometries")) else ""
            origin += f" from our own {of_dynamics}QM/MM dynamics in SPC/E water"
            origin += f", every molecule with an atom within {record['zone']:g} angstrom embedded" if "zone" in record else ""
        systems.setdefault(origin, []).append(system)
    origins = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in systems.items())
    for system, record in data.items():
        if record["formulas"] != [expected := FORMULAS[system]]:
            origins += f"; what is called {system} is {', '.join(record['formulas'])}, the published errors are of {expected}"
    told = [f"Differs from the paper: the data ({origins}; the paper's are DFT)", "one seed", PRESETS[preset].differs]
    if DFT in data:
        told.append(f"a fine-tuned run starts from the potential of GFN2-xTB, with a learning rate from {FINE_TUNING['learning_rate']:g}")
    return f"{'; '.join(told)}."


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
    sampled = settings.get("geometries_settings", settings)
    zone = {"zone": float(sampled["zone"])} if "zone" in sampled else {}
    return geometries | zone | {
        "file": Path(data.source).name, "sha256": data.sha256, "level_of_theory": provenance.level_of_theory,
        "engine": f"{provenance.engine} {provenance.engine_version}", "builder_command": with_file_names(provenance.builder_command),
        "formulas": sorted({str(Symbols(group.qm_atomic_numbers).get_chemical_formula("hill")) for group in data.groups}),
    }  # fmt: skip


def with_file_names(command: str) -> str:
    """A command, files of this machine by their names alone, as it leaves the machine."""
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in shlex.split(command))


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
