"""Table 2: errors on solutes in water with long-range cut-offs of 30 and 50 angstrom. ``make reproduce-table2``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reproductions import paper
from reproductions.common import RESULTS, RUNS, Row, write_result
from reproductions.entry import solutes_app
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


if __name__ == "__main__":
    solutes_app("table2", reproduce, lambda result: [], table)()
