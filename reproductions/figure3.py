"""Figure 3: errors on water clusters of 6 to 20 molecules, trained on 10. ``make reproduce-figure3``.

Tables 7 and 8 are its numbers, so :func:`run` serves them too.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.data.hdf5 import read_reference_data
from common.cluster_models import data_record
from common.results import Row, write_result
from figures.figure3 import draw
from reproductions.cluster_tables import (
    distance_rows,
    distance_table,
    error_rows,
    size_rows,
    size_table,
    summary_table,
    table,
    term_rows,
    term_table,
)
from reproductions.entry import run_reproduction
from reproductions.folders import AT_ONCE, RESULTS, RUNS, read_result
from reproductions.water_clusters import PRESETS, data_file, differs, outcomes

Retrain = Annotated[bool, typer.Option(envvar="RETRAIN", help="Do not use the weights that ship; go on with the runs in runs/.")]
PresetName = Annotated[str, typer.Option("--preset", help="smoke, laptop or paper.")]


def reproduce(preset: str, retrain: bool = False, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train or load, evaluate, write the result file."""
    started = time.perf_counter()
    found, data = outcomes(preset, retrain, runs), read_reference_data(data_file(preset, runs))
    rows = error_rows(found, data) + distance_rows(found, data) + size_rows(found) + term_rows(found, data)
    seeds = {model: list(PRESETS[preset].seeds_of(model)) for model in PRESETS[preset].sizes}
    return write_result("figure3", preset, rows, started, results, seeds=seeds, data=data_record(), differs=differs(preset))


def reproduce_table(
    name: str, label: str, preset: str, retrain: bool = False, results: Path = RESULTS, runs: Path = RUNS, tables: Path = AT_ONCE
) -> Path:
    """Figure 3, and in ``tables`` the rows of one of its labels as the result file of a table, which has no numbers of its own."""
    started = time.perf_counter()
    result = json.loads(reproduce(preset, retrain, results, runs).read_text())
    rows = [entry for entry in result["rows"] if entry["metric"] in (f"{label}_mae", f"mean_{label}_mae")]
    return write_result(name, preset, rows, started, tables, seeds=result["seeds"], data=result["data"], differs=result["differs"])


def tables(rows: list[Row]) -> str:
    """A summary, both panels as tables, errors by distance, the sizes of the models, the energy terms of AMP(2)."""
    panels = [table(rows, label) for label in ("energy", "qm_gradients")]
    return "\n\n".join([summary_table(rows), *panels, distance_table(rows), size_table(rows), term_table(rows)])


def table_app(name: str, label: str) -> typer.Typer:
    """The command of Table 7 or 8."""
    return _app(lambda preset, retrain: reproduce_table(name, label, preset, retrain), lambda rows: table(rows, label))


def _app(reproduction: Callable[[str, bool], Path], text: Callable[[list[Row]], str]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def main(preset: PresetName = "laptop", retrain: Retrain = False) -> None:
        def picture(_):
            return draw(read_result("figure3", preset))

        run_reproduction(preset, lambda chosen: reproduction(chosen, retrain), picture, text)

    return app


if __name__ == "__main__":
    _app(reproduce, tables)()
