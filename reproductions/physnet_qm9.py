"""PhysNet's energies on QM9 by the number of molecules it is trained on: Table 3 of its paper.

``make reproduce-physnet-qm9 OPTIONS="--data qm9.h5"`` (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from amp_tf.data.reference_data import ReferenceData
from common.results import Row, format_table, row, write_result
from figures.physnet_qm9 import draw
from reproductions import physnet_paper
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.physnet_runs import (
    Job,
    Trained,
    data_record,
    differs_in_training,
    mean_error,
    physnet,
    ratio,
    rows_of_runs,
    test_frames,
    train_all,
)
from reproductions.qm9 import molecules_of


@dataclass(frozen=True)
class Preset:
    """What is trained."""

    n_train: tuple[int, ...]
    n_validation: int
    size: str
    seeds: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "smoke": Preset((20, 40), 8, "tiny", (0,), {"steps": 4, "interval": 2, "batch_size": 4}),
    "laptop": Preset((5000, 18_000), 1000, "small", (0,), {"steps": 30_000, "interval": 1000}),
    "paper": Preset((45_000, 95_000), 5000, "published", (0, 1, 2, 3, 4), {"steps": 3_000_000, "interval": 10_000}),
}


def jobs_of(preset: str, data: ReferenceData) -> list[Job]:
    """Every number of molecules and seed, on one order of the molecules; those that none trains or validates, the last, test all."""
    chosen, n = PRESETS[preset], len(data)
    return [
        Job(f"qm9-{data.sha256[:8]}-{n_train}-{seed}", Path(data.source), physnet(chosen.size, False),
            {"split": {"kind": "random", "train": n_train / n, "validation": chosen.n_validation / n}, **chosen.settings}, seed,
            {"n_train": n_train})
        for n_train in chosen.n_train
        for seed in chosen.seeds
    ]  # fmt: skip


def reproduce(preset: str, given: Path | None, results: Path = RESULTS, runs: Path = RUNS) -> Path:
    """Train every model and write ``physnet-qm9.<preset>.json``."""
    started, chosen = time.perf_counter(), PRESETS[preset]
    data = molecules_of(preset, given, max(chosen.n_train) + chosen.n_validation)
    found = train_all(jobs_of(preset, data), preset, runs)
    rows: list[Row] = []
    frames = test_frames(found[-1].job)  # of the largest number, whose test molecules are the fewest, and no other's training molecules
    for n_train in PRESETS[preset].n_train:
        of_number = [run for run in found if run.job.who["n_train"] == n_train]
        total = n_train + PRESETS[preset].n_validation
        published = {"energy": physnet_paper.QM9[total]} if total in physnet_paper.QM9 else None
        rows += rows_of_runs(of_number, published, frames, molecules=total)
    for total, (single, ensemble) in physnet_paper.QM9.items():
        values = {None: single, "ensemble": ensemble}
        rows += [row("published_energy_mae", "kcal/mol", value, None, molecules=total, seed=seed) for seed, value in values.items()]
    return write_result(
        "physnet-qm9", preset, rows, started, results, seeds=list(PRESETS[preset].seeds), data=data_record(data), differs=differs(found)
    )


def differs(runs: Sequence[Trained]) -> str:
    """What is not as in the paper."""
    return (
        f"Differs from the paper: fewer molecules; {differs_in_training([run.job for run in runs])}; energies are U0, which the paper does "
        "not state. All are tested on the molecules that no run was trained on."
    )


def table(rows: Sequence[Row]) -> str:
    """A line a number of molecules: ours, then the published ones."""
    lines = []
    for total in dict.fromkeys(entry["molecules"] for entry in rows if entry["metric"] == "energy_mae"):
        single, joined = (mean_error(rows, "energy_mae", ensemble, molecules=total) for ensemble in (False, True))
        null = mean_error(rows, "null_model_energy_mae", molecules=total)
        lines.append(["ours", total, single, joined, ratio(joined, single), null])
    published = {(entry["molecules"], entry["seed"]): entry["value"] for entry in rows if entry["metric"] == "published_energy_mae"}
    for total in dict.fromkeys(total for total, _ in published):
        single, joined = published[total, None], published[total, "ensemble"]
        lines.append(["published", total, single, joined, joined / single, None])
    return format_table(
        ["", "molecules for training and validation", "U0, kcal/mol, mean of seeds", "ensemble", "ensemble/single", "null"], lines
    )


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    data: Annotated[Path | None, typer.Option(help="Molecules of QM9, *.h5; by default runs/qm9.h5.")] = None,
) -> None:
    """Train PhysNet on more and more molecules of QM9."""
    run_reproduction(preset, lambda preset: reproduce(preset, data), draw, table)


if __name__ == "__main__":
    app()
