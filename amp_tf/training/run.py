"""A training run in a folder: start it, kill it, call it again, and it ends at the same result."""

import json
import math
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml
from ase.data import atomic_numbers, chemical_symbols

from amp_tf.data.hdf5 import ReferenceData, read_reference_data
from amp_tf.data.pipeline import Frames, GraphBatches
from amp_tf.errors import InputError
from amp_tf.models import Potential, load_potential
from amp_tf.training.callbacks import Checkpoint, Progress, StopOnNaN, Validation, read_history
from amp_tf.training.config import MODELS, TrainingConfig
from amp_tf.training.evaluation import evaluate

EVALUATION_BATCH = 200
LABELS = ("energy", "qm_gradients", "mm_gradients")


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    Attributes:
        potential: with the final (averaged, if asked for) weights.
        metrics: records with ``split``, ``metric``, ``unit``, ``value``, ``null_model``.
        history: a row an interval: ``step``, ``seconds``, losses and errors.
    """

    potential: Potential
    metrics: list[dict[str, Any]]
    history: list[dict[str, float]]


def train(config: TrainingConfig, folder: Path | str, progress: bool = True) -> TrainingResult:
    """Train a potential, going on from the checkpoint in ``folder`` if there is one; a finished run is loaded.

    Writes ``config.yaml``, ``history.jsonl``, ``checkpoint.weights.h5``, and at the end ``potential.keras`` and ``metrics.json``.

    Raises:
        InputError: if the folder holds a run of another configuration, or the configuration cannot be met.
        DataFileError: if the data are damaged or lack a label.
        TrainingError: if the loss becomes NaN.
    """
    folder = Path(folder)
    data = read_reference_data(config.data)
    _claim(folder, config, data)
    if (folder / "metrics.json").is_file():
        metrics = json.loads((folder / "metrics.json").read_text())
        return TrainingResult(load_potential(folder / "potential.keras"), metrics, read_history(folder / "history.jsonl"))
    frames = Frames.from_reference_data(data)
    splits = {name: frames[indices] for name, indices in config.split.assign(len(frames)).items() if len(indices)}
    keras.utils.set_random_seed(config.seed)
    potential = make_potential(config, data, splits["train"])
    _fit(potential, config, splits, folder, progress)
    potential = potential.copy_for_inference()
    mean_energy = float(np.mean(splits["train"].energies))
    metrics = [{"split": name, **row} for name in ("train", "test") for row in evaluate(potential, splits[name], mean_energy)]
    potential.save(folder / "next.keras")
    os.replace(folder / "next.keras", folder / "potential.keras")
    _write_text(folder / "metrics.json", json.dumps(metrics, indent=1))
    return TrainingResult(potential, metrics, read_history(folder / "history.jsonl"))


def make_potential(config: TrainingConfig, data: ReferenceData, training_frames: Frames) -> Potential:
    """The untrained potential of a configuration, with its energy reference and provenance."""
    settings = dict(config.model)
    model = MODELS[settings.pop("type")]
    present = sorted({int(number) for group in data.groups for number in group.qm_atomic_numbers})
    elements = tuple(settings.pop("elements", [chemical_symbols[number] for number in present]))
    energies = fit_atomic_energies(training_frames, elements) if config.energy_reference == "fit" else None
    provenance = {
        "data": Path(data.source).name,
        "data_sha256": data.sha256,
        "level_of_theory": data.provenance.level_of_theory,
        "energy_reference": data.provenance.energy_reference,
        "training": config.as_json() | {"data": Path(config.data).name},
        "versions": {name: version(name) for name in ("amp_tf", "keras", "tensorflow", "numpy")},
    }
    return model(elements=elements, atomic_energies=energies, provenance=provenance, **settings)


def fit_atomic_energies(frames: Frames, elements: tuple[str, ...]) -> dict[str, float]:
    """Energies of the elements whose sums fit the energies of ``frames`` best (least squares, smallest norm), kJ/mol, in float64."""
    numbers = [atomic_numbers[symbol] for symbol in elements]
    counts = np.array([[np.count_nonzero(system.atomic_numbers == number) for number in numbers] for system in frames.systems], dtype=float)
    return dict(zip(elements, np.linalg.lstsq(counts, frames.energies, rcond=None)[0].tolist(), strict=True))


def compile_potential(potential: Potential, config: TrainingConfig, labels: tuple[str, ...]) -> None:
    """Adam with exponential decay and clipping by the global norm, and the loss of Eq. 12.

    Keras's mean squared errors are its two sums: the mean over systems of the squared energy error, and the mean over all components of the
    squared gradient error (which for systems of one size is the sum over 3BN).
    """
    weight = config.gradient_weight if "qm_gradients" in labels else 0.0
    decay_rate = config.final_learning_rate / config.learning_rate
    schedule = keras.optimizers.schedules.ExponentialDecay(config.learning_rate, config.steps, decay_rate)
    averaging = {} if config.ema_momentum is None else {"use_ema": True, "ema_momentum": config.ema_momentum}
    potential.compile(
        optimizer=keras.optimizers.Adam(schedule, epsilon=config.epsilon, global_clipnorm=config.clip_norm, **averaging),
        loss={label: keras.losses.MeanSquaredError(dtype=potential.compute_dtype) for label in labels},
        loss_weights={label: 1.0 - weight if label == "energy" else weight for label in labels},
        metrics={label: [keras.metrics.MeanAbsoluteError(name="mae" if len(labels) > 1 else f"{label}_mae")] for label in labels},
        steps_per_execution=math.gcd(config.interval, 10),
    )


def _fit(potential: Potential, config: TrainingConfig, splits: dict[str, Frames], folder: Path, progress: bool) -> None:
    has_gradients = config.gradient_weight > 0 and splits["train"].qm_gradients is not None
    labels = ("energy", "qm_gradients") if has_gradients else ("energy",)
    compile_potential(potential, config, labels)
    potential.optimizer.build(potential.trainable_variables)
    checkpoint = Checkpoint(folder, config.interval)
    checkpoint.set_model(potential)
    first_step = checkpoint.restore()
    callbacks = [StopOnNaN()]
    if "validation" in splits:
        callbacks.append(Validation(GraphBatches(potential, splits["validation"], labels).evaluation(EVALUATION_BATCH)))
    if progress:
        callbacks.append(Progress(config.steps, first_step))
    if config.tensorboard:
        callbacks.append(_tensorboard(folder))
    potential.fit(
        GraphBatches(potential, splits["train"], labels).training(config.batch_size, config.seed, config.steps, first_step),
        steps_per_epoch=config.interval,
        initial_epoch=first_step // config.interval,
        epochs=config.steps // config.interval,
        callbacks=[*callbacks, checkpoint],
        verbose=0,
        shuffle=False,
    )


def _tensorboard(folder: Path) -> keras.callbacks.Callback:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError("tensorboard: true needs TensorBoard; install it with: pip install 'amp_tf[tensorboard]'") from error
    return keras.callbacks.TensorBoard(str(folder / "tensorboard"))


def _claim(folder: Path, config: TrainingConfig, data: ReferenceData) -> None:
    """Write the configuration into the folder, or check that the one there is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.as_json() | {"data": Path(config.data).name, "data_sha256": data.sha256}, sort_keys=False)
    path = folder / "config.yaml"
    if path.is_file() and path.read_text() != text:
        raise InputError(f"{folder} holds a run with another configuration or other data; choose another run folder or remove that one.")
    _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)
