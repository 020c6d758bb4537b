"""Rows and tables of Figure 3: errors by size and by distance of the charges, sizes of the models, energy terms."""

import itertools
from collections.abc import Sequence

import numpy as np

from amp_tf.data.hdf5 import FrameGroup, ReferenceData
from datasets.water_clusters import TRAINING_SIZE
from reproductions import paper
from reproductions.common import Row, format_table, row
from reproductions.water_clusters import MODELS, PAPER_SETTINGS, TABLES, Outcome, mean_but_training_size, test_groups, training_group

UNITS = {"energy": "kJ/mol", "qm_gradients": "kJ/mol/angstrom"}
NULL_MODEL = "null model"
DISTANCE_STEPS = (0.0, 1.0, 2.0)
"""The ends of the ranges of :func:`distance_rows` beyond the farthest charge of the training frames, angstrom."""


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
        columns = [(outcome.model, outcome.errors[label]) for outcome in found] + [(NULL_MODEL, null_errors(data)[label])]
        for model, errors in columns:
            published = dict(zip(paper.CLUSTER_SIZES, TABLES[label].get(model, [None] * len(paper.CLUSTER_SIZES)), strict=True))
            metric = f"{label}_mae"
            rows += [
                row(metric, UNITS[label], float(np.mean(of_size)), published.get(size), model=model, size=size)
                for size, of_size in errors.items()
            ]
            all_known = [published.get(size) for size in errors if size != TRAINING_SIZE]
            published_mean = None if None in all_known else float(np.mean(all_known))
            rows.append(row(f"mean_{metric}", UNITS[label], mean_but_training_size(errors), published_mean, model=model, size=None))
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
        for model, errors in [*((outcome.model, outcome.errors) for outcome in found), (NULL_MODEL, null_errors(data))]:
            for label in TABLES:
                mean = float(np.concatenate(list(errors[label].values()))[within].mean())
                rows.append(row(f"{label}_mae_by_distance", UNITS[label], mean, model=model, **identifiers))
    return rows


def farthest_charges(group: FrameGroup) -> np.ndarray:
    """The distance of the farthest MM particle from the oxygen atom in each frame, [n_frames], angstrom."""
    systems = (group.system(frame) for frame in range(len(group)))
    return np.array([np.linalg.norm(system.mm_positions - system.positions[0], axis=1).max() for system in systems])


def size_rows(found: Sequence[Outcome]) -> list[Row]:
    """Parameters, training steps and time of each model, and its errors on the frames that trained it."""
    rows = []
    for outcome in found:
        columns = {
            "parameters": ("", outcome.n_parameters, None),
            "training_steps": ("steps", outcome.steps, PAPER_SETTINGS["steps"]),
            "training_energy_mae": (UNITS["energy"], outcome.training_errors["energy"], None),
            "training_qm_gradients_mae": (UNITS["qm_gradients"], outcome.training_errors["qm_gradients"], None),
        }
        rows += [row(metric, *values, model=outcome.model, size=None) for metric, values in columns.items()]
        rows.append(time_row(outcome))
    return rows


def time_row(outcome: Outcome) -> Row:
    """How long the training took."""
    return row("training_time", "s", outcome.seconds, model=outcome.model, size=None)


def term_rows(found: Sequence[Outcome], data: ReferenceData) -> list[Row]:
    """Mean reference energy and mean energy terms by size (the extensivity argument of 4.2)."""
    rows = [
        row("mean_energy", "kJ/mol", float(np.mean(group.energies)), None, model="reference", size=size, term="energy")
        for size, group in test_groups(data).items()
    ]
    for outcome in found:
        for term, by_size in outcome.terms.items():
            rows += [row("mean_energy", "kJ/mol", mean, None, model=outcome.model, size=size, term=term) for size, mean in by_size.items()]
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
        for model in MODELS
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
