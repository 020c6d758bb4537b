"""Dynamics with an embedded potential: is it fit for them? Bonds, gas, water, energy conservation, speed. ``make reproduce-dynamics``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.files import sha256_of
from common.results import write_result
from datasets.engines import EmbeddingEngine
from figures.dynamics import draw
from reproductions.dynamics_measures import conservation_rows, gas_rows, scan_rows, speed_rows, water_rows
from reproductions.dynamics_table import table
from reproductions.dynamics_task import prepared
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS


def reproduce(
    preset: str, retrain: bool, results: Path = RESULTS, runs: Path = RUNS, engine: EmbeddingEngine | None = None
) -> Path:  # fmt: skip
    """Sample, train where asked to, simulate (each run goes on where it was killed), compare, and write the result file.

    Raises:
        InputError: for a preset that there is not.
        EngineError: without the program xtb or OpenMM.
    """
    started = time.perf_counter()
    task, data = prepared(preset, retrain, runs, engine)
    found, further = [], {}
    for measure in (scan_rows, gas_rows, water_rows, conservation_rows, speed_rows):
        rows, more = measure(task)
        found += rows
        further |= more
    origin = {"potential_data_sha256": task.potential.provenance["data_sha256"], "potential_sha256": sha256_of(task.path)}
    return write_result(
        "dynamics", preset, found, started, results, seeds=[0], data={"file": data.name, "sha256": read_reference_data(data).sha256},
        differs=DIFFERS, **origin, **further,
    )  # fmt: skip


DIFFERS = (
    "Beyond the paper, which has no dynamics. Reference: GFN2-xTB, as the labels of the potential; RDFs of it from its own QM/MM dynamics, "
    "with a zone of 14 angstrom that ends abruptly, of the potential with charges switched off between 12 and 14 angstrom. Uncertainties "
    "of peaks: the scatter of windows of our run as long as the reference."
)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train the potential, and ship it.")] = False,
) -> None:
    """Measure whether the potential of uracil that ships is fit for dynamics, or train it first."""

    run_reproduction(preset, lambda preset: reproduce(preset, retrain), draw, table)


if __name__ == "__main__":
    app()
