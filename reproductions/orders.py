"""AMP(2) or AMP(3)? Errors on the water clusters of Figure 3 by seeds, with the paper's polarization and with near and far charges.

The paper finds AMP(2) to extrapolate best (4.2). ``make reproduce-orders`` asks how much of that is chance, what makes errors grow with the
cluster, and how they depend on the near cut-off.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer

import figures.near_cutoff
import figures.orders
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from amp_tf.training import make_config, train
from common import cluster_models, paper
from common.results import Row, format_table, write_result
from datasets.water_clusters import TRAINING_SIZE
from reproductions import water_clusters
from reproductions.cluster_tables import DISTANCE_STEPS, NULL_MODEL, distance_rows, error_rows, time_row
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.water_clusters import evaluate, print_errors

MODELS = ("AMP(2)", "AMP(3)")
LARGEST = max(paper.CLUSTER_SIZES)
SCAN = "scan"


@dataclass(frozen=True)
class Setting:
    """How models are trained.

    Attributes:
        name: in the table.
        preset: of Figure 3, whose settings they are.
        near_cutoff: charges beyond it polarize through their field, angstrom; None: all through the pair network, as in the paper.
        seeds: one run each.
        models: which.
        steps: of the optimizer; None: the preset's.
    """

    name: str
    preset: str
    near_cutoff: float | None
    seeds: tuple[int, ...]
    models: tuple[str, ...] = MODELS
    steps: int | None = None


def scan(preset: str, cutoffs: Sequence[float], seeds: tuple[int, ...], steps: int | None) -> tuple[Setting, ...]:
    """AMP(2) with near cut-offs of several lengths."""
    return tuple(Setting(SCAN, preset, cutoff, seeds, MODELS[:1], steps) for cutoff in cutoffs)


CUTOFF = cluster_models.NEAR["near_cutoff"]
PRESETS = {
    "smoke": (
        Setting("learnt", "smoke", None, (0,), MODELS[:1]),
        Setting("near and far", "smoke", CUTOFF, (0, 1), MODELS[:1]),
        *scan("smoke", (3.0, 4.0), (0,), None),
    ),
    "laptop": (
        Setting("paper preset", "paper", None, (0,)),
        Setting("learnt", "laptop", None, (0, 1, 2), steps=20_000),
        Setting("paper preset, near and far", "paper", CUTOFF, (0,)),
        Setting("near and far", "laptop", CUTOFF, (0, 1, 2), steps=20_000),
        *scan("laptop", (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0), (0, 1, 2), 8000),
    ),
    "paper": (
        Setting("paper preset", "paper", None, (0, 1, 2)),
        Setting("paper preset, near and far", "paper", CUTOFF, (0, 1, 2)),
        *scan("paper", (3.0, 4.0, 5.0), (0,), None),
    ),
}


def configuration(setting: Setting, model: str, seed: int, data: Path | str) -> dict[str, Any]:
    """The training configuration of one run."""
    found = water_clusters.configuration(model, setting.preset, data, seed)
    arguments = {key: value for key, value in found["model"].items() if key != "near_cutoff"}
    if setting.near_cutoff is not None:
        arguments["near_cutoff"] = setting.near_cutoff
    return found | {"model": arguments} | ({} if setting.steps is None else {"steps": setting.steps})


def reproduce(preset: str, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train every run that is not finished, evaluate, write the result file."""
    started, data = time.perf_counter(), read_reference_data(water_clusters.data_file(preset, runs))
    rows = [
        row
        for setting in PRESETS[preset]
        for model in setting.models
        for seed in setting.seeds
        for row in _run_rows(setting, model, seed, data, runs)
    ]
    null = error_rows([], data) + distance_rows([], data)
    rows += [{"setting": NULL_MODEL, "seed": None, "near_cutoff": None, **row} for row in null]
    named = {setting.name: setting for setting in PRESETS[preset]}
    return write_result(
        "orders", preset, rows, started, results,
        seeds=max((setting.seeds for setting in PRESETS[preset]), key=len),
        data=cluster_models.data_record(),
        differs=water_clusters.DATA_DIFFERS + "; " + "; ".join(f"{name}: {_differs(setting)}" for name, setting in named.items()) + ".",
    )  # fmt: skip


def _differs(setting: Setting) -> str:
    """What of a setting differs from the paper's."""
    near = [] if setting.near_cutoff is None or setting.name == SCAN else [water_clusters.NEAR_DIFFERS]
    steps = [] if setting.steps is None else [f"{setting.steps} steps instead of these"]
    return "; ".join([water_clusters.PRESETS[setting.preset].differs, *near, *steps])


def _run_rows(setting: Setting, model: str, seed: int, data: ReferenceData, runs: Path) -> list[Row]:
    of_scan = [f"{setting.near_cutoff:g} angstrom"] if setting.name == SCAN else []
    name = ", ".join([setting.name, *of_scan, model, f"seed {seed}"])
    outcome = evaluate(model, _potential(setting, model, seed, name, data, runs), data)
    print_errors(name, outcome)
    rows = error_rows([outcome], data) + distance_rows([outcome], data)
    who = {"setting": setting.name, "seed": seed, "near_cutoff": setting.near_cutoff}
    return [who | row for row in (*rows, time_row([outcome])) if row["model"] == model]


def _potential(setting: Setting, model: str, seed: int, name: str, data: ReferenceData, runs: Path):
    """Of the run of Figure 3 where that is the same one, of a run of this setting otherwise."""
    settings = configuration(setting, model, seed, data.source)
    if settings == water_clusters.configuration(model, setting.preset, data.source, seed):
        return water_clusters.trained(model, seed, setting.preset, data, folder=runs)
    print(f"{name}:", flush=True)
    keras.utils.clear_session()
    run = runs / "water_clusters" / "orders" / setting.preset / name.replace(", ", "-").replace(" ", "_")
    return train(make_config(settings), run).potential


def table(rows: Sequence[Row]) -> str:
    """Mean and standard deviation over the seeds of each setting and model, and the published numbers; kJ/mol and kJ/mol/angstrom."""
    runs: dict[tuple[str, str], dict[int | None, list[Row]]] = {}
    for row in rows:
        if row["model"] and row["setting"] != SCAN:
            runs.setdefault((row["setting"], row["model"]), {}).setdefault(row["seed"], []).append(row)
    first = {model: next(iter(seeds.values())) for (_, model), seeds in runs.items() if model != NULL_MODEL}
    names = [
        "mean but 10",
        f"n = {LARGEST}",
        f"growth from 10 to {LARGEST}",
        "charges as near as in training",
        f"{DISTANCE_STEPS[-1]:g} Å or more farther",
    ]
    parts = []
    for label, title in {"energy": "energy, kJ/mol", "qm_gradients": "gradients, kJ/mol/Å"}.items():
        lines = [
            [
                *run,
                len(seeds),
                *map(_mean_and_deviation, zip(*(_columns(of_seed, label, "value") for of_seed in seeds.values()), strict=True)),
            ]
            for run, seeds in runs.items()
        ]
        lines += [["published", model, None, *_columns(of_model, label, "published")] for model, of_model in first.items()]
        parts.append(format_table([title, "model", "seeds", *names], lines))
    return "\n\n".join(part for part in (*parts, scan_table(rows)) if part)


def scan_table(rows: Sequence[Row]) -> str:
    """Mean and standard deviation over the seeds by near cut-off: energies and gradients, all sizes but ten and the largest."""
    columns = {f"{label}, {name}": (f"{prefix}{label}_mae", size) for label in water_clusters.TABLES for name, prefix, size in SCAN_COLUMNS}
    of_scan = [row for row in rows if row["setting"] == SCAN]
    if not of_scan:
        return ""
    lines = [
        [cutoff, *(_mean_and_deviation(_of_seeds(of_scan, cutoff, *column)) for column in columns.values())]
        for cutoff in sorted({row["near_cutoff"] for row in of_scan})
    ]
    return format_table([f"{MODELS[0]}, near cut-off, Å", *columns], lines)


SCAN_COLUMNS = (("mean but 10", "mean_", None), (f"n = {LARGEST}", "", LARGEST))


def _of_seeds(rows: Sequence[Row], cutoff: float, metric: str, size: int | None) -> list[float]:
    return [row["value"] for row in rows if (row["near_cutoff"], row["metric"], row["size"]) == (cutoff, metric, size)]


def _columns(rows: Sequence[Row], label: str, key: str) -> list[float | None]:
    """The numbers of one run and label in the order of the table."""
    metric = f"{label}_mae"
    of_size = {row["size"]: row[key] for row in rows if row["metric"] in (metric, f"mean_{metric}")}
    near, *_, far = (row[key] for row in rows if row["metric"] == f"{metric}_by_distance")
    return [of_size[None], of_size[LARGEST], of_size[LARGEST] - of_size[TRAINING_SIZE], near, far]


def _mean_and_deviation(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
    """Train, evaluate, draw and print the comparison of orders and polarizations."""
    run_reproduction(preset, reproduce, lambda result: figures.orders.draw(result) + figures.near_cutoff.draw(result), table)


if __name__ == "__main__":
    app()
