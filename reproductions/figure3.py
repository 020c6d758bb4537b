"""Figure 3: errors on water clusters of 6 to 20 molecules, trained on 10. ``make reproduce-figure3``."""

from pathlib import Path
from typing import Annotated

import typer

from amp_tf.data.hdf5 import read_reference_data
from figures.figure3 import draw
from reproductions.common import RESULTS, RUNS, Row, write_result
from reproductions.entry import run_reproduction
from reproductions.water_clusters import DATA, data_record, differs, now, outcomes, size_table, summarize, table, term_rows, term_table


def reproduce(preset: str, retrain: bool = False, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train or load, evaluate, write the result file."""
    started = now()
    found, data = outcomes(preset, retrain, runs), read_reference_data(DATA)
    rows = summarize(found, data) + term_rows(found, data)
    return write_result("figure3", preset, rows, started, results, seeds=[0], data=data_record(), differs=differs(preset))


def tables(rows: list[Row]) -> str:
    """Both panels as tables, the sizes of the models, the energy terms of AMP(2)."""
    return "\n\n".join([table(rows, "energy"), table(rows, "qm_gradients"), size_table(rows), term_table(rows)])


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train even where weights ship.")] = False,
) -> None:
    """Reproduce Figure 3."""
    run_reproduction("figure3", preset, lambda chosen: reproduce(chosen, retrain), draw, tables)


if __name__ == "__main__":
    app()
