"""Table 2: errors on solutes in water with long-range cut-offs of 30 and 50 angstrom. ``make reproduce-table2``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from amp_tf.data.hdf5 import ReferenceData, read_reference_data
from reproductions import paper
from reproductions.common import RESULTS, RUNS, Row, format_table, row, write_result
from reproductions.entry import solutes_app
from reproductions.solutes import (
    Job,
    data_file,
    data_records,
    differs,
    error_rows,
    error_table,
    now,
    outcomes,
    result_name,
    settings_record,
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
    for system in systems:
        data = read_reference_data(data_file(system, preset, files, runs))
        for cutoff, share in zip(CUTOFFS, pairs_beyond(data, CUTOFFS), strict=True):
            rows.append(row("pairs_beyond_cutoff", "%", 100.0 * share, None, system=system, ordering=None, cutoff=cutoff, part=None))
    return write_result(
        result_name("table2", systems, preset, files), preset, rows, started, results,
        seeds=[0], data=records, settings=settings_record(jobs, preset), differs=differs(preset, records),
    )  # fmt: skip


def pairs_beyond(data: ReferenceData, cutoffs: Sequence[float], n_frames: int = 50) -> np.ndarray:
    """Which part of the QM-MM pairs lies beyond each cut-off, in ``n_frames`` frames spread over the data."""
    counts = np.zeros(1 + len(cutoffs))
    for group in data.groups:
        for frame in np.unique(np.linspace(0, len(group) - 1, n_frames, dtype=int)):
            system = group.system(frame)
            distances = cdist(system.positions, system.mm_positions)
            counts += [distances.size, *(np.count_nonzero(distances > cutoff) for cutoff in cutoffs)]
    return counts[1:] / counts[0]


def table(rows: list[Row]) -> str:
    """Errors of every run beside the published ones and the null model's; how many pairs the cut-offs leave out."""
    left_out = [[entry["system"], entry["cutoff"], entry["value"]] for entry in rows if entry["metric"] == "pairs_beyond_cutoff"]
    return (
        f"{error_table(rows, 'cutoff', paper.TABLE_2_SPLITS)}\n\nQM-MM pairs beyond the cut-off, which the polarization leaves out:\n\n"
        + format_table(["system", "cut-off, angstrom", "pairs, %"], left_out)
    )


if __name__ == "__main__":
    solutes_app("table2", reproduce, lambda result: [], table)()
