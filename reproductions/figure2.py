"""Figure 2: the torsion of the water dimer in three cut-off regimes. ``make reproduce-figure2``."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from amp_tf.data.hdf5 import read_reference_data
from common import paper
from common.results import Row, format_table, row, write_result
from figures.figure2 import draw
from reproductions.entry import check_preset, run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.water_dimer import DATA, PAPER_SETTINGS, PRESETS, Outcome, data_record, differs, runs_for, train_all

PANELS = {"A": ("AMP(1)", "AMP(2)"), "B": ("AMP(1)", "AMP(2)"), "C": ("AMP(2)", "AMP(2)-DP")}
MANY_SEEDS = {("B", "AMP(2)"), ("C", "AMP(2)-DP")}
SUCCESS = 1.0
"""A run with a test MAE of at most this describes the rotation, J/mol."""


def summarize(outcomes: list[Outcome]) -> list[Row]:
    """Test MAE of every run, then median and number of successful seeds of each panel and model."""
    rows = []
    for panel, models in PANELS.items():
        for model in models:
            of_model = [outcome for outcome in outcomes if (outcome.run.panel, outcome.run.model) == (panel, model)]
            published = paper.FIGURE_2A_TEST_MAE.get(model) if panel == "A" else None
            for outcome in of_model:
                rows.append(row("test_mae", "J/mol", outcome.test_mae, published, panel=panel, model=model, seed=outcome.run.seed))
            errors = [outcome.test_mae for outcome in of_model]
            rows.append(row("median_test_mae", "J/mol", float(np.median(errors)), published, panel=panel, model=model, seed=None))
            rows.append(
                row("successful_seeds", "seeds", sum(error <= SUCCESS for error in errors), None, panel=panel, model=model, seed=None)
            )
    rows.append(row("null_model_test_mae", "J/mol", outcomes[0].null_mae, None, panel=None, model="mean energy", seed=None))
    return rows


def table(rows: list[Row]) -> str:
    """Published beside ours, one line a panel and model."""
    seeds = Counter((entry["panel"], entry["model"]) for entry in rows if entry["metric"] == "test_mae")
    successes = {(entry["panel"], entry["model"]): entry["value"] for entry in rows if entry["metric"] == "successful_seeds"}
    lines = []
    for entry in rows:
        if entry["metric"] == "median_test_mae":
            key = (entry["panel"], entry["model"])
            ratio = None if entry["published"] is None else entry["value"] / entry["published"]
            lines.append([*key, entry["published"], entry["value"], ratio, f"{successes[key]} of {seeds[key]}"])
    null = next(entry["value"] for entry in rows if entry["metric"] == "null_model_test_mae")
    lines.append(["", "mean energy (null model)", None, null, None, ""])
    return format_table(["panel", "model", "published, J/mol", "ours, median J/mol", "ratio", f"seeds <= {SUCCESS:g} J/mol"], lines)


def reproduce(preset: str, runs_folder: Path = RUNS, results: Path = RESULTS) -> Path:
    """Train or load all runs of the figure and write ``figure2.<preset>.json``."""
    started, chosen = time.perf_counter(), PRESETS[check_preset(preset)]
    counts = {
        (panel, model): chosen.many_seeds if (panel, model) in MANY_SEEDS else chosen.few_seeds
        for panel, models in PANELS.items()
        for model in models
    }
    outcomes = train_all(
        [run for (panel, model), n_seeds in counts.items() for run in runs_for(panel, model, n_seeds)], preset, runs_folder
    )
    group = read_reference_data(DATA).groups[0]
    return write_result(
        "figure2", preset, summarize(outcomes), started, results,
        seeds={f"{panel} {model}": n_seeds for (panel, model), n_seeds in counts.items()},
        data=data_record(),
        settings=PAPER_SETTINGS | chosen.settings | chosen.model,
        training_seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        differs=differs(preset),
        reference={"angle": group.frame_properties["angle"].tolist(), "energy": np.round(group.energies, 7).tolist()},
        curves=[
            vars(outcome.run) | {"energy": np.round(outcome.curve, 7).tolist()}
            for outcome in outcomes
        ],
    )  # fmt: skip


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
    """Train, evaluate, draw and print Figure 2."""
    run_reproduction(preset, reproduce, draw, table)


if __name__ == "__main__":
    app()
