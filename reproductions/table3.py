"""Table 3: errors on the twelve properties of QM9 (paper, 4.4 and A.6). ``make reproduce-table3``."""

from pathlib import Path
from typing import Annotated

import typer

from common import paper
from common.results import Row, format_table
from figures.table3 import draw
from reproductions import shipped_qm9
from reproductions.entry import run_reproduction
from reproductions.qm9 import MODELS, reproduce


def table(rows: list[Row]) -> str:
    """A line a property: of each of our models the published error and ours, then those of others."""
    most = max(entry["n_train"] for entry in rows)
    ours = {(entry["target"], entry["model"]): entry for entry in rows if entry["metric"] == "test_mae" and entry["n_train"] == most}
    null = {entry["target"]: entry["value"] for entry in rows if entry["metric"] == "null_model_test_mae" and entry["n_train"] == most}
    models = {model: model.removesuffix("(3)") for model in MODELS if any(key[1] == model for key in ours)}
    others = [name for name in paper.TABLE_3_MODELS if name not in models.values()]
    lines = []
    for target in dict.fromkeys(target for target, _ in ours):
        unit, values = paper.TABLE_3[target]
        published = dict(zip(paper.TABLE_3_MODELS, values, strict=True))
        pairs = [(published[name], ours[target, model]["value"] if (target, model) in ours else None) for model, name in models.items()]
        lines.append([target, unit, *(value for pair in pairs for value in pair), null[target], *(published[name] for name in others)])
    of_models = [f"{model}, {whose}" for model in models for whose in ("published", "ours")]
    return format_table(["target", "unit", *of_models, "null", *(f"{name}, published" for name in others)], lines)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    targets: Annotated[str | None, typer.Option(help="Some of the rows of Table 3, such as HOMO,mu; all by default.")] = None,
    data: Annotated[Path | None, typer.Option(help="Molecules with the properties of QM9 to train on, *.h5.")] = None,
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train on runs/qm9.h5; go on with the runs in runs/.")] = False,
) -> None:
    """Evaluate the potentials that ship, or train the models of Table 3, and print their errors beside the published ones."""
    chosen = None if targets is None else targets.split(",")
    if preset == "laptop" and not (retrain or data):
        run_reproduction(preset, lambda _: shipped_qm9.answer(chosen), lambda _: [], shipped_qm9.table)
    else:
        run_reproduction(preset, lambda preset: reproduce(preset, chosen, data), draw, table)


if __name__ == "__main__":
    app()
