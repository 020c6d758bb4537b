"""Table 8: errors of the gradients of Figure 3 by size of the cluster. ``make reproduce-table8``."""

from pathlib import Path
from typing import Annotated

import typer

from amp_tf.data.hdf5 import read_reference_data
from reproductions.common import RESULTS, RUNS, write_result
from reproductions.entry import run_reproduction
from reproductions.water_clusters import DATA, data_record, differs, now, outcomes, summarize, table


def reproduce(preset: str, retrain: bool = False, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train or load, evaluate, write the result file; a run that Figure 3 made serves the table."""
    started = now()
    rows = summarize(outcomes(preset, retrain, runs), read_reference_data(DATA), ["qm_gradients"])
    return write_result("table8", preset, rows, started, results, seeds=[0], data=data_record(), differs=differs(preset))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train even where weights ship.")] = False,
) -> None:
    """Reproduce Table 8."""
    run_reproduction("table8", preset, lambda chosen: reproduce(chosen, retrain), None, lambda rows: table(rows, "qm_gradients"))


if __name__ == "__main__":
    app()
