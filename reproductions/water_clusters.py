"""The eight potentials on water clusters that Figure 3 and Tables 7 and 8 share: trained in turn, or loaded from the weights that ship."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, ReferenceData
from amp_tf.errors import InputError
from common import paper
from common.cluster_models import DATA, LAPTOP_SIZES, MODELS, SIZES
from datasets.water_clusters import TRAINING_GROUP, TRAINING_SIZE
from reproductions.folders import RUNS, WEIGHTS, copy_compressed

TABLES = {"energy": paper.TABLE_7, "qm_gradients": paper.TABLE_8}
PAPER_SETTINGS = {
    "split": {"kind": "groups", "train_groups": [TRAINING_GROUP]},
    "steps": 50_000,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "final_learning_rate": 1e-5,
    "clip_norm": 1.0,
    "gradient_weight": 0.8,
    "energy_reference": "none",
    "interval": 500,
}
"""A.2 and A.4. The target is the energy of the field itself, which is zero without a field, so nothing is subtracted."""

NEAR_DIFFERS = "charges beyond 4 Å polarize through their field (paper: all through the pair network)"


@dataclass(frozen=True)
class Preset:
    """How a preset deviates from the paper's settings.

    Attributes:
        settings: changes of :data:`PAPER_SETTINGS`.
        sizes: arguments by model; one that is not named is left out.
        of_model: further changes by model.
        model: further arguments of every AMP model.
        seeds: of a model that is trained several times; the others have seed 0.
        differs: from the paper's settings, in words.
        further_differences: beside the settings that :mod:`reproductions.orders` shares.
    """

    settings: dict[str, Any]
    sizes: dict[str, dict[str, Any]]
    of_model: dict[str, dict[str, Any]]
    model: dict[str, Any]
    differs: str
    further_differences: tuple[str, ...] = ()
    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def seeds_of(self, model: str) -> tuple[int, ...]:
        """One run each."""
        return self.seeds.get(model, (0,))


PRESETS = {
    "smoke": Preset(
        {"steps": 3, "interval": 3, "xla": False},
        {model: {**LAPTOP_SIZES[model], "n_layers": 1} for model in ("AMP(1)", "AMP(2)")},
        {},
        {},
        "three steps of one-layer models, of some of them, on every twentieth frame show that all runs, no result",
        seeds={"AMP(1)": (0, 1)},
    ),
    "laptop": Preset(
        {"learning_rate": 1e-3},
        SIZES["laptop"],
        {f"AMP({order})": {"steps": 40_000 if order < 2 else 80_000, "ema_momentum": 0.999} for order in range(4)}
        | {"PaiNN": {"steps": 16_000}, "SchNet": {"steps": 16_000}, "GNN": {"steps": 16_000}, "GNN-P": {"steps": 10_000}},
        {},
        "0.3 million parameters (paper: 1 million), learning rate from 1e-3 (paper: 5e-4), smooth edges (paper: abrupt); AMP with "
        "factor 1e-2 on the coefficients (paper: 1e-4), moving average of the weights (0.999; paper: none), 80 000 steps, "
        "AMP(0) and AMP(1) 40 000 (paper: 50 000)",
        (
            NEAR_DIFFERS,
            "the other models, whose steps take longer, with 16 000 steps, GNN-P with 10 000",
            "AMP(1), AMP(2) and AMP(3): median of three seeds, the others: one seed",
        ),
        dict.fromkeys(("AMP(1)", "AMP(2)", "AMP(3)"), (0, 1, 2)),
    ),
    "paper": Preset(
        {},
        SIZES["paper"],
        {},
        {"coefficient_scale": 1e-4},
        "no setting that the paper states",
    ),
}


@dataclass(frozen=True)
class Outcome:
    """Errors of one potential on every size of cluster.

    Attributes:
        model: its name.
        seed: of its training.
        errors: mean absolute error of each test frame by label and size, arrays [n_frames], kJ/mol and kJ/mol/angstrom.
        training_errors: by label, on the frames that trained.
        terms: mean of each energy term by size, kJ/mol.
        n_parameters, steps, seconds: of the potential and its training.
    """

    model: str
    seed: int
    errors: dict[str, dict[int, np.ndarray]]
    training_errors: dict[str, float]
    terms: dict[str, dict[int, float]]
    n_parameters: int
    steps: int
    seconds: float


def configuration(model: str, preset: str, data: Path | str = DATA, seed: int = 0) -> dict[str, Any]:
    """The training configuration of a model on a data file."""
    chosen = PRESETS[preset]
    arguments = {**MODELS[model], **chosen.sizes[model]}
    if arguments["type"] == "AMP":
        arguments |= chosen.model
    settings = {**PAPER_SETTINGS, **chosen.settings}
    settings |= chosen.of_model.get(model, {})
    # abrupt edges cannot be filled up, but here all frames of AMP have the same edges anyway
    has_one_shape = arguments["type"] == "AMP" or arguments.get("message_cutoff") != "none"
    return {"data": str(data), "model": arguments, "seed": seed, "xla": has_one_shape} | settings


def data_file(preset: str, runs: Path = RUNS) -> Path:
    """The reference data of a preset: for ``smoke`` every twentieth frame of the file that ships, written anew below ``runs``."""
    if preset != "smoke":
        return DATA
    data, path = read_reference_data(DATA), runs / "water_clusters" / "smoke.h5"
    write_reference_data(path, data.provenance, tuple(group.subset(range(0, len(group), 20)) for group in data.groups))
    return path


def outcomes(preset: str, retrain: bool = False, folder: Path = RUNS) -> list[Outcome]:
    """Train or load every model in turn and evaluate it, printing its errors as they come.

    Args:
        preset: of :data:`PRESETS`.
        retrain: train even where weights ship. A finished run in ``folder`` comes before the weights that ship in any case.
        folder: holds one run folder each, ``water_clusters/<preset>/<run>``, that an interrupted call goes on with.
    """
    data = read_reference_data(data_file(preset, folder))
    found = []
    for model, seed in runs_of(preset):
        outcome = evaluate(model, trained(model, seed, preset, data, retrain, folder), data)
        found.append(outcome)
        print_errors(f"{run_name(model, seed):<13}", outcome)
    return found


def runs_of(preset: str) -> list[tuple[str, int]]:
    """Model and seed of every run of a preset."""
    return [(model, seed) for model in MODELS if model in PRESETS[preset].sizes for seed in PRESETS[preset].seeds_of(model)]


def run_name(model: str, seed: int) -> str:
    """Of a run's folder and weights."""
    return f"{model}-seed{seed}" if seed else model


def print_errors(name: str, outcome: Outcome) -> None:
    """The errors of an outcome in one line."""
    energy, gradients = (mean_but_training_size(outcome.errors[label]) for label in TABLES)
    print(f"{name} test MAE, mean over the sizes but {TRAINING_SIZE}: {energy:.3g} kJ/mol, {gradients:.3g} kJ/mol/angstrom", flush=True)


def trained(model: str, seed: int, preset: str, data: ReferenceData, retrain: bool = False, folder: Path = RUNS):
    """The potential of one run: of the finished run in ``folder``, of the weights that ship, or trained anew; see :func:`outcomes`."""
    import keras

    from amp_tf.models import load_potential
    from amp_tf.training import make_config, train

    name = run_name(model, seed)
    shipped, run = WEIGHTS / preset / f"{name}.keras", folder / "water_clusters" / preset / name
    if shipped.is_file() and not retrain and not (run / "metrics.json").is_file():
        potential = load_potential(shipped)
        if potential.provenance.get("data_sha256") != data.sha256:
            raise InputError(f"{shipped} was trained on other data than {DATA}; train anew with RETRAIN=1.")
        wanted = configuration(model, preset, data.source, seed)
        if any(potential.provenance["training"].get(key) != wanted[key] for key in ("model", "steps", "seed")):
            raise InputError(f"{shipped} was trained with other settings than PRESET={preset} has; train anew with RETRAIN=1.")
        return potential
    keras.utils.clear_session()
    print(f"{name}:", flush=True)
    return train(make_config(configuration(model, preset, data.source, seed)), run).potential


def training_group(data: ReferenceData) -> FrameGroup:
    """The group that trains."""
    return next(group for group in data.groups if group.name == TRAINING_GROUP)


def test_groups(data: ReferenceData) -> dict[int, FrameGroup]:
    """The groups that do not train, by number of molecules."""
    return {int(group.frame_properties["size"][0]): group for group in data.groups if group.name != TRAINING_GROUP}


def evaluate(model: str, potential, data: ReferenceData) -> Outcome:
    """Errors and mean energy terms of a potential on the test frames of every size."""
    from amp_tf.data.pipeline import Frames
    from amp_tf.training.evaluation import evaluate as mean_absolute_errors

    errors, terms = {label: {} for label in TABLES}, {}
    for size, group in test_groups(data).items():
        result = potential.compute_systems([group.system(frame) for frame in range(len(group))])
        errors["energy"][size] = np.abs(result["energy"] - group.energies)
        errors["qm_gradients"][size] = np.abs(np.array(result["qm_gradients"]) - group.qm_gradients).mean(axis=(1, 2))
        for name, term in result["energy_terms"].items():
            terms.setdefault(name, {})[size] = float(np.mean(term))
    trained = Frames.from_reference_data(ReferenceData(data.provenance, (training_group(data),)))
    training_errors = {entry["metric"].removesuffix("_mae"): entry["value"] for entry in mean_absolute_errors(potential, trained)}
    provenance = potential.provenance
    training = provenance["training"]
    return Outcome(
        model, training["seed"], errors, training_errors, terms, potential.count_params(), training["steps"], provenance["training_seconds"]
    )


def mean_but_training_size(errors: Mapping[int, np.ndarray]) -> float:
    """Of the errors of frames by size: the mean over all sizes but the one that trained."""
    return float(np.mean([np.mean(of_size) for size, of_size in errors.items() if size != TRAINING_SIZE]))


DATA_DIFFERS = (
    "Differs from the paper: our own minima (basin hopping on AMOEBA water instead of the TTM2.1-F database), several molecules of one "
    "cluster, 100 test frames of each size, our own DF-MP2/aug-cc-pVTZ; n = 10 is held out here and the training set there"
)


def differs(preset: str) -> str:
    """One line that says what differs from the paper."""
    chosen = PRESETS[preset]
    return "; ".join([DATA_DIFFERS, *([] if chosen.seeds else ["one seed"]), chosen.differs, *chosen.further_differences]) + "."


def ship_weights(folder: Path = RUNS) -> list[Path]:
    """Copy the potentials of the finished laptop runs to where :func:`outcomes` looks for the weights that ship, compressed; what ships of
    the other runs stays.

    Raises:
        InputError: if a run is not finished and does not ship either.
    """
    shipped = []
    for name in (run_name(*run) for run in runs_of("laptop")):
        source, target = folder / "water_clusters" / "laptop" / name / "potential.keras", WEIGHTS / "laptop" / f"{name}.keras"
        if not source.is_file() and target.is_file():
            continue
        if not source.is_file():
            raise InputError(f"{source}: no such run; make it with: make reproduce-figure3 RETRAIN=1")
        copy_compressed(source, target)
        shipped.append(target)
    return shipped


if __name__ == "__main__":
    for path in ship_weights():
        print(f"wrote {path}")
