"""Table 2: errors on solutes in water with long-range cut-offs of 30 and 50 angstrom. ``make reproduce-table2``.

Beside them stand Table 1's potentials of the shuffled runs, which see every charge (near and far), on the same test frames.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.data.reference_data import ReferenceData
from amp_tf.data.splits import Split
from amp_tf.models import Potential, load_potential
from amp_tf.models.ranges import training_molecule
from amp_tf.training.evaluation import evaluate
from common import paper
from common.results import Row, format_table, row, write_result
from reproductions.entry import solutes_app
from reproductions.folders import AT_ONCE, RESULTS, RUNS
from reproductions.shipped_solutes import FOLDER, answer_table, answers, frames_name, potential_name, write_answer
from reproductions.solute_runs import Outcome, data_file, mean_n_mm, outcomes
from reproductions.solute_tables import data_records, differs, error_rows, error_table, settings_record
from reproductions.solutes import CUTOFFS, LABELS, Job, configuration, jobs_of, result_name, run_folder


def reproduce(
    preset: str, systems: Sequence[str], files: Mapping[str, Path], results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Build or read the data, train or load, write the result file."""
    started = time.perf_counter()
    jobs = [job for job in jobs_of(2, systems, preset) if job.table == 2]
    found, records = outcomes(jobs, preset, files, runs), data_records(jobs, preset, files, runs)
    rows, elsewhere = [], []
    for system in systems:
        data = read_reference_data(data_file(system, preset, files, runs))
        rows += error_rows([outcome for outcome in found if outcome.job.system == system], published, paper.TABLE_2_SPLITS)
        if potential := near_and_far(system, preset, data, runs):
            rows += error_rows([_outcome(potential, system, preset, data)], published, paper.TABLE_2_SPLITS)
            if potential.provenance["data_sha256"] != data.sha256:
                elsewhere.append(system)
        rows += pair_rows(system, data)
    says = differs(preset, records)
    if elsewhere:
        says += f" Near and far: the potentials that ship, of {', '.join(elsewhere)} trained on other frames than these."
    return write_result(
        result_name(2, systems, preset, files), preset, rows, started, results,
        seeds=[0], data=records, settings=settings_record(jobs, preset), differs=says,
    )  # fmt: skip


def near_and_far(system: str, preset: str, data: ReferenceData, runs: Path = RUNS, folder: Path = FOLDER) -> Potential | None:
    """The potential of Table 1's shuffled run on these data, where that is finished; otherwise the one that ships, where it is of the same
    molecule and level of theory; otherwise none."""
    job = next((job for job in jobs_of(2, [system], preset) if job.table == 1), None)
    if job is None:
        return None
    run, ships = run_folder(job, preset, data.sha256, runs), folder / potential_name(job)
    if (run / "metrics.json").is_file():
        return load_potential(run / "potential.keras")
    if ships.is_file():
        potential = load_potential(ships)
        molecule, theory = training_molecule(potential.provenance), potential.provenance["level_of_theory"]
        if (
            molecule is not None
            and theory == data.provenance.level_of_theory
            and all(sorted(group.qm_atomic_numbers) == sorted(molecule.atomic_numbers) for group in data.groups)
        ):
            return potential
    print(f"{system}: no row of near and far; train one on these data with make reproduce-table1 RETRAIN=1.", flush=True)
    return None


def _outcome(potential: Potential, system: str, preset: str, data: ReferenceData) -> Outcome:
    """Its errors on the test frames of Table 2, none of which trained it: the split takes the same frames to train as Table 1's."""
    parts = Split(**configuration(Job(2, system), preset, Path(data.source))["split"]).assign(data.frame_groups)
    frames = Frames.from_reference_data(data)
    entries = evaluate(potential, frames[parts["test"]], float(np.mean(frames.energies[parts["train"]])))
    errors, null = ({entry["metric"].removesuffix("_mae"): entry[key] for entry in entries} for key in ("value", "null_model"))
    unknown, provenance = dict.fromkeys(LABELS), potential.provenance
    return Outcome(
        Job(1, system), {"train": unknown, "test": errors}, {"train": unknown, "test": null},
        provenance["training"]["steps"], provenance["training_seconds"], None, mean_n_mm(data), [],
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
