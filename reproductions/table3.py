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
    """A line a property: published errors, then ours."""
    most = max(entry["n_train"] for entry in rows)
    ours = {(entry["target"], entry["model"]): entry for entry in rows if entry["metric"] == "test_mae" and entry["n_train"] == most}
    null = {entry["target"]: entry["value"] for entry in rows if entry["metric"] == "null_model_test_mae" and entry["n_train"] == most}
    models = [model for model in MODELS if any(key[1] == model for key in ours)]
    lines = []
    for target in dict.fromkeys(target for target, _ in ours):
        unit, published = paper.TABLE_3[target]
        found = [ours[target, model]["value"] if (target, model) in ours else None for model in models]
        lines.append([target, unit, *published, *found, null[target]])
    header = ["target", "unit", *(f"{model}, published" for model in paper.TABLE_3_MODELS), *(f"{model}, ours" for model in models), "null"]
    return format_table(header, lines)


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
