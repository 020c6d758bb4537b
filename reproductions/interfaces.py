"""What a potential gives through its interfaces, ASE, OpenMM and ``amp-tf md``. ``make reproduce-interfaces``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from amp_tf.errors import InputError
from amp_tf.files import sha256_of
from amp_tf.shipped import potential_file
from amp_tf.simulation.water_box import import_openmm
from common.results import Row, format_table, write_result
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS

AIMS = {
    "force_error": 1e-5, "copy_difference": 1e-3, "xml_difference": 1e-3, "checkpoint_difference": 1e-3, "lost_frames": 0,
}  # fmt: skip
"""Upper limits, in the units of the rows; energies of a box of water, some −70 000 kJ/mol, are in OpenMM's single precision."""


def reproduce(preset: str, results: Path = RESULTS) -> Path:
    """Measure with the uracil potential that ships, and write ``interfaces.<preset>.json``.

    Raises:
        InputError: for a preset that there is not.
        EngineError: without OpenMM.
    """
    import_openmm()
    from reproductions.interface_measures import PRESETS, SOLUTE, continued_rows, openmm_rows, qmmm_rows

    if preset not in PRESETS:
        raise InputError(f"there is no PRESET={preset} of the interfaces; choose {' or '.join(PRESETS)}.")
    started, chosen, path = time.perf_counter(), PRESETS[preset], potential_file(SOLUTE)
    rows = [*qmmm_rows(path, chosen.moved), *openmm_rows(path, chosen), *continued_rows(path, chosen)]
    data = {"file": path.name, "sha256": sha256_of(path)}
    return write_result("interfaces", preset, rows, started, results, seeds=[0], data=data, differs=DIFFERS)


DIFFERS = "Beyond the paper, which has no interfaces. The uracil potential that ships."


def table(rows: Sequence[Row]) -> str:
    """Every measure with its aim."""
    return table_with_aims(rows, AIMS)


def table_with_aims(rows: Sequence[Row], aims: Mapping[str, float]) -> str:
    """A line a row, and the upper limit of its metric."""
    lines = []
    for entry in rows:
        limit = aims.get(entry["metric"])
        aim = "" if limit is None else f"<= {limit:g}"
        lines.append([entry["measure"], entry["metric"].replace("_", " "), entry["value"], entry["unit"], aim])
    return format_table(["measure", "of it", "value", "unit", "aim"], lines)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(preset: Annotated[str, typer.Option(help="smoke or laptop.")] = "laptop") -> None:
    """Measure what the uracil potential gives through ASE, OpenMM and amp-tf md."""
    run_reproduction(preset, reproduce, lambda result: [], table)


if __name__ == "__main__":
    app()
