"""Rows and tables of Figure 3: errors by size and by distance of the charges, sizes of the models, energy terms.

Where a model has several seeds, each number is the median over them, and ``of_seeds`` holds it for each.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from amp_tf.data.reference_data import FrameGroup, ReferenceData
from common import paper
from common.results import Row, format_table, row
from datasets.water_clusters import TRAINING_SIZE
from reproductions.water_clusters import PAPER_SETTINGS, TABLES, Outcome, mean_but_training_size, test_groups, training_group

UNITS = {"energy": "kJ/mol", "qm_gradients": "kJ/mol/angstrom"}
NULL_MODEL = "null model"
DISTANCE_STEPS = (0.0, 1.0, 2.0)
"""The ends of the ranges of :func:`distance_rows` beyond the farthest charge of the training frames, angstrom."""


def by_model(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each model, one a seed."""
    models: dict[str, list[Outcome]] = {}
    for outcome in found:
        models.setdefault(outcome.model, []).append(outcome)
    return models


def _median_row(
    metric: str, unit: str, number: Callable[[Any], float], of_seeds: Sequence[Any], published: float | None = None, **identifiers: Any
) -> Row:
    """The median of ``number`` over what each seed gave."""
    values = [float(number(of_seed)) for of_seed in of_seeds]
    seeds = {"of_seeds": values} if len(values) > 1 else {}
    return row(metric, unit, float(np.median(values)), published, **identifiers, **seeds)


def null_errors(data: ReferenceData) -> dict[str, dict[int, np.ndarray]]:
    """Errors of the mean training energy and of zero gradients, frame by frame."""
    mean = training_group(data).energies.mean()
    groups = test_groups(data)
    return {
        "energy": {size: np.abs(group.energies - mean) for size, group in groups.items()},
        "qm_gradients": {size: np.abs(group.qm_gradients).mean(axis=(1, 2)) for size, group in groups.items()},
    }


def error_rows(found: Sequence[Outcome], data: ReferenceData) -> list[Row]:
    """Errors by model and size with the published ones, and their means over all sizes but ten."""
    rows = []
    for label in TABLES:
        columns = {model: [outcome.errors[label] for outcome in outcomes] for model, outcomes in by_model(found).items()}
        for model, errors in (columns | {NULL_MODEL: [null_errors(data)[label]]}).items():
            published = dict(zip(paper.CLUSTER_SIZES, TABLES[label].get(model, [None] * len(paper.CLUSTER_SIZES)), strict=True))
            metric = f"{label}_mae"
            rows += [
                _median_row(metric, UNITS[label], lambda of_seed, size=size: np.mean(of_seed[size]), errors, published.get(size),
                            model=model, size=size)
                for size in errors[0]
            ]  # fmt: skip
            all_known = [published.get(size) for size in errors[0] if size != TRAINING_SIZE]
            published_mean = None if None in all_known else float(np.mean(all_known))
            mean = _median_row(f"mean_{metric}", UNITS[label], mean_but_training_size, errors, published_mean, model=model, size=None)
            rows.append(mean)
    return rows


def distance_rows(found: Sequence[Outcome], data: ReferenceData) -> list[Row]:
    """Errors of the test frames by the distance of their farthest charge: as near as in training, and beyond.

    ``farthest_from`` and ``farthest_to`` are the ends of a range, angstrom; None for that of the last one.
    """
    seen = farthest_charges(training_group(data)).max()
    distances = np.concatenate([farthest_charges(group) for group in test_groups(data).values()])
    ends = [0.0, *(float(np.ceil(10 * (seen + step)) / 10) for step in DISTANCE_STEPS), np.inf]
    rows = []
    for lower, upper in itertools.pairwise(ends):
        within = (distances >= lower) & (distances < upper)
        if not within.any():
            continue
        identifiers = {"size": None, "farthest_from": lower, "farthest_to": upper if np.isfinite(upper) else None}
        rows.append(row("frames", "", int(within.sum()), model="", **identifiers))
        errors = {model: [outcome.errors for outcome in outcomes] for model, outcomes in by_model(found).items()}
        for model, of_model in (errors | {NULL_MODEL: [null_errors(data)]}).items():
            for label in TABLES:
                means = [_mean_within(errors_of_seed[label], within) for errors_of_seed in of_model]
                rows.append(_median_row(f"{label}_mae_by_distance", UNITS[label], float, means, model=model, **identifiers))
    return rows


def _mean_within(errors: Mapping[int, np.ndarray], chosen: np.ndarray) -> float:
    """The mean error of the chosen frames of all sizes, one after the other."""
    return float(np.concatenate(list(errors.values()))[chosen].mean())


def farthest_charges(group: FrameGroup) -> np.ndarray:
    """The distance of the farthest MM particle from the oxygen atom in each frame, [n_frames], angstrom."""
    systems = (group.system(frame) for frame in range(len(group)))
    return np.array([np.linalg.norm(system.mm_positions - system.positions[0], axis=1).max() for system in systems])


def size_rows(found: Sequence[Outcome]) -> list[Row]:
    """Parameters, training steps and time of each model, and its errors on the frames that trained it."""
    rows = []
    for model, outcomes in by_model(found).items():
        who: dict[str, Any] = {"model": model, "size": None}
        rows.append(row("parameters", "", outcomes[0].n_parameters, None, **who))
        rows.append(row("training_steps", "steps", outcomes[0].steps, PAPER_SETTINGS["steps"], **who))
        rows += [
            _median_row(f"training_{label}_mae", UNITS[label], lambda outcome, label=label: outcome.training_errors[label], outcomes, **who)
            for label in TABLES
        ]
        rows.append(time_row(outcomes))
    return rows


def time_row(outcomes: Sequence[Outcome]) -> Row:
    """How long the training of one model took, a run."""
    return _median_row("training_time", "s", lambda outcome: outcome.seconds, outcomes, model=outcomes[0].model, size=None)


def term_rows(found: Sequence[Outcome], data: ReferenceData) -> list[Row]:
    """Mean reference energy and mean energy terms by size (the extensivity argument of 4.2)."""
    rows = [
        row("mean_energy", "kJ/mol", float(np.mean(group.energies)), None, model="reference", size=size, term="energy")
        for size, group in test_groups(data).items()
    ]
    for model, outcomes in by_model(found).items():
        for term, by_size in outcomes[0].terms.items():
            rows += [
                _median_row("mean_energy", "kJ/mol", lambda outcome, at=(term, size): outcome.terms[at[0]][at[1]], outcomes,
                            model=model, size=size, term=term)
                for size in by_size
            ]  # fmt: skip
    return rows


def table(rows: Sequence[Row], label: str) -> str:
    """Ours and published for each model, one column a size and one for the mean of all sizes but ten."""
    entries = [entry for entry in rows if entry["metric"] in (f"{label}_mae", f"mean_{label}_mae")]
    sizes = sorted({entry["size"] for entry in entries if entry["size"] is not None})
    lines = []
    for model in dict.fromkeys(entry["model"] for entry in entries):
        of_model = {entry["size"]: entry for entry in entries if entry["model"] == model}
        for kind, key in (("ours", "value"), ("published", "published")):
            if any(entry[key] is not None for entry in of_model.values()):
                lines.append([model, kind, *(of_model[size][key] for size in [*sizes, None])])
    return format_table(["model", f"MAE, {UNITS[label]}", *map(str, sizes), "mean but 10"], lines)


def summary_table(rows: Sequence[Row]) -> str:
    """Ours and published for each model: means of all sizes but ten, and the largest cluster."""
    entries = {(entry["metric"], entry["model"], entry["size"]): entry for entry in rows}
    largest = max(size for metric, _, size in entries if metric == "energy_mae")
    columns = [(f"{prefix}{label}_mae", size) for label in TABLES for prefix, size in (("mean_", None), ("", largest))]
    lines = [
        [model, *(entries[metric, model, size][key] for metric, size in columns for key in ("value", "published"))]
        for model in dict.fromkeys(model for metric, model, _ in entries if metric == "energy_mae")
    ]
    titles = [f"{word}, {place}" for word in ("energy", "gradients") for place in ("mean but 10", f"n = {largest}")]
    return format_table(["MAE", *(text for title in titles for text in (title, "published"))], lines)


def size_table(rows: Sequence[Row]) -> str:
    """Parameters, steps and time of each model beside the paper's, and errors on the training frames, which tell how far it was trained."""
    values = {(entry["model"], entry["metric"]): entry["value"] for entry in rows}
    steps = next(entry["published"] for entry in rows if entry["metric"] == "training_steps")
    header = ["model", "parameters", "paper", "steps", "paper", "minutes", f"training MAE, {UNITS['energy']}", UNITS["qm_gradients"]]
    lines = [
        [
            model,
            values[model, "parameters"],
            paper.CLUSTER_PARAMETERS,
            values[model, "training_steps"],
            steps,
            values[model, "training_time"] / 60,
            values[model, "training_energy_mae"],
            values[model, "training_qm_gradients_mae"],
        ]
        for model in dict.fromkeys(model for model, metric in values if metric == "parameters")
    ]
    return format_table(header, lines)


def distance_table(rows: Sequence[Row]) -> str:
    """Energy and gradient errors of each model by the distance of the farthest charge."""
    ranges = {(row["farthest_from"], row["farthest_to"]): row["value"] for row in rows if row["metric"] == "frames"}
    entries = {(row["metric"], row["model"], row["farthest_from"]): row["value"] for row in rows if "farthest_from" in row}
    names = [f"{lower:g} to {upper:g}" if upper else f"over {lower:g}" for lower, upper in ranges]
    header = ["energy / gradients", *(f"{name} Å, {frames} frames" for name, frames in zip(names, ranges.values(), strict=True))]
    models = dict.fromkeys(model for metric, model, _ in entries if metric != "frames")
    lines = [
        [model, *(" / ".join(f"{entries[f'{label}_mae_by_distance', model, lower]:.3g}" for label in TABLES) for lower, _ in ranges)]
        for model in models
    ]
    return format_table(header, lines)


def term_table(rows: Sequence[Row], model: str = "AMP(2)") -> str:
    """Mean reference energy and energy terms of one model by size."""
    chosen = ("reference", model)  # the atomic energies, a term of this name too, are zero here
    entries = [e for e in rows if e["metric"] == "mean_energy" and e["model"] in chosen and e["term"] != "reference"]
    sizes = sorted({entry["size"] for entry in entries})
    names = dict.fromkeys((entry["model"], entry["term"]) for entry in entries)
    values = {(entry["model"], entry["term"], entry["size"]): entry["value"] for entry in entries}
    return format_table(
        ["mean, kJ/mol", *map(str, sizes)], [[f"{of} {term}", *(values[of, term, size] for size in sizes)] for of, term in names]
    )
