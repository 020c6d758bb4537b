"""Dynamics with an embedded potential: is it fit for them? Bonds, gas, water, energy conservation, speed. ``make reproduce-dynamics``."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from amp_tf.files import sha256_of
from common.results import commit, write_result
from datasets.engines import EmbeddingEngine
from figures.dynamics import draw
from reproductions.dynamics_measures import conservation_rows, gas_rows, scan_rows, speed_rows, water_rows
from reproductions.dynamics_table import table
from reproductions.dynamics_task import prepared
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS

MEASURES = {"scans": scan_rows, "gas": gas_rows, "water": water_rows, "conservation": conservation_rows, "speed": speed_rows}
OF_REFERENCE = ("scans", "water", "speed")
"""Those that need the data of the reference."""

DRAWN = ("scans", "distances", "distributions", "conservation")
"""Keys of the result file that the figure needs."""


def chosen_measures(words: str | None) -> list[str]:
    """Of :data:`MEASURES`, with commas between; all for None.

    Raises:
        InputError: for another word.
    """
    names = list(MEASURES) if words is None else [word.strip() for word in words.split(",")]
    if unknown := [name for name in names if name not in MEASURES]:
        raise InputError(f"there is no measure {unknown[0]!r}; choose of {', '.join(MEASURES)}.")
    return [name for name in MEASURES if name in names]


def reproduce(
    preset: str, retrain: bool, results: Path = RESULTS, runs: Path = RUNS, engine: EmbeddingEngine | None = None,
    measures: Sequence[str] = tuple(MEASURES),
) -> Path:  # fmt: skip
    """Sample and train where asked to, simulate (each run goes on where it was killed), compare, and write the result file.

    Measures of the same potential that are not asked for stay in the file.

    Raises:
        InputError: for a preset that there is not, and where the file is of another potential and not all measures are taken.
        EngineError: without the program xtb or OpenMM.
    """
    task, began = prepared(preset, retrain, runs, engine), time.perf_counter()
    sha256 = sha256_of(task.path)
    known = _known(results, preset, sha256, measures)
    for name in measures:
        started = time.perf_counter()
        rows, drawn = MEASURES[name](task)
        seconds, data = round(time.perf_counter() - started, 1), known["data"]
        if name in OF_REFERENCE:
            data = {"file": task.data.name, "sha256": read_reference_data(task.data).sha256}
        measured = {"commit": commit(), "wall_seconds": seconds, "data": data if name in OF_REFERENCE else None}
        others = [entry for entry in known["rows"] if entry["part"] != name]
        rows = sorted([*others, *({"part": name, **entry} for entry in rows)], key=lambda entry: list(MEASURES).index(entry["part"]))
        written = write_result(
            "dynamics", preset, rows, began, results, seeds=[0], data=data, differs=DIFFERS, measured=known["measured"] | {name: measured},
            potential_data_sha256=task.potential.provenance["data_sha256"], potential_sha256=sha256,
            **{key: known[key] for key in DRAWN if key in known} | drawn,
        )  # fmt: skip
        known = json.loads(written.read_text())
    return written


def _known(results: Path, preset: str, sha256: str, measures: Sequence[str]) -> dict[str, Any]:
    """The result file of this potential, or an empty one.

    Raises:
        InputError: where there is one of another potential, and not all measures are taken anew.
    """
    path = results / f"dynamics.{preset}.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    if found.get("potential_sha256") == sha256 and "measured" in found:
        return found
    if found and len(measures) < len(MEASURES):
        raise InputError(f"{path} is of another potential, or of an earlier version; take all measures, or move it away.")
    return {"rows": [], "measured": {}, "data": None}


DIFFERS = (
    "Beyond the paper, which has no dynamics. Reference: GFN2-xTB, as the labels of the potential; RDFs of it from its own QM/MM dynamics, "
    "with a zone of 14 angstrom that ends abruptly, of the potential with charges switched off between 12 and 14 angstrom, and with forces "
    "of the force field every 2 fs, those of the potential every 0.5 fs. Uncertainties of peaks: the scatter of windows of our run as long "
    "as the reference."
)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train the potential, and ship it.")] = False,
    measures: Annotated[str | None, typer.Option(help=f"Some of {', '.join(MEASURES)}; all by default.")] = None,
) -> None:
    """Measure whether the potential of uracil that ships is fit for dynamics, or train it first."""
    run_reproduction(preset, lambda preset: reproduce(preset, retrain, measures=chosen_measures(measures)), draw, table)


if __name__ == "__main__":
    app()
