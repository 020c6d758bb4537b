"""PhysNet and AMP(2) on molecules of the revised MD17: Table 4 of PhysNet's paper with few frames.

``make reproduce-physnet-md17 OPTIONS="--data FOLDER"`` (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019; data: Christensen and
von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018, 2020).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from amp_tf.data import rmd17
from amp_tf.data.frames import RawFrame, as_reference_data
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.errors import InputError
from amp_tf.training import make_config
from common.results import Row, format_table, write_result
from figures.physnet_md17 import draw
from reproductions import physnet_paper
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS, RUNS
from reproductions.physnet_runs import (
    Job,
    Trained,
    data_records,
    differs_in_training,
    mean_error,
    physnet,
    published_of,
    ratio,
    rows_of_runs,
    train_all,
)

N_TRAIN, N_VALIDATION = 950, 50
"""Frames of the published split of 1 000."""

AMP = {
    "model": {
        "type": "AMP", "max_order": 2, "n_layers": 3, "n_features": 64, "cutoff": 5.0, "coefficient_scale": 1e-3, "energy_scale": 10.0,
    },
    "settings": {
        "loss": "squared", "amsgrad": False, "beta_2": 0.999, "epsilon": 1e-7, "clip_norm": 1.0, "ema_momentum": 0.99, "ema_ramp": False,
        "keep_best": False, "batch_size": 4, "gradient_weight": 0.95,
    },
}  # fmt: skip
"""AMP(2), trained as the solutes are, with more weight on gradients, which are many times the energies here."""


@dataclass(frozen=True)
class Preset:
    """What is trained."""

    molecules: tuple[str, ...]
    size: str
    seeds: tuple[int, ...]
    whole: tuple[str, ...] = ()
    """Molecules on which a model of the published size is trained too, one seed."""
    whole_steps: int | None = None
    """Of that model; as many as of the others by default."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    amp: Mapping[str, Any] = field(default_factory=dict)


MOLECULES = ("aspirin", "ethanol", "uracil")
PRESETS = {
    "smoke": Preset(("ethanol",), "tiny", (0, 1), (), None, {"steps": 4, "interval": 2, "batch_size": 4},
                    {"model": {"n_features": 8, "n_layers": 1}, "settings": {"steps": 4, "interval": 2}}),
    "laptop": Preset(MOLECULES, "small", (0, 1), MOLECULES, 5000, {"steps": 10_000, "interval": 200, "xla": True},
                     {"settings": {"steps": 20_000, "interval": 1000, "xla": True}}),
    "paper": Preset(tuple(physnet_paper.MD17), "published", (0, 1, 2, 3, 4), (), None,
                    {"steps": 3_000_000, "interval": 10_000, "xla": True},
                    {"model": {"n_features": 128}, "settings": {"steps": 400_000, "interval": 10_000, "xla": True}}),
}  # fmt: skip
"""The published models saw 50 000 frames for training and validation."""


def frames_of(folder: Path, molecule: str) -> tuple[list[RawFrame], list[RawFrame]]:
    """Frames for training and validation, and for the test, of the published split 01: as two files, or as the data set with its index.

    Args:
        folder: holds ``rmd17_<molecule>_train_01.npz`` and ``…_test_01.npz``, or the published archive unpacked:
            ``npz_data/rmd17_<molecule>.npz`` and ``splits/index_train_01.csv`` and ``index_test_01.csv``.
        molecule: its name in the data set.

    Raises:
        InputError: if neither is there.
    """
    stem = f"rmd17_{molecule.split()[0]}"
    parts = [folder / f"{stem}_{part}_01.npz" for part in ("train", "test")]
    if all(path.is_file() for path in parts):
        return rmd17.read_rmd17(parts[0]), rmd17.read_rmd17(parts[1])
    whole, lists = folder / "npz_data" / f"{stem}.npz", [folder / "splits" / f"index_{part}_01.csv" for part in ("train", "test")]
    if not all(path.is_file() for path in (whole, *lists)):
        raise InputError(
            f"{folder} has neither {parts[0].name} and {parts[1].name} nor npz_data/{whole.name} with splits/{lists[0].name}; get the "
            'revised MD17 (doi 10.6084/m9.figshare.12672038) and give its folder, OPTIONS="--data FOLDER".'
        )
    frames = rmd17.read_rmd17(whole)
    chosen = [_index(path, len(frames)) for path in lists]
    if np.intersect1d(*chosen).size:
        raise InputError(f"{lists[0]} and {lists[1].name} share frames; get the revised MD17 again.")
    return [frames[number] for number in chosen[0]], [frames[number] for number in chosen[1]]


def _index(path: Path, n_frames: int) -> np.ndarray:
    """The numbers of a list, a line each."""
    try:
        numbers = np.loadtxt(path, dtype=int, ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: is no list of frame numbers; get the revised MD17 again.") from error
    if not (len(numbers) and np.all((numbers >= 0) & (numbers < n_frames))):
        raise InputError(f"{path}: counts frames that the data do not have, {n_frames}; get the revised MD17 again.")
    return numbers


def data_file(folder: Path, molecule: str, runs: Path = RUNS) -> tuple[Path, dict[str, Any]]:
    """Both parts as one file of reference data, training first, and the split that tells them apart."""
    train, test = frames_of(folder, molecule)
    path = runs / "physnet" / "data" / f"rmd17-{molecule.replace(' ', '-')}.h5"
    data = as_reference_data([*train, *test], f"rmd17_{molecule}", rmd17.LEVEL_OF_THEORY, "make reproduce-physnet-md17")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_reference_data(path, data.provenance, data.groups)
    n, n_validation = len(train) + len(test), round(N_VALIDATION / (N_TRAIN + N_VALIDATION) * len(train))
    return path, {"kind": "ordered", "train": (len(train) - n_validation) / n, "validation": n_validation / n}


def jobs_of(preset: str, molecules: Sequence[str], folder: Path, runs: Path = RUNS) -> list[Job]:
    """PhysNet's seeds, the published size, and AMP(2) on the same frames."""
    chosen, jobs = PRESETS[preset], []
    for molecule in molecules:
        path, split = data_file(folder, molecule, runs)
        settings = {"split": split, **chosen.settings}
        name = f"{molecule.replace(' ', '-')}-{read_reference_data(path).sha256[:8]}"
        for seed in chosen.seeds:
            who = {"molecule": molecule, "model": f"PhysNet, {chosen.size}"}
            jobs.append(Job(f"md17-{name}-{chosen.size}-{seed}", path, physnet(chosen.size, False), settings, seed, who))
        if molecule in chosen.whole:
            who = {"molecule": molecule, "model": "PhysNet, published size"}
            of_whole = settings | {"steps": chosen.whole_steps or settings["steps"]}
            jobs.append(Job(f"md17-{name}-published-0", path, physnet("published", False), of_whole, 0, who))
        model = AMP["model"] | chosen.amp.get("model", {})
        of_amp = {"split": split, **AMP["settings"], **chosen.amp.get("settings", {})}
        jobs.append(Job(f"md17-{name}-AMP2-0", path, model, of_amp, 0, {"molecule": molecule, "model": "AMP(2)"}))
    return jobs


def reproduce(
    preset: str, folder: Path | None, molecules: Sequence[str] | None = None, results: Path = RESULTS, runs: Path = RUNS
) -> Path:  # fmt: skip
    """Train every model and write ``physnet-md17.<preset>.json``.

    Raises:
        InputError: without data, or for a molecule that PhysNet's table has not.
    """
    started = time.perf_counter()
    if folder is None:
        raise InputError('the revised MD17 does not ship; give the folder of its files, OPTIONS="--data FOLDER".')
    chosen = [molecule.strip() for molecule in molecules] if molecules else list(PRESETS[preset].molecules)
    if unknown := [molecule for molecule in chosen if molecule not in physnet_paper.MD17]:
        raise InputError(f"there is no molecule {unknown[0]!r} in the table; choose of {', '.join(physnet_paper.MD17)}.")
    found = train_all(jobs_of(preset, chosen, folder, runs), preset, runs)
    rows: list[Row] = []
    for who in dict.fromkeys((run.job.who["molecule"], run.job.who["model"]) for run in found):
        molecule, model = who
        of_model = [run for run in found if (run.job.who["molecule"], run.job.who["model"]) == who]
        energies, forces = physnet_paper.MD17[molecule]
        published = {"energy": energies, "qm_gradients": forces} if model.startswith("PhysNet") else None
        rows += rows_of_runs(of_model, published, molecule=molecule, model=model)
    data = data_records(found)
    return write_result(
        "physnet-md17" if molecules is None else f"physnet-md17-{'-'.join(chosen)}", preset, rows, started, results,
        seeds=list(PRESETS[preset].seeds), data=data, differs=differs(found),
    )  # fmt: skip


def differs(runs: Sequence[Trained]) -> str:
    """What is not as in the paper."""
    data = read_reference_data(runs[0].job.data)
    of_size = {run.job.who["model"]: run.job.settings["steps"] for run in runs if run.job.model["type"] == "PhysNet"}
    whole = (
        f"; the published size: {steps} steps, one seed" if len(of_size) > 1 and (steps := of_size.get("PhysNet, published size")) else ""
    )
    sizes = {part: len(numbers) for part, numbers in make_config(runs[0].job.configuration()).split.assign(data.frame_groups).items()}
    return (
        f"Differs from the paper: {sizes['train']} frames for training and {sizes['validation']} for validation (paper: 50 000 in all), "
        "of the revised MD17, PBE/def2-SVP (paper: MD17, PBE+vdW-TS); "
        f"{differs_in_training([run.job for run in runs])}{whole}. Errors are compared, not reproduced."
    )


def table(rows: Sequence[Row]) -> str:
    """A line a molecule and model."""
    lines = []
    for molecule, model in dict.fromkeys((entry["molecule"], entry["model"]) for entry in rows):
        of_model = [entry for entry in rows if (entry["molecule"], entry["model"]) == (molecule, model)]
        for ensemble in (False, True):
            energy, forces = (mean_error(of_model, metric, ensemble) for metric in METRICS)
            if energy is None:
                continue
            published = [published_of(of_model, metric, ensemble) for metric in METRICS]
            null = [mean_error(of_model, f"null_model_{metric}") for metric in METRICS]
            n_seeds = len({entry["seed"] for entry in of_model} - {"ensemble"})
            of = "ensemble" if ensemble else f"mean of {n_seeds} seeds" if n_seeds > 1 else "one seed"
            cells = [
                [value, theirs, ratio(value, theirs), none] for value, theirs, none in zip((energy, forces), published, null, strict=True)
            ]
            lines.append([molecule, model, of, *cells[0], *cells[1]])
    per = ["published, 50 000 frames", "ratio", "null"]
    return format_table(["molecule", "model", "of", "E, kcal/mol", *per, "F, kcal/mol/Å", *per], lines)


METRICS = ("energy_mae", "qm_gradients_mae")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop",
    data: Annotated[Path | None, typer.Option(help="The folder of the revised MD17, or of its split 01.")] = None,
    molecules: Annotated[str | None, typer.Option(help="Some of them, such as ethanol,uracil.")] = None,
) -> None:
    """Train PhysNet and AMP(2) on 950 frames of each molecule."""
    chosen = None if molecules is None else molecules.split(",")
    run_reproduction(preset, lambda preset: reproduce(preset, data, chosen), draw, table)


if __name__ == "__main__":
    app()
