"""The potentials of Table 3 that ship: shipping them, and the table that they answer at once on the molecules that ship."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.data.reference_data import ReferenceData
from amp_tf.data.splits import Split
from amp_tf.errors import DataFileError, InputError
from amp_tf.files import write_json
from common.results import Row, format_table, row, write_result
from datasets.qm9_like import SHIPPED_FILE
from reproductions.folders import AT_ONCE, RUNS, WEIGHTS, copy_compressed
from reproductions.qm9 import CURVE_TARGETS, PRESETS, TARGETS, Job, configuration, molecules_of, paper_entry, run_folder, train_job

FOLDER = WEIGHTS / "qm9"
MODEL = "AMP(3)"
TRAINED_ON = "trained_on.json"
"""Beside the potentials: the numbers of the molecules that ship which trained them."""

SAME_ENERGY = 1.0
"""Molecules of the same atoms whose U0 differ by less are taken for the same one, kJ/mol; other conformers are others."""

FULL, SHIPPED = "full test set", "molecules that ship"
NOT_SHIPPED = "not shipped: RETRAIN=1 trains it"


def ship_weights(folder: Path = RUNS, target: Path = FOLDER, preset: str = "laptop", sample: Path = SHIPPED_FILE) -> list[Path]:
    """Ship the finished potentials of :data:`reproductions.qm9.CURVE_TARGETS`, and which of the molecules that ship trained them.

    What shipped before of other runs is removed, because it would belong to other data.

    Returns:
        The files written; none where ``folder`` has no data or no finished run.

    Raises:
        InputError: where a run is of another configuration than the preset's today, and without the molecules that ship.
        DataFileError: if a run is damaged.
    """
    n_train = max(PRESETS[preset].n_train)
    if not (path := folder / "qm9.h5").is_file():
        return []
    data = molecules_of(preset, path, n_train + PRESETS[preset].n_validation)
    jobs = {name: Job(name, MODEL, n_train) for name in CURVE_TARGETS}
    runs = {name: run_folder(job, preset, data, folder) for name, job in jobs.items()}
    finished = {name: run for name, run in runs.items() if (run / "metrics.json").is_file()}
    if not finished:
        return []
    for name in finished:
        train_job(jobs[name], preset, data, folder)  # which only looks at a finished run: its configuration, data and files
    if not sample.is_file():
        raise InputError(f"{sample} is not there; python -m datasets.qm9_like build --output {sample} makes it.")
    molecules = read_reference_data(sample)
    trained = Split(**configuration(Job("U0", MODEL, n_train), preset, data)["split"]).assign(data.frame_groups)["train"]  # as all others'
    record = {
        "data_sha256": data.sha256,
        "sample_sha256": molecules.sha256,
        "molecules": numbers_of_known(molecules, data, trained),
    }
    for name, run in finished.items():
        copy_compressed(run / "potential.keras", target / f"{name}.keras")
    for name in runs.keys() - finished:
        (target / f"{name}.keras").unlink(missing_ok=True)
    write_json(target / TRAINED_ON, record)
    return [*(target / f"{name}.keras" for name in finished), target / TRAINED_ON]


def numbers_of_known(sample: ReferenceData, data: ReferenceData, trained: np.ndarray) -> list[int]:
    """The numbers of the molecules of ``sample`` that are among those numbered ``trained`` of ``data``, by their atoms and U0."""
    atoms, energies = _atoms_and_energies(data)
    known: dict[bytes, list[float]] = {}
    for number in trained:
        known.setdefault(atoms[number], []).append(energies[number])
    pairs = zip(*_atoms_and_energies(sample), strict=True)
    return [n for n, (key, energy) in enumerate(pairs) if np.any(np.abs(np.array(known.get(key, [])) - energy) < SAME_ENERGY)]


def _atoms_and_energies(data: ReferenceData) -> tuple[list[bytes], np.ndarray]:
    atoms = [np.sort(group.qm_atomic_numbers).astype(np.int32).tobytes() for group in data.groups for _ in range(len(group))]
    return atoms, np.concatenate([group.targets["u0"] for group in data.groups])


def answer(targets: Sequence[str] | None, folder: Path = FOLDER, sample: Path = SHIPPED_FILE, results: Path = AT_ONCE) -> Path:
    """Evaluate what ships on the molecules that ship and did not train it, write the result file.

    Raises:
        InputError: for a target that Table 3 has not, and where the files that ship do not belong together.
        DataFileError: if one is damaged.
    """
    started = time.perf_counter()
    if unknown := sorted(set(targets or ()) - set(TARGETS)):
        raise InputError(f"unknown target {unknown[0]!r}; Table 3 has {', '.join(TARGETS)}.")
    rows: list[Row] = []
    for target in targets or TARGETS:
        rows += rows_of(target, folder, sample)
    data: dict[str, Any] | None = None
    says = "Nothing of it ships: make dataset-qm9, then RETRAIN=1, or OPTIONS='--data FILE'."
    if any(entry["value"] is not None for entry in rows):
        data = {"file": sample.name, **_trained_on(folder)}
        says = (
            f"Potentials of {max(PRESETS['laptop'].n_train)} training molecules (paper: 110 000); docs/results/qm9.md has all models "
            "and targets that were trained, and what differs from the paper. The molecules that ship are small and not all of QM9's kind: "
            "their errors are no measure of the published ones."
        )
    return write_result("table3", "laptop", rows, started, results, seeds=[0], data=data, differs=says)


def _trained_on(folder: Path) -> dict[str, Any]:
    path = folder / TRAINED_ON
    try:
        record = json.loads(path.read_text())
        numbers = [int(number) for number in record["molecules"]]
        return {"data_sha256": str(record["data_sha256"]), "sample_sha256": str(record["sample_sha256"]), "molecules": numbers}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataFileError(f"{path}: missing or damaged; take it from the repository, or ship the potentials anew.") from error


def rows_of(target: str, folder: Path = FOLDER, sample: Path = SHIPPED_FILE) -> list[Row]:
    """Errors of the potential of a target: recorded by its training run, computed now, and those of the null model for both."""
    from amp_tf.models import load_potential
    from amp_tf.training.evaluation import evaluate

    unit, published, factor = paper_entry(target, MODEL)
    if not (file := folder / f"{target}.keras").is_file():
        return [row("test_mae", unit, None, published, target=target, model=MODEL, part=FULL, source=NOT_SHIPPED)]
    potential, record, data = load_potential(file), _trained_on(folder), read_reference_data(sample)
    if (potential.provenance["data_sha256"], data.sha256) != (record["data_sha256"], record["sample_sha256"]):
        raise InputError(f"{file}, {sample} and {folder / TRAINED_ON} do not belong together; take all from the repository.")
    molecules = Frames.from_reference_data(data, potential.target)
    others = np.setdiff1d(np.arange(len(molecules)), record["molecules"])
    recorded = next(entry for entry in potential.provenance["errors"] if entry["split"] == "test")
    (computed,) = evaluate(potential, molecules[others])
    found = {
        (FULL, f"training run, recorded in {file.name}", published): recorded,
        (SHIPPED, f"computed now, {len(others)} of {len(molecules)} in {sample.name}: the others trained it", None): computed,
    }
    rows = []
    for (part, source, theirs), entry in found.items():
        who = {"target": target, "model": MODEL, "part": part, "source": source}
        rows.append(row("test_mae", unit, factor * entry["value"], theirs, **who))
        rows.append(row("null_model_test_mae", unit, factor * entry["null_model"], None, **who))
    return rows


def table(rows: Sequence[Row]) -> str:
    """A line for each kind of error of each target."""
    entries = {(entry["target"], entry["part"], entry["metric"]): entry for entry in rows}
    lines = []
    for (target, part, metric), entry in entries.items():
        if metric == "test_mae":
            null = entries.get((target, part, "null_model_test_mae"), {}).get("value")
            where = NOT_SHIPPED if entry["source"] == NOT_SHIPPED else f"{part} ({entry['source']})"
            lines.append([target, entry["unit"], entry["published"], entry["value"], null, where])
    return format_table(["target", "unit", "AMP, published", "AMP(3), ours", "null", "on"], lines)
