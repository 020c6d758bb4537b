"""Table 1: errors on solutes in water, split in the order of time and shuffled. ``make reproduce-table1``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import paper
from common.results import Row, format_table, row, write_result
from figures.table1 import draw
from reproductions.entry import solutes_app
from reproductions.folders import AT_ONCE, RESULTS, RUNS
from reproductions.shipped_solutes import FOLDER, answer_table, answers, write_answer
from reproductions.solute_runs import outcomes
from reproductions.solute_tables import curves, data_records, differs, error_rows, error_table, extrapolated, settings_record
from reproductions.solutes import DFT, LABELS, PRESETS, TITLES, Job, jobs_of, result_name

PAPER_STEPS = PRESETS["paper"].steps["Uracil"]


def reproduce(
    preset: str, systems: Sequence[str], files: Mapping[str, Path], results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Build or read the data, train or load, write the result file."""
    started = time.perf_counter()
    jobs = jobs_of(1, systems, preset)
    found = outcomes(jobs, preset, files, runs)
    records, drawn = data_records(jobs, preset, files, runs), curves(found)
    rows = error_rows(found, published, paper.TABLE_1_SPLITS)
    for curve in drawn:
        who = {"system": curve["system"], "ordering": curve["ordering"], "cutoff": None, "part": "validation"}
        for label, unit in LABELS.items():
            if (value := extrapolated(curve["step"], curve[label], PAPER_STEPS)) is not None:
                rows.append(row(f"extrapolated_{label}_mae", unit, value, None, **who))
    return write_result(
        result_name(1, systems, preset, files), preset, rows, started, results,
        seeds=[0], data=records, settings=settings_record(jobs, preset), curves=drawn, differs=differs(preset, records),
    )  # fmt: skip


def answer(systems: Sequence[str], folder: Path = FOLDER, results: Path = AT_ONCE) -> Path:
    """Evaluate what ships, write the result file."""
    started = time.perf_counter()
    rows, records = answers(jobs_of(1, systems, "laptop"), published, folder)
    return write_answer(1, systems, rows, records, started, results)


def published(job: Job) -> Mapping[str, Sequence[float]]:
    """The paper's errors of a run by label; those of unshuffled uracil for the runs at the paper's kind of theory."""
    if job.system == DFT:
        return paper.TABLE_1["Uracil"]["unshuffled"]
    return paper.TABLE_1[job.system][job.ordering]


def text_of_answer(rows: list[Row]) -> str:
    """Errors of what ships beside the published ones and the literature's."""
    return answer_table(rows, "ordering", paper.SECTION_4_3_LITERATURE)


def table(rows: list[Row]) -> str:
    """Errors of every run beside the published ones, the literature's and the null model's; where the curves point."""
    text = error_table(rows, "ordering", paper.TABLE_1_SPLITS, paper.SECTION_4_3_LITERATURE)
    values = {(entry["system"], entry["ordering"], entry["metric"]): entry["value"] for entry in rows}
    pointing = [
        [system, ordering, *(values.get((system, ordering, f"extrapolated_{label}_mae")) for label in LABELS)]
        for system, ordering in dict.fromkeys(
            (entry["system"], entry["ordering"]) for entry in rows if entry["metric"].startswith("extrapolated")
        )
    ]
    if pointing:
        titles = [f"{TITLES[label]}, {unit}" for label, unit in LABELS.items()]
        text += (
            f"\n\nWhere the validation errors point to at {PAPER_STEPS} steps, by a power law through the second half of the steps. "
            "A direction, no prediction: the learning rate falls within these steps, and a longer run has another schedule. "
            "–: those errors no longer fall.\n\n"
        )
        text += format_table(["system", "ordering", *titles], pointing)
    return text


if __name__ == "__main__":
    solutes_app(1, reproduce, draw, table, answer, text_of_answer)()
