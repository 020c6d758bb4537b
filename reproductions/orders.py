"""AMP(2) or AMP(3)? The errors of both on the water clusters of Figure 3, by seeds, with learnt and with field-shaped polarization.

The paper finds AMP(2) to extrapolate best (4.2). ``make reproduce-orders`` asks how much of that is chance, and what makes errors grow with
the cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer

from amp_tf.data.hdf5 import ReferenceData, read_reference_data
from amp_tf.training import make_config, train
from datasets.water_clusters import TRAINING_SIZE
from figures.orders import draw
from reproductions import paper, water_clusters
from reproductions.cluster_tables import DISTANCE_STEPS, NULL_MODEL, distance_rows, error_rows, time_row
from reproductions.common import RESULTS, RUNS, Row, format_table, write_result
from reproductions.entry import run_reproduction
from reproductions.water_clusters import evaluate, now, print_errors

MODELS = ("AMP(2)", "AMP(3)")
LARGEST = max(paper.CLUSTER_SIZES)


@dataclass(frozen=True)
class Setting:
    """How both models are trained.

    Attributes:
        name: in the table.
        preset: of Figure 3, whose settings they are.
        field: whether the polarization starts from the field of each charge instead of being learnt.
        seeds: one run each.
    """

    name: str
    preset: str
    field: bool
    seeds: tuple[int, ...]


PRESETS = {
    "smoke": (Setting("learnt", "smoke", False, (0,)), Setting("field-shaped", "smoke", True, (0, 1))),
    "laptop": (
        Setting("paper preset", "paper", False, (0,)),
        Setting("learnt", "laptop", False, (0, 1, 2)),
        Setting("field-shaped", "laptop", True, (0, 1, 2)),
    ),
    "paper": (Setting("paper preset", "paper", False, (0, 1, 2)), Setting("paper preset, field-shaped", "paper", True, (0, 1, 2))),
}


def configuration(setting: Setting, model: str, seed: int, data: Path | str) -> dict[str, Any]:
    """The training configuration of one run."""
    found = water_clusters.configuration(model, setting.preset, data)
    arguments = {key: value for key, value in found["model"].items() if key != "field_polarization"}
    return found | {"seed": seed, "model": arguments | (water_clusters.FIELD if setting.field else {})}


def reproduce(preset: str, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train every run that is not finished, evaluate, write the result file."""
    started, data = now(), read_reference_data(water_clusters.data_file(preset, runs))
    rows = [
        row
        for setting in PRESETS[preset]
        for model in MODELS
        for seed in setting.seeds
        for row in _run_rows(setting, model, seed, data, runs)
    ]
    null = error_rows([], data) + distance_rows([], data)
    rows += [{"setting": NULL_MODEL, "seed": None, **row} for row in null]
    return write_result(
        "orders", preset, rows, started, results,
        seeds=max((setting.seeds for setting in PRESETS[preset]), key=len),
        data=water_clusters.data_record(),
        differs=water_clusters.DATA_DIFFERS + "; " + "; ".join(f"{setting.name}: {_differs(setting)}" for setting in PRESETS[preset]) + ".",
    )  # fmt: skip


def _differs(setting: Setting) -> str:
    """What of a setting differs from the paper's."""
    return "; ".join([water_clusters.PRESETS[setting.preset].differs, *([water_clusters.FIELD_DIFFERS] if setting.field else [])])


def _run_rows(setting: Setting, model: str, seed: int, data: ReferenceData, runs: Path) -> list[Row]:
    name = f"{setting.name}, {model}, seed {seed}"
    print(f"{name}:", flush=True)
    keras.utils.clear_session()
    run = runs / "water_clusters" / "orders" / setting.preset / name.replace(", ", "-").replace(" ", "_")
    outcome = evaluate(model, train(make_config(configuration(setting, model, seed, data.source)), run).potential, data)
    print_errors(name, outcome)
    rows = error_rows([outcome], data) + distance_rows([outcome], data)
    return [{"setting": setting.name, "seed": seed, **row} for row in (*rows, time_row(outcome)) if row["model"] == model]


def table(rows: Sequence[Row]) -> str:
    """Mean and standard deviation over the seeds of each setting and model, and the published numbers; kJ/mol and kJ/mol/angstrom."""
    runs: dict[tuple[str, str], dict[int | None, list[Row]]] = {}
    for row in rows:
        if row["model"]:
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
    return "\n\n".join(parts)


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
    run_reproduction(preset, reproduce, draw, table)


if __name__ == "__main__":
    app()
