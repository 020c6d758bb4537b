"""A training run in a folder: start it, kill it, call it again, and it ends at the same result."""

import json
import math
import os
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.pipeline import LABELS, READ_ERROR, Frames, GraphBatches
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import DataFileError, InputError, TrainingError
from amp_tf.files import PARTIAL, as_folder, check_outputs, locked, sha256_of, whole_file, write_text
from amp_tf.models import Potential, load_potential
from amp_tf.models.ranges import only_molecule, training_molecule, training_ranges
from amp_tf.targets import DIPOLE_MOMENT, ENERGY
from amp_tf.training.baselines import charges_of_ions, fit_atomic_energies, lowest_frames
from amp_tf.training.callbacks import CHECKPOINT_FILES, Checkpoint, KeepBest, Progress, StopOnNaN, Validation, read_history
from amp_tf.training.checks import (
    check_all_fits,
    check_charges_can_be_learnt,
    check_labels,
    check_near_cutoff,
    check_total_charges_are_seen,
    check_training_set_is_complete,
    warn_of_shapes,
)
from amp_tf.training.config import MODELS, TrainingConfig
from amp_tf.training.evaluation import NULL_MODEL, energy_residuals, evaluate, has_reference
from amp_tf.training.losses import RampedAdam, further_labels, loss_weights
from amp_tf.training.start import Start, check_data, read_start

EVALUATION_BATCH = 200

SCHEDULE = {"steps", "interval", "learning_rate", "final_learning_rate"}
"""Keys that change when a finished run is to be trained longer."""

BEST = "best.npz"
"""The weights of the lowest validation loss, where they are kept."""

RUN_FILES = ("config.yaml", "history.jsonl", *CHECKPOINT_FILES, BEST, "potential.keras", "metrics.json")
"""What a run writes into its folder."""

POTENTIAL_SHA256 = "potential_sha256"
"""The key of each record of ``metrics.json`` that tells which file the errors are of."""


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

    Writes :data:`RUN_FILES`, the last two of them at the end.

    Raises:
        InputError: if the folder holds a run of another configuration or files of others, is in use by another process or cannot be written
            to, or if the configuration cannot be met.
        DataFileError: if the data are damaged or lack a label, or if the files of the run are damaged or others.
        TrainingError: if the loss becomes NaN.
    """
    folder = as_folder(folder)
    if not os.path.isfile(folder / "metrics.json"):
        check_outputs([folder / name for name in RUN_FILES], {"the data": config.data, "start_from": config.start_from})
    start = read_start(config, folder)
    data = read_reference_data(config.data)
    _check_folder(folder, config, data, start)
    if (folder / "metrics.json").is_file():
        return _finished(folder, config)
    with locked(folder):
        record = _check_folder(folder, config, data, start)  # another run may have come and gone since
        if (folder / "metrics.json").is_file():
            return _finished(folder, config)
        for name in RUN_FILES:  # what killed runs were writing
            for partial in folder.glob(f"{PARTIAL}*.{name}"):
                partial.unlink()
        return _train(config, folder, progress, start, data, record)


def _train(config: TrainingConfig, folder: Path, progress: bool, start: Start | None, data: ReferenceData, record: str) -> TrainingResult:
    """Train in a folder that is this run's own; ``record`` is the content of its ``config.yaml``."""
    if start is not None:
        check_data(start, data)
    if config.tensorboard:
        _import_tensorboard()
    check_near_cutoff(config, data, start)
    frames = Frames.from_reference_data(data, config.target)
    assigned = config.split.assign(data.frame_groups)
    if start is None:
        check_training_set_is_complete(data, {data.frame_groups[number] for number in assigned["train"]})
    splits = {name: frames[indices] for name, indices in assigned.items() if len(indices)}
    keras.utils.set_random_seed(config.seed)
    potential = make_potential(config, data, splits["train"], start)
    labels = (*_labels(config, splits["train"]), *further_labels(config, potential.further_label_names, splits["train"].dipole is not None))
    check_total_charges_are_seen(potential, data)
    if start is None:
        check_charges_can_be_learnt(potential, data, labels)
        check_all_fits(potential, data)
    check_labels(potential, config, data)
    batches = {name: GraphBatches(potential, splits[name], labels, config.xla) for name in ("train", "validation") if name in splits}
    if config.keep_best and "validation" not in batches:
        raise InputError("keep_best: the split has no validation frames to tell the best weights by; give it some, or leave it out.")
    warn_of_shapes(config, batches["train"])
    compile_potential(potential, config, labels)
    write_text(folder / "config.yaml", record)
    _fit(potential, config, batches, folder, progress, loss_weights(config, labels))
    history = read_history(folder / "history.jsonl")
    potential = potential.copy_for_inference()
    of_atoms = has_reference(potential) and not (config.start_from and config.energy_reference == "mean")
    null_energy = None if of_atoms else float(np.mean(splits["train"].energies))
    metrics = [{"split": name, **row} for name, frames in splits.items() for row in evaluate(potential, frames, null_energy)]
    seconds = history[-1]["seconds"] if history else 0.0  # where its rows were damaged and removed
    potential.provenance |= {"training_seconds": round(seconds, 1), "errors": metrics}
    with whole_file(folder / "potential.keras") as partial:
        potential.save(partial)
    sealed = [row | {POTENTIAL_SHA256: sha256_of(folder / "potential.keras")} for row in metrics]
    write_text(folder / "metrics.json", json.dumps(sealed, indent=1))
    return TrainingResult(potential, metrics, history)


def _finished(folder: Path, config: TrainingConfig) -> TrainingResult:
    """What a finished run left, after checking that it is what the run wrote."""
    path, saved = folder / "metrics.json", folder / "potential.keras"
    anew = f"remove {path.name} and run the same command to write it and the potential anew from the checkpoint"
    try:
        metrics = json.loads(path.read_bytes())
        digests = {row.pop(POTENTIAL_SHA256, None) for row in metrics}
        complete = metrics and all(row.keys() >= {"split", "metric", "unit", "value", "null_model"} for row in metrics)
    except Exception as error:  # whatever JSON makes of damaged bytes
        raise DataFileError(f"{path}: damaged; {anew}.") from error
    if not complete or len(digests) > 1:
        raise DataFileError(f"{path}: damaged; {anew}.")
    potential, digest = load_potential(saved), digests.pop()
    errors = potential.provenance.get("errors", metrics)
    if digest not in (None, sha256_of(saved)):  # version 0.1 had none
        raise DataFileError(f"{saved}: not the potential that this run wrote; copy that one again, or {anew}.")
    if json.dumps(errors, sort_keys=True) != json.dumps(metrics, sort_keys=True):
        raise DataFileError(f"{path}: damaged, or the errors of another potential; {anew}.")
    history = read_history(folder / "history.jsonl")
    if not history:  # its rows were damaged, and were removed as the program said
        warnings.warn(f"{folder / 'history.jsonl'} has no rows.", stacklevel=3)
    elif history[-1]["step"] != config.steps:
        raise DataFileError(f"{folder / 'history.jsonl'}: damaged, it does not reach step {config.steps}; copy it again, or {anew}.")
    return TrainingResult(potential, metrics, history)


def make_potential(config: TrainingConfig, data: ReferenceData, training_frames: Frames, start: Start | None = None) -> Potential:
    """The potential of a configuration before its first step, untrained or that of ``start``, with its energy reference and provenance."""
    provenance = {
        "data": Path(data.source).name,
        "data_sha256": data.sha256,
        "level_of_theory": data.provenance.level_of_theory,
        "energy_reference": data.provenance.energy_reference,
        "total_charges": sorted({group.total_charge for group in data.groups}),
        "training": _with_file_names(config),
        "versions": {name: version(name) for name in ("amp_tf", "keras", "tensorflow", "numpy")},
    }
    provenance |= _molecule(training_frames, start)
    if config.energy_reference == "lowest" or (start is not None and config.energy_reference != "mean"):
        # the potential's own atomic energies do not fit the training set: they are lower, or beside what the network of a start gives
        symbols = start.potential.elements if start is not None else _elements(config, data)
        provenance[NULL_MODEL] = fit_atomic_energies(training_frames, symbols)
    ranges = training_ranges(training_frames.systems)
    if start is not None:
        before = start.potential.training_ranges
        seen = {"ranges": (ranges if before is None else ranges.merged(before)).model_dump(), "started_from": start.chain()}
        return _started(config, training_frames, start, provenance | seen)
    provenance["ranges"] = ranges.model_dump()
    settings = dict(config.model)
    model = MODELS[settings.pop("type")]
    settings.pop("elements", None)
    elements = _elements(config, data)
    try:
        reference = _reference(config, training_frames, elements)
        unit = None if config.target == ENERGY else data.unit_of(config.target)
        potential = model(
            elements=elements, provenance=provenance, target=config.target, target_unit=unit, **reference, **settings
        )  # fmt: skip
    except InputError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"model: {error}") from error
    if config.start_at_zero:
        potential.start_at_zero()
    n_atoms = np.array([len(system.atomic_numbers) for system in training_frames.systems])
    deviation = float(np.std(energy_residuals_of(potential, training_frames) / n_atoms))
    potential.scale_outputs(deviation if deviation > 0.0 else units.EV)
    if not config.start_at_zero:
        potential.start_charges(charges_of_ions(data.groups, elements))
    return potential


def _molecule(frames: Frames, start: Start | None) -> dict[str, Any]:
    """The provenance of the molecule that all data are of, those of the start too; empty where they are of several."""
    molecule = only_molecule(frames.systems)
    if molecule and start is not None:
        molecule = molecule.merged(training_molecule(start.potential.provenance))
    return {"molecule": molecule.model_dump(mode="json")} if molecule else {}


def _elements(config: TrainingConfig, data: ReferenceData) -> tuple[str, ...]:
    """Those of the configuration, otherwise of the data.

    Raises:
        InputError: if the configuration lacks one of the data.
    """
    present = [chemical_symbols[number] for number in sorted({int(number) for group in data.groups for number in group.qm_atomic_numbers})]
    chosen = tuple(config.model.get("elements", present))
    if lacking := [symbol for symbol in present if symbol not in chosen]:
        raise InputError(f"model.elements lacks {', '.join(lacking)}, which the data have; add it, or leave elements out.")
    return chosen


def energy_residuals_of(potential: Potential, frames: Frames) -> np.ndarray:
    """Energies less the sums of the potential's atomic energies, [n_frames], kJ/mol."""
    return frames.energies - potential.reference_energies(frames.systems)


def _reference(config: TrainingConfig, frames: Frames, elements: tuple[str, ...]) -> dict[str, Any]:
    """What is added to the network's values: the arguments of a potential that ``energy_reference`` asks for."""
    if config.energy_reference == "none" or config.target == DIPOLE_MOMENT:
        return {}
    if config.energy_reference == "mean":
        return {"constant": float(np.mean(frames.energies))}
    chosen = lowest_frames(frames) if config.energy_reference == "lowest" else frames
    return {"atomic_energies": fit_atomic_energies(chosen, elements)}


def _started(config: TrainingConfig, frames: Frames, start: Start, provenance: dict[str, Any]) -> Potential:
    """A copy of the start potential; to its atomic energies is added the least that fits what it leaves of the energies of ``frames``.

    An element that ``frames`` lack keeps its energy.
    """
    potential = start.potential
    if config.energy_reference == "lowest":
        frames = lowest_frames(frames)
    left_over = replace(frames, energies=energy_residuals(potential, frames))
    change = _reference(config, left_over, potential.elements)
    energies = {symbol: energy + change.get("atomic_energies", {}).get(symbol, 0.0) for symbol, energy in potential.atomic_energies.items()}
    reference = {"atomic_energies": energies, "constant": potential.constant + change.get("constant", 0.0)}
    started = type(potential).from_config(potential.get_config() | reference | {"provenance": provenance})
    started.set_weights(potential.get_weights())
    return started


ROW_OF_LABEL = {"energy": (1, 1), "total_charge": (1, 1), "nonhierarchicality": (1,)}
"""Shape of one system's or atom's label where it is no vector."""


def compile_potential(potential: Potential, config: TrainingConfig, labels: tuple[str, ...]) -> None:
    """Adam with exponential decay and clipping by the global norm, and the loss of Eq. 12, or PhysNet's
    (:mod:`amp_tf.training.losses`).

    Keras's mean squared errors are the two sums of Eq. 12: the mean over systems of the squared energy error, and the mean over all
    components of the squared gradient error (which for systems of one size is the sum over 3BN). The term of the MM gradients is formed
    like that of the QM gradients, times ``mm_gradient_factor``.
    """
    decay_rate = config.final_learning_rate / config.learning_rate
    schedule = keras.optimizers.schedules.ExponentialDecay(config.learning_rate, config.steps, decay_rate)
    averaging = {} if config.ema_momentum is None else {"use_ema": True, "ema_momentum": config.ema_momentum}
    optimizer = RampedAdam if config.ema_ramp else keras.optimizers.Adam
    error = keras.losses.MeanAbsoluteError if config.loss == "absolute" else keras.losses.MeanSquaredError
    potential.compile(
        optimizer=optimizer(
            schedule, beta_2=config.beta_2, epsilon=config.epsilon, amsgrad=config.amsgrad, global_clipnorm=config.clip_norm, **averaging
        ),
        loss={label: error(dtype=potential.compute_dtype) for label in labels},
        loss_weights=loss_weights(config, labels),
        metrics={label: [keras.metrics.MeanAbsoluteError(name="mae" if len(labels) > 1 else f"{label}_mae")] for label in labels},
        steps_per_execution=math.gcd(config.interval, 10),
        jit_compile=config.xla,
    )
    # Keras makes variables at the first use of optimizer, losses and metrics, and TensorFlow traces a step that makes variables twice
    potential.optimizer.build(potential.trainable_variables)
    example = {label: keras.ops.zeros(ROW_OF_LABEL.get(label, (1, 3)), potential.compute_dtype) for label in labels}
    potential.compute_loss(None, example, example)
    potential.compute_metrics(None, example, example)
    potential.reset_metrics()


def _labels(config: TrainingConfig, frames: Frames) -> tuple[str, ...]:
    """What is trained on: energies alone where the data have no QM gradients or ``gradient_weight`` is 0."""
    if config.gradient_weight == 0 or frames.qm_gradients is None:
        return ("energy",)
    return LABELS if frames.mm_gradients is not None and config.mm_gradient_factor > 0 else LABELS[:2]


def _fit(
    potential: Potential, config: TrainingConfig, batches: dict[str, GraphBatches], folder: Path, progress: bool,
    weights: dict[str, float],
) -> None:  # fmt: skip
    checkpoint = Checkpoint(folder, config.interval, config.steps)
    checkpoint.set_model(potential)
    first_step = checkpoint.restore()
    callbacks = [StopOnNaN()]
    if "validation" in batches:
        callbacks.append(Validation(batches["validation"], EVALUATION_BATCH, weights))
    best = None
    if config.keep_best:
        best = KeepBest(folder / BEST)
        callbacks.append(best)
    if progress:
        callbacks.append(Progress(config.steps, first_step))
    if config.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / "tensorboard")))
    try:
        potential.fit(
            batches["train"].training(config.batch_size, config.seed, config.steps, first_step),
            steps_per_epoch=config.interval,
            initial_epoch=first_step // config.interval,
            epochs=config.steps // config.interval,
            callbacks=[*callbacks, checkpoint],
            verbose=0,
            shuffle=False,
        )
        if best is not None:
            best.restore()
    except KeyboardInterrupt as error:
        raise TrainingError(f"interrupted; run the same command to go on from step {checkpoint.saved_step}.") from error
    except READ_ERROR as error:
        raised = next((part.read_error for part in batches.values() if part.read_error), error)
        reason = " ".join(str(raised).split())[:300]
        raise DataFileError(f"{config.data}: frames could not be read ({reason}); mend that and run the same command to go on.") from error
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written ({error}); mend that and run the same command to go on.") from error


def _import_tensorboard() -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError("tensorboard: true needs TensorBoard; install it with: pip install 'amp_tf[tensorboard]'") from error


def _check_folder(folder: Path, config: TrainingConfig, data: ReferenceData, start: Start | None) -> str:
    """The content of the folder's ``config.yaml`` for this run, after checking that no other run lives there."""
    record = _with_file_names(config) | {"data_sha256": data.sha256}
    if start is not None:
        record["start_from_sha256"] = start.sha256
    path = folder / "config.yaml"
    others = [name for name in RUN_FILES if (folder / name).is_file()]
    if others and not path.is_file():
        raise InputError(f"{folder} holds {', '.join(others)} but no config.yaml, so it is no run of ours; choose another run folder.")
    if path.is_file() and (differing := _differing_keys(_settings(path), record)):
        raise InputError(f"{folder} holds a run with another configuration or other data{_what_now(folder, config, differing)}.")
    return yaml.safe_dump(record, sort_keys=False)


def _with_file_names(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as plain JSON values, files by their names without folder."""
    return config.as_json() | {key: path.name for key in ("data", "start_from") if (path := getattr(config, key)) is not None}


def _differing_keys(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """The keys whose values differ and change a result; a run of an earlier version lacks keys that are at their defaults now."""
    defaults = {name: field.default for name, field in TrainingConfig.model_fields.items()}
    new = {key: value for key, value in new.items() if key in old or value != defaults.get(key)}
    keys = (old.keys() | new.keys()) - {"tensorboard"}
    return {key for key in keys if key not in old or key not in new or old[key] != new[key]}


def _what_now(folder: Path, config: TrainingConfig, differing: set[str]) -> str:
    """The end of the sentence that refuses a run folder: what differs, and what can be done."""
    keys = f" ({', '.join(sorted(differing))})"
    if differing <= SCHEDULE and (folder / "metrics.json").is_file():
        also = " start_at_zero=false" if config.start_at_zero else ""
        return f"{keys}; to train longer, start a run in another folder with start_from={folder / 'potential.keras'}{also}"
    return f"{keys}; choose another run folder or remove that one"


def _settings(path: Path) -> dict[str, Any]:
    """The content of a ``config.yaml``, empty if it is no mapping in YAML."""
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError):
        return {}
    return settings if isinstance(settings, dict) else {}
