"""The training runs on the water dimer that Figures 2, 5 and 6 share; a run that one figure made serves the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.units import JOULE_PER_KILOJOULE
from datasets.water_dimer import SHIPPED_FILE
from reproductions.folders import RUNS
from reproductions.processes import in_processes

DATA = SHIPPED_FILE
CUTOFFS = {"A": 8.0, "B": 4.25, "C": 2.0}
"""Angstrom, the panels of Figure 2: every atom connected; the O-O edge alone between the molecules; two disconnected graphs."""

MODELS: dict[str, dict[str, Any]] = {
    "AMP(1)": {"max_order": 1},
    "AMP(2)": {"max_order": 2},
    "AMP(2)-DP": {"max_order": 2, "direct_polarization": True, "pairwise_coulomb": True, "long_range_partners": "qm"},
}

PAPER_SETTINGS = {
    "split": {"kind": "alternating"},
    "steps": 10_000,
    "batch_size": 5,
    "learning_rate": 5e-4,
    "final_learning_rate": 1e-5,
    "clip_norm": 1.0,
    "interval": 200,
    "xla": True,
}
"""A.2 and A.3; how the step is compiled changes no more than the rounding."""


@dataclass(frozen=True)
class Preset:
    """How a preset deviates from the paper's settings.

    Attributes:
        settings: changes of :data:`PAPER_SETTINGS`.
        model: further arguments of the model.
        differs: from the paper's settings, in words.
        few_seeds: seeds of the models whose error is compared with the published one, or that cannot learn.
        many_seeds: seeds where the share of successful runs is the result, and of Figures 5 and 6.
    """

    settings: dict[str, Any]
    model: dict[str, Any]
    differs: str
    few_seeds: int
    many_seeds: int


PRESETS = {
    "smoke": Preset(
        {"steps": 40, "interval": 20, "xla": False}, {"coefficient_scale": 1.0}, "a few steps show that all runs, no result", 1, 1
    ),
    "laptop": Preset(
        {"ema_momentum": 0.99},
        {"coefficient_scale": 1.0, "energy_scale": 0.5},
        "moving average of the weights (0.99; paper: none), factor 1 on the coefficients (paper: 1e-4), energy readout in units of "
        "0.5 kJ/mol (paper: 1); the paper's widths, steps, batch size and learning rates",
        3,
        10,
    ),
    "paper": Preset({}, {"coefficient_scale": 1e-4}, "no setting that the paper states", 10, 10),
}


@dataclass(frozen=True)
class Run:
    """One training run: a panel of Figure 2, a model, a seed."""

    panel: str
    model: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a run gives: errors in J/mol, interaction energies of all angles in kJ/mol."""

    run: Run
    test_mae: float
    null_mae: float
    curve: np.ndarray
    steps: np.ndarray
    validation_mae: np.ndarray
    seconds: float


def runs_for(panel: str, model: str, n_seeds: int) -> list[Run]:
    """Runs of the seeds 0 to ``n_seeds`` − 1."""
    return [Run(panel, model, seed) for seed in range(n_seeds)]


def configuration(run: Run, preset: str) -> dict[str, Any]:
    """The training configuration of a run.

    The target is the interaction energy less its mean over the training set, as a sum of atomic energies; where the molecules are
    connected by electrostatics alone (panel C) the mean stays in: zero charges are a saddle point of the loss, and explaining the mean
    repulsion drives the charges away from it.
    """
    chosen = PRESETS[preset]
    model = {
        "type": "AMP",
        "cutoff": CUTOFFS[run.panel],
        "n_layers": 1,
        "n_features": 64,
        "n_radial_weights": 4,
        "message_cutoff": "none",
        "dtype": "float64",
        **chosen.model,
        **MODELS[run.model],
    }
    reference = "none" if run.panel == "C" else "fit"
    return {"data": str(DATA), "model": model, "seed": run.seed, "energy_reference": reference, **PAPER_SETTINGS, **chosen.settings}


def train_all(runs: Sequence[Run], preset: str, folder: Path = RUNS, workers: int | None = None) -> list[Outcome]:
    """Train the runs in parallel processes of one thread each, or load those that are finished.

    Args:
        runs: what to train.
        preset: of :data:`PRESETS`.
        folder: holds one run folder each, ``water_dimer/<preset>/<panel>-<model>-<seed>``.
        workers: processes; by default one a core.
    """

    def tell(outcome: Outcome) -> str:
        return f"{outcome.run.panel} {outcome.run.model:<10} seed {outcome.run.seed}: test MAE {outcome.test_mae:.3g} J/mol"

    calls = [(run, preset, folder) for run in runs]
    outcomes = in_processes(train_one, calls, f"training, preset {preset}", tell, workers)
    return sorted(outcomes, key=lambda outcome: runs.index(outcome.run))


def train_one(run: Run, preset: str, folder: Path) -> Outcome:
    """Train one run, or load it, and predict the energies of all angles."""
    import keras

    from amp_tf.data.pipeline import Frames
    from amp_tf.models.batches import compute_all
    from amp_tf.training import make_config, train

    keras.utils.clear_session()  # the graphs of earlier runs in this process make Python's garbage collection slow
    result = train(
        make_config(configuration(run, preset)), folder / "water_dimer" / preset / f"{run.panel}-{run.model}-{run.seed}", progress=False
    )
    frames = Frames.from_reference_data(read_reference_data(DATA))
    test = next(metric for metric in result.metrics if metric["split"] == "test")
    return Outcome(
        run=run,
        test_mae=test["value"] * JOULE_PER_KILOJOULE,
        null_mae=test["null_model"] * JOULE_PER_KILOJOULE,
        curve=np.array(compute_all(result.potential, frames.systems)["energy"]),
        steps=np.array([entry["step"] for entry in result.history]),
        validation_mae=np.array([entry["val_energy_mae"] for entry in result.history]),
        seconds=result.history[-1]["seconds"],
    )


def differs(preset: str) -> str:
    """One line that says what differs from the paper."""
    return (
        "Differs from the paper: our own DF-MP2/aug-cc-pVTZ energies at a rigid monomer geometry that the paper does not state; "
        f"{PRESETS[preset].differs}."
    )


def data_record() -> dict[str, str]:
    """File and sha256 of the reference data, for a result file."""
    data = read_reference_data(DATA)
    return {
        "file": f"datasets/{DATA.name}",
        "sha256": data.sha256,
        "level_of_theory": data.provenance.level_of_theory,
        "engine": data.provenance.engine,
    }
