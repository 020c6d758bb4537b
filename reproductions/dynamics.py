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
from reproductions.dynamics_task import GFN2, THEORIES, prepared
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS

MEASURES = {"scans": scan_rows, "gas": gas_rows, "water": water_rows, "conservation": conservation_rows, "speed": speed_rows}
OF_REFERENCE = ("scans", "water", "speed")
"""Those that need the data of the reference; water that of a theory which samples."""

DRAWN = ("scans", "distances", "distributions", "conservation")
"""Keys of the result file that the figure needs."""


def measures_of(theory: str) -> list[str]:
    """Of :data:`MEASURES`, those that are taken of a theory's potential: the time of a step is that of GFN2-xTB's."""
    return [name for name in MEASURES if name != "speed" or theory == GFN2]


def chosen_measures(words: str | None, theory: str = GFN2) -> list[str]:
    """Of :data:`MEASURES`, with commas between; all of the theory for None.

    Raises:
        InputError: for another word.
    """
    known = measures_of(theory)
    names = known if words is None else [word.strip() for word in words.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"there is no measure {unknown[0]!r}; choose of {', '.join(known)}.")
    return [name for name in known if name in names]


def reproduce(
    preset: str, retrain: bool, results: Path = RESULTS, runs: Path = RUNS, engine: EmbeddingEngine | None = None,
    measures: Sequence[str] | None = None, theory: str = GFN2, sampler: EmbeddingEngine | None = None,
) -> Path:  # fmt: skip
    """Sample and train where asked to, simulate (each run goes on where it was killed), compare, and write the result file.

    Measures of the same potential that are not asked for stay in the file.

    Raises:
        InputError: for a preset or theory that there is not, and where the file is of another potential and not all measures are taken.
        EngineError: without xtb, OpenMM, or what labels.
    """
    task, began = prepared(preset, retrain, runs, engine, theory, sampler), time.perf_counter()
    sha256, result_name = sha256_of(task.path), "dynamics" if theory == GFN2 else f"dynamics-{theory}"
    chosen = measures_of(theory) if measures is None else measures
    known = _known(results / f"{result_name}.{preset}.json", sha256, set(chosen) == set(measures_of(theory)))
    for name in chosen:
        started = time.perf_counter()
        rows, drawn = MEASURES[name](task)
        seconds, data = round(time.perf_counter() - started, 1), known["data"]
        compares = name in OF_REFERENCE and (name != "water" or THEORIES[theory].samples)
        if compares:
            data = {"file": task.data.name, "sha256": read_reference_data(task.data).sha256}
        measured = {"commit": commit(), "wall_seconds": seconds, "data": data if compares else None}
        others = [entry for entry in known["rows"] if entry["part"] != name]
        rows = sorted([*others, *({"part": name, **entry} for entry in rows)], key=lambda entry: list(MEASURES).index(entry["part"]))
        written = write_result(
            result_name, preset, rows, began, results, seeds=[0], data=data, differs=DIFFERS[theory],
            measured=known["measured"] | {name: measured},
            potential_data_sha256=task.potential.provenance["data_sha256"], potential_sha256=sha256,
            **{key: known[key] for key in DRAWN if key in known} | drawn,
        )  # fmt: skip
        known = json.loads(written.read_text())
    return written


def _known(path: Path, sha256: str, takes_all: bool) -> dict[str, Any]:
    """The result file of this potential, or an empty one.

    Raises:
        InputError: where there is one of another potential, and not all measures are taken anew.
    """
    found = json.loads(path.read_text()) if path.is_file() else {}
    if found.get("potential_sha256") == sha256 and "measured" in found:
        return found
    if found and not takes_all:
        raise InputError(f"{path} is of another potential, or of an earlier version; take all measures, or move it away.")
    return {"rows": [], "measured": {}, "data": None}


DIFFERS = {
    GFN2: "Beyond the paper, which has no dynamics. Reference: GFN2-xTB, as the labels of the potential; RDFs of it from its own QM/MM "
    "dynamics, with a zone of 14 angstrom that ends abruptly, of the potential with charges switched off between 12 and 14 angstrom, and "
    "with forces of the force field every 2 fs, those of the potential every 0.5 fs. Uncertainties of peaks: the scatter of windows of our "
    "run as long as the reference.",
    "pbe": "Beyond the paper, which has no dynamics. Reference: PBE/def2-SVP, as the labels of the potential, which goes on from that of "
    "GFN2-xTB on frames of the same sampling; bonds are stretched rigidly, and the structure of water is not compared.",
}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop",
    retrain: Annotated[bool, typer.Option(envvar="RETRAIN", help="Train the potential, and ship it.")] = False,
    measures: Annotated[str | None, typer.Option(help=f"Some of {', '.join(MEASURES)}; all by default.")] = None,
    theory: Annotated[str, typer.Option(help=f"Of the potential: {' or '.join(THEORIES)}.")] = GFN2,
) -> None:
    """Measure whether the potential of uracil that ships is fit for dynamics, or train it first."""
    run_reproduction(
        preset,
        lambda preset: reproduce(preset, retrain, measures=chosen_measures(measures, theory), theory=theory),
        draw,
        table,
    )


if __name__ == "__main__":
    app()
