"""Table 2: errors on solutes in water with long-range cut-offs of 30 and 50 angstrom. ``make reproduce-table2``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from reproductions import paper
from reproductions.common import RESULTS, RUNS, Row, write_result
from reproductions.entry import run_reproduction
from reproductions.solutes import (
    PAPER_SETTINGS,
    PRESETS,
    Job,
    data_records,
    differs,
    error_rows,
    error_table,
    now,
    outcomes,
    parse_files,
    parse_systems,
    result_name,
)

CUTOFFS = (30.0, 50.0)


def reproduce(
    preset: str, systems: Sequence[str], files: Mapping[str, Path], results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Build or read the data, train or load, write the result file."""
    started = now()
    jobs = [Job(2, system, cutoff=cutoff) for system in systems for cutoff in CUTOFFS]
    found, records = outcomes(jobs, preset, files, runs), data_records(jobs, preset, files, runs)
    rows = error_rows(found, lambda job: paper.TABLE_2[job.system][int(job.cutoff)], paper.TABLE_2_SPLITS)
    return write_result(
        result_name("table2", systems, preset, files), preset, rows, started, results,
        seeds=[0], data=records, settings=PAPER_SETTINGS | dict(PRESETS[preset].settings), differs=differs(preset, records),
    )  # fmt: skip


def table(rows: list[Row]) -> str:
    """Errors of every run beside the published ones and the null model's."""
    return error_table(rows, "cutoff", paper.TABLE_2_SPLITS)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    systems: Annotated[str | None, typer.Option(help="Some of Uracil,RA,SAM; all by default.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="SYSTEM=FILE, reference data of your own for a system.")] = None,
) -> None:
    """Reproduce Table 2."""

    def named() -> str:
        return result_name("table2", parse_systems(systems, preset), preset, parse_files(data or []))

    def work(chosen: str) -> Path:
        return reproduce(chosen, parse_systems(systems, chosen), parse_files(data or []))

    run_reproduction(named, preset, work, lambda result: [], table)


if __name__ == "__main__":
    app()
