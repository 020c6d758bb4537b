"""What Figures 5 and 6 share: runs of one panel of Figure 2, with their learning curves."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.results import Row, format_table, row, write_result
from reproductions.entry import check_preset
from reproductions.folders import RESULTS, RUNS
from reproductions.water_dimer import PAPER_SETTINGS, PRESETS, data_record, differs, runs_for, train_all


def reproduce(name: str, panel: str, models: Sequence[str], preset: str, runs_folder: Path = RUNS, results: Path = RESULTS) -> Path:
    """Train or load the runs and write ``<name>.<preset>.json``; runs of Figure 2 serve again."""
    started, chosen = time.perf_counter(), PRESETS[check_preset(preset)]
    outcomes = train_all([run for model in models for run in runs_for(panel, model, chosen.many_seeds)], preset, runs_folder)
    rows = []
    for model in models:
        of_model = [outcome for outcome in outcomes if outcome.run.model == model]
        for outcome in of_model:
            rows.append(
                row(
                    "final_validation_mae",
                    "kJ/mol",
                    float(outcome.validation_mae[-1]),
                    None,
                    panel=panel,
                    model=model,
                    seed=outcome.run.seed,
                )
            )
        logarithms = np.log10([outcome.validation_mae[-1] for outcome in of_model])
        rows.append(
            row("mean_log10_final_validation_mae", "log10(kJ/mol)", float(logarithms.mean()), None, panel=panel, model=model, seed=None)
        )
        rows.append(
            row("std_log10_final_validation_mae", "log10(kJ/mol)", float(logarithms.std()), None, panel=panel, model=model, seed=None)
        )
    rows.append(row("null_model_mae", "kJ/mol", outcomes[0].null_mae / 1000, None, panel=panel, model="mean energy", seed=None))
    return write_result(
        name, preset, rows, started, results,
        seeds=chosen.many_seeds,
        data=data_record(),
        settings=PAPER_SETTINGS | chosen.settings | chosen.model,
        training_seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        differs=f"The paper draws these curves and states no number. {differs(preset)}",
        curves=[
            {
                "model": outcome.run.model,
                "seed": outcome.run.seed,
                "step": outcome.steps.tolist(),
                "validation_mae": [float(f"{value:.4g}") for value in outcome.validation_mae],
            }
            for outcome in outcomes
        ],
    )  # fmt: skip


def table(rows: list[Row]) -> str:
    """Mean and standard deviation of the final errors, one line a model."""
    value = {(entry["model"], entry["metric"]): entry["value"] for entry in rows if entry.get("seed") is None}
    models = dict.fromkeys(entry["model"] for entry in rows if entry["metric"] == "final_validation_mae")
    lines = [
        [
            model,
            sum(entry["model"] == model and entry["seed"] is not None for entry in rows),
            *(value[model, f"{kind}_log10_final_validation_mae"] for kind in ("mean", "std")),
        ]
        for model in models
    ]
    lines.append(["mean energy (null model)", "", float(np.log10(value["mean energy", "null_model_mae"])), None])
    return format_table(["model", "seeds", "final validation MAE, mean log10(kJ/mol)", "std"], lines)
