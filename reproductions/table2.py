"""Table 2: errors on solutes in water with long-range cut-offs of 30 and 50 angstrom. ``make reproduce-table2``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from common import paper
from common.results import Row, format_table, row, write_result
from reproductions.entry import solutes_app
from reproductions.folders import AT_ONCE, RESULTS, RUNS
from reproductions.shipped_solutes import FOLDER, answer_table, answers, frames_name, write_answer
from reproductions.solute_runs import data_file, outcomes
from reproductions.solute_tables import data_records, differs, error_rows, error_table, settings_record
from reproductions.solutes import CUTOFFS, LABELS, Job, jobs_of, result_name


def reproduce(
    preset: str, systems: Sequence[str], files: Mapping[str, Path], results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Build or read the data, train or load, write the result file."""
    started = time.perf_counter()
    jobs = jobs_of(2, systems, preset)
    found, records = outcomes(jobs, preset, files, runs), data_records(jobs, preset, files, runs)
    settings = settings_record([job for job in jobs if job.table == 2], preset)
    rows = error_rows(found, published, paper.TABLE_2_SPLITS)
    for system in systems:
        rows += pair_rows(system, read_reference_data(data_file(system, preset, files, runs)))
    return write_result(
        result_name(2, systems, preset, files), preset, rows, started, results,
        seeds=[0], data=records, settings=settings, differs=differs(preset, records),
    )  # fmt: skip


def answer(systems: Sequence[str], folder: Path = FOLDER, results: Path = AT_ONCE) -> Path:
    """Evaluate what ships, write the result file."""
    started = time.perf_counter()
    rows, records = answers(jobs_of(2, systems, "laptop"), published, folder)
    for system in systems:
        if (path := folder / frames_name(system)).is_file():
            rows += pair_rows(system, read_reference_data(path))
    return write_answer(2, systems, rows, records, started, results)


def published(job: Job) -> Mapping[str, Sequence[float]]:
    """The paper's errors of a run by label; it has none with all charges."""
    if job.table == 1:
        return dict.fromkeys(LABELS, (None, None))
    return paper.TABLE_2[job.system][int(job.cutoff)]


def pair_rows(system: str, data: ReferenceData) -> list[Row]:
    """Which part of the QM-MM pairs lies beyond each cut-off."""
    who = {"system": system, "ordering": None, "part": None}
    shares = zip(CUTOFFS, pairs_beyond(data, CUTOFFS), strict=True)
    return [row("pairs_beyond_cutoff", "%", 100.0 * share, None, **who, cutoff=cutoff) for cutoff, share in shares]


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
    return error_table(rows, "cutoff", paper.TABLE_2_SPLITS) + _pairs_table(rows)


def text_of_answer(rows: list[Row]) -> str:
    """Errors of what ships beside the published ones; how many pairs of the frames that ship the cut-offs leave out."""
    return answer_table(rows, "cutoff") + _pairs_table(rows)


def _pairs_table(rows: list[Row]) -> str:
    left_out = [[entry["system"], entry["cutoff"], entry["value"]] for entry in rows if entry["metric"] == "pairs_beyond_cutoff"]
    if not left_out:
        return ""
    return "\n\nQM-MM pairs beyond the cut-off, which the polarization leaves out:\n\n" + format_table(
        ["system", "cut-off, angstrom", "pairs, %"], left_out
    )


if __name__ == "__main__":
    solutes_app(2, reproduce, lambda result: [], table, answer, text_of_answer)()
