"""The potentials of Tables 1 and 2 that ship, with test frames of their data: shipping them, and the tables that they answer at once."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, ReferenceData
from amp_tf.data.splits import Split
from amp_tf.errors import InputError
from amp_tf.files import write_text
from common.results import Row, format_table, row, write_result
from common.solute_model import SOLUTES
from reproductions.folders import AT_ONCE, RUNS, WEIGHTS, copy_compressed
from reproductions.solute_tables import FACTS, data_record, differs, short_number, with_file_names
from reproductions.solutes import (
    DFT,
    FORMULAS,
    LABELS,
    NEAR_AND_FAR,
    ORDERINGS,
    START,
    TITLES,
    Job,
    configuration,
    jobs_of,
    orderings_of,
    result_name,
    run_folder,
    shown_cutoff,
)

FOLDER = WEIGHTS / "solutes"
N_FRAMES = 20
"""Test frames of each solute and ordering that ship."""

BINARY_DIGITS = 14
"""After the point, of the MM particles' positions and gradients in the frames that ship: 6e-5 of their units. It makes the files a quarter
smaller and changes the errors of uracil's potential by less than a thousandth of themselves."""

UNTRAINED = 0.1
"""A potential whose error of the QM gradients is beyond this part of the null model's is said not to be trained to the end."""

FULL, SHIPPED = "full test set", "shipped frames"
NOT_SHIPPED = "not shipped: RETRAIN=1 trains it"


def potential_name(job: Job) -> str:
    """Of the file of a run's potential; that of :func:`main_job` is the solute's."""
    solute = SOLUTES[job.system]
    if job.table == 2:
        return f"{solute}-table2-{job.cutoff:g}.keras"
    return f"{solute}.keras" if job == main_job(job.system) else f"{solute}-{job.ordering}.keras"


def main_job(system: str) -> Job:
    """The run whose potential is the one to use: shuffled, or fine-tuned."""
    return Job(1, system, orderings_of(system)[-1])


def group_of_frames(job: Job) -> str:
    """The group of a run's test frames in the file of its system: one for each way to split."""
    return "shuffled" if ORDERINGS[job.ordering] == "random" else "unshuffled"


def frames_name(system: str) -> str:
    """Of the file of a system's test frames, with the groups of :func:`group_of_frames`."""
    return f"{SOLUTES[system]}_test.h5"


def ship_weights(folder: Path = RUNS, target: Path = FOLDER, preset: str = "laptop") -> list[Path]:
    """Ship the finished runs of every solute: Table 1's potentials, with a model card and test frames, where the main run is finished, and
    Table 2's where all of them are, which may be of other data.

    What shipped of another run of the same table is removed where that is not finished, because it would belong to other data.
    """
    written = []
    for system, solute in SOLUTES.items():
        if not (path := folder / f"{solute}.h5").is_file():
            continue
        data = read_reference_data(path)
        for table in (1, 2):
            jobs = [] if (table, system) == (2, DFT) else [job for job in jobs_of(table, [system], preset) if job.table == table]
            runs = {job: run_folder(job, preset, data.sha256, folder) for job in jobs}
            finished = {job: run for job, run in runs.items() if (run / "metrics.json").is_file()}
            needed = {main_job(system)} if table == 1 else set(jobs)
            if not finished or not needed <= finished.keys():
                continue
            for job in runs:
                file = target / potential_name(job)
                file.unlink(missing_ok=True)
                if job in finished:
                    copy_compressed(finished[job] / "potential.keras", file)
                    written.append(file)
            if table == 1:
                written += [_ship_card(system, data, runs[main_job(system)], target), _ship_frames(system, data, preset, target)]
    return written


def _ship_card(system: str, data: ReferenceData, run: Path, target: Path) -> Path:
    from amp_tf.models import load_potential

    path = target / f"{SOLUTES[system]}.md"
    provenance = load_potential(run / "potential.keras").provenance
    metrics = json.loads((run / "metrics.json").read_text())
    settings = data.provenance.settings
    sampling = settings.get("geometries_settings", settings)
    title = SOLUTES[START.system if system == DFT else system]
    card = Path(__file__).with_name("model_card.md").read_text().format(
        title=title, file=f"{path.stem}.keras", frames=len(data), data=provenance["data"], sha256=provenance["data_sha256"][:12],
        trained=_how_far(metrics),
        errors=", ".join(_test_error(entry) for entry in metrics if entry["split"] == "test"),
        level_of_theory=provenance["level_of_theory"], dynamics=settings.get("geometries_level_of_theory", provenance["level_of_theory"]),
        made=_how_made(system), energy_reference=provenance["energy_reference"].partition(";")[0],
        charge=f"{data.groups[0].total_charge:g}", steps=provenance["training"]["steps"],
        minutes=round(provenance["training_seconds"] / 60), zone=sampling["zone"],
        charges=" and ".join(f"{charge:g}" for charge in sorted(set(sampling["water_charges_e"]))),
    )  # fmt: skip
    write_text(path, card)
    return path


def _test_error(entry: Mapping[str, Any]) -> str:
    label = TITLES[entry["metric"].removesuffix("_mae")]
    return f"{label} {entry['value']:.3g} {entry['unit']} (null {entry['null_model']:.3g})"


def _how_made(system: str) -> str:
    if system == DFT:
        return "the first 70 % of them in the order of time fine-tuned `uracil-unshuffled.keras`, which has seen none of its test frames"
    return "70 % of them, shuffled, trained it"


def _how_far(metrics: Sequence[Mapping[str, Any]]) -> str:
    gradients = next(entry for entry in metrics if entry["split"] == "test" and entry["metric"] == "qm_gradients_mae")
    if gradients["value"] < UNTRAINED * gradients["null_model"]:
        return ""
    return "\n**Not trained to the end: to try the package with, and to go on from, not for results.** See its errors.\n"


def _ship_frames(system: str, data: ReferenceData, preset: str, target: Path) -> Path:
    path = target / frames_name(system)
    (group,) = data.groups
    jobs = jobs_of(1, [system], preset)
    frames = {group_of_frames(job): test_frames(job, preset, data) for job in jobs}
    settings = {
        "data_sha256": data.sha256,
        "data_frames": len(data),
        "data_settings": data.provenance.settings,
        "frames": {name: numbers.tolist() for name, numbers in frames.items()},
        "binary_digits_of_mm_positions_and_gradients": BINARY_DIGITS,
    }
    groups = tuple(_compact(group.subset(numbers), name) for name, numbers in frames.items())
    command = with_file_names(data.provenance.builder_command)
    write_reference_data(path, data.provenance.model_copy(update={"settings": settings, "builder_command": command}), groups)
    return path


def test_frames(job: Job, preset: str, data: ReferenceData) -> np.ndarray:
    """The numbers of at most :data:`N_FRAMES` frames of a run's test part, evenly spread over it in the order of time."""
    split = Split(**configuration(job, preset, Path(data.source))["split"])
    numbers = np.sort(split.assign(data.frame_groups)["test"])
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, N_FRAMES).round().astype(int))]


def _compact(group: FrameGroup, name: str) -> FrameGroup:
    def rounded(values: np.ndarray) -> np.ndarray:
        return np.round(values * 2.0**BINARY_DIGITS) / 2.0**BINARY_DIGITS

    return replace(group, name=name, mm_positions=rounded(group.mm_positions), mm_gradients=rounded(group.mm_gradients))


@dataclass(frozen=True)
class Shipped:
    """What ships of a run; None where it does not.

    Attributes:
        job: the run.
        potential: of the run.
        frames: of the system, in the file's groups; none of them trained the potential.
    """

    job: Job
    potential: Any
    frames: ReferenceData | None

    @classmethod
    def load(cls, job: Job, folder: Path = FOLDER) -> "Shipped":
        """Read and check what ships of a run.

        Raises:
            InputError: if the frames are of other data than a potential of Table 1. Those of Table 2 may be of other data of the same level
                of theory, no frame of which they have seen.
            DataFileError, InputError: if a file is damaged or was altered.
        """
        from amp_tf.models import load_potential

        file, frames_file = folder / potential_name(job), folder / frames_name(job.system)
        potential = load_potential(file) if file.is_file() else None
        frames = read_reference_data(frames_file) if frames_file.is_file() else None
        if potential and frames:
            trained, theirs = potential.provenance, frames.provenance
            same_theory = trained["level_of_theory"] == theirs.level_of_theory
            if trained.get("data_sha256") != theirs.settings.get("data_sha256") and not (job.table == 2 and same_theory):
                raise InputError(
                    f"{frames_file} holds frames of other data than {file} was trained on; take both from the repository, or ship them "
                    "anew with: python -m reproductions.solutes"
                )
        return cls(job, potential, frames)

    @property
    def same_data(self) -> bool:
        """Whether the frames are of the data that the potential was trained on."""
        if self.potential is None or self.frames is None:
            return False
        return self.frames.provenance.settings.get("data_sha256") == self.potential.provenance.get("data_sha256")

    def recorded(self) -> tuple[dict[str, float], dict[str, float], str]:
        """Errors on the full test set and the null model's by label, as the training run recorded them, and their source in words."""
        if self.potential is None:
            return {}, {}, NOT_SHIPPED
        errors = {
            entry["metric"].removesuffix("_mae"): entry for entry in self.potential.provenance.get("errors", []) if entry["split"] == "test"
        }
        found, null = ({label: entry[key] for label, entry in errors.items()} for key in ("value", "null_model"))
        name = potential_name(self.job)
        return found, null, f"training run, recorded in {name}" if errors else f"not recorded in {name}: RETRAIN=1 trains it"

    def computed(self) -> tuple[dict[str, float], str]:
        """Errors on the frames that ship, computed now, by label, and their source in words."""
        from amp_tf.data.pipeline import Frames
        from amp_tf.training.evaluation import evaluate

        if self.potential is None:
            return {}, NOT_SHIPPED
        if self.frames is None:
            return {}, "no frames ship: RETRAIN=1 builds the data"
        group = next(group for group in self.frames.groups if group.name == group_of_frames(self.job))
        errors = evaluate(self.potential, Frames.from_reference_data(replace(self.frames, groups=(group,))))
        found = {entry["metric"].removesuffix("_mae"): entry["value"] for entry in errors}
        other = "" if self.same_data else ", not of its own trajectory"
        return found, f"computed now, {len(group)} frames of {frames_name(self.job.system)}{other}"

    def rows(self, published: Mapping[str, Sequence[float]]) -> list[Row]:
        """Both kinds of errors with the published test errors, and the null model's."""
        job = self.job
        found, null, source = self.recorded()
        now_found, now_source = self.computed()
        who = {"system": job.system, "ordering": job.ordering, "cutoff": shown_cutoff(job)}
        rows = []
        for label, unit in LABELS.items():
            theirs = published[label][-1]
            rows += [
                row(f"{label}_mae", unit, found.get(label), theirs, **who, part=FULL, source=source),
                row(f"{label}_mae", unit, now_found.get(label), theirs, **who, part=SHIPPED, source=now_source),
                row(f"null_{label}_mae", unit, null.get(label), None, **who, part=FULL, source=source),
            ]
        facts = {
            "frames": self.frames.provenance.settings["data_frames"] if self.same_data else None,
            "training_steps": self.potential and self.potential.provenance["training"]["steps"],
        }
        return rows + [row(metric, "", value, None, **who, part=FULL, source=source) for metric, value in facts.items()]

    def record(self) -> dict[str, Any]:
        """Where the numbers come from, for a result file."""
        origin = self.potential.provenance
        record = {"level_of_theory": origin["level_of_theory"], "formulas": [FORMULAS[self.job.system]]}
        if self.frames is not None:
            record = data_record(self.frames)
        return record | {"ours": True, "data_sha256": origin["data_sha256"]}


def answers(jobs: Sequence[Job], published: Callable[[Job], Any], folder: Path = FOLDER) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """Evaluate what ships of some runs.

    Args:
        jobs: the runs.
        published: the paper's entry of a job by label, whose last number is the test error.
        folder: holds what ships.

    Returns:
        Rows of every run, and for each system of which a potential ships where its numbers come from.
    """
    rows, records = [], {}
    for job in jobs:
        shipped, started = Shipped.load(job, folder), time.perf_counter()
        rows += shipped.rows(published(job))
        if shipped.potential is not None:
            records.setdefault(job.system, shipped.record())
            print(f"{potential_name(job)}: {time.perf_counter() - started:.0f} s", flush=True)
    return rows, records


def write_answer(
    table: int, systems: Sequence[str], rows: Sequence[Row], records: Mapping[str, dict[str, Any]], started: float, results: Path = AT_ONCE
) -> Path:
    """The result file of a table that is evaluated at once."""
    says = differs("laptop", records) if records else f"Nothing of Table {table} ships: RETRAIN=1 builds the data and trains."
    name = result_name(table, systems, "laptop", {})
    return write_result(name, "laptop", rows, started, results, seeds=[0], data=records, differs=says)


def answer_table(rows: Sequence[Row], key: str, literature: Mapping[str, Any] | None = None) -> str:
    """Test errors of each run with their source, beside the published ones, the literature's for uracil in the order of time, and the null
    model's; ``key`` names the column that tells runs apart."""
    runs: dict[tuple[str, Any], dict[tuple[str, str], Row]] = {}
    for entry in rows:
        if "source" in entry:
            runs.setdefault((entry["system"], entry[key]), {})[entry["metric"], entry["part"]] = entry
    lines = []
    for run, entries in runs.items():
        others = literature if literature and run == ("Uracil", "unshuffled") else {}
        names = (run[0], NEAR_AND_FAR if run[1] is None else run[1])
        lines += [[*names, *line] for line in _lines(entries, others)]
    titles = [f"{TITLES[label]}, {unit}" for label, unit in LABELS.items()]
    return format_table(["system", key, "test MAE", *titles, "frames", "steps", "source"], lines)


def _lines(entries: Mapping[tuple[str, str], Row], literature: Mapping[str, Any]) -> list[list[Any]]:
    def line(name: str, source: str, part: str = FULL, field_name: str = "value", prefix: str = "", facts: Sequence[Any] = ("", "")):
        return [name, *(short_number(entries[f"{prefix}{label}_mae", part][field_name]) for label in LABELS), *facts, source]

    source = entries["energy_mae", FULL]["source"]
    if source == NOT_SHIPPED:
        lines = [line("ours", source)]
    else:
        facts = ["–" if (value := entries[metric, FULL]["value"]) is None else value for metric in FACTS]
        lines = [line(f"ours, {FULL}", source, facts=facts), line(f"ours, {SHIPPED}", entries["energy_mae", SHIPPED]["source"], SHIPPED)]
    if entries["energy_mae", FULL]["published"] is not None:
        lines.append(line("published", "paper", field_name="published"))
    lines += [[name, *(short_number(theirs[label][-1]) for label in LABELS), "", "", "literature"] for name, theirs in literature.items()]
    if entries["null_energy_mae", FULL]["value"] is not None:
        lines.append(line(f"null model, {FULL}", source, prefix="null_"))
    return lines
