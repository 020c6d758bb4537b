"""Keras callbacks of a training run: crash-safe checkpoint and history, progress bar, stop on NaN."""

import json
import math
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from amp_tf import units
from amp_tf.data.pipeline import GraphBatches
from amp_tf.errors import DataFileError, TrainingError
from amp_tf.files import require_space, sha256_of, whole_file, write_text
from amp_tf.npz import read_npz
from amp_tf.progress import progress_bar

UNIT_OF_LABEL = {
    "energy": units.ENERGY, "qm_gradients": units.GRADIENT, "mm_gradients": units.GRADIENT, "dipole": units.DIPOLE,
    "total_charge": units.CHARGE, "nonhierarchicality": "",
}  # fmt: skip


SECONDS_BETWEEN_CHECKPOINTS = 30.0

CHECKPOINT_FILES = ("checkpoint.weights.h5", "previous.weights.h5", "checkpoint.sha256")
"""The last checkpoint, the one before it, and the sha256 of both."""

_BYTES_OF_A_NAME = 4096  # what HDF5 takes for a variable beside its values, at most


class Checkpoint(keras.callbacks.Callback):
    """After each validation a row of ``history.jsonl``, and now and then weights and optimizer state in one file, replaced atomically.

    A checkpoint is due at the first validation after :data:`SECONDS_BETWEEN_CHECKPOINTS`: a run killed at any moment loses at most that and
    one interval. The file is the old or the new checkpoint, never a part of one. The checkpoint before it is kept,
    and beside both their sha256: a damaged one is noticed, and the one before it is used.
    """

    def __init__(self, folder: Path, interval: int, steps: int):
        super().__init__()
        self.weights_path, self.previous_path, self.sums_path = (folder / name for name in CHECKPOINT_FILES)
        self.history_path, self.interval, self.steps = folder / "history.jsonl", interval, steps
        self._started = self._saved = time.perf_counter()
        self._sha256 = ""
        self.saved_step = 0

    def restore(self) -> int:
        """Load the last good checkpoint, if there is one, and cut the history to it; returns the number of finished steps.

        Raises:
            DataFileError: if the checkpoints, or the history, are damaged.
        """
        step, kept = 0, []
        if self._find_good():
            step = self.saved_step = self._load()
            kept = [row for row in read_history(self.history_path) if row["step"] <= step]
            self._started -= kept[-1]["seconds"] if kept else 0.0
            if [row["step"] for row in kept] != list(range(self.interval, step + 1, self.interval)):
                warnings.warn(f"{self.history_path} lacks rows of the {step} steps that the checkpoint has.", stacklevel=2)
        write_text(self.history_path, "".join(json.dumps(row) + "\n" for row in kept))
        return step

    def _find_good(self) -> bool:
        """Whether there is a checkpoint; a good one then stands at ``weights_path``."""
        found = [path for path in (self.weights_path, self.previous_path) if path.is_file()]
        if not found:
            return False
        if not self.sums_path.is_file():
            warnings.warn(f"{found[0]} has no sha256 beside it, as in version 0.1: going on from it unchecked.", stacklevel=3)
            return True
        sums = self.sums_path.read_bytes().decode(errors="replace").split()
        good = next((path for path in found if sha256_of(path) in sums), None)
        if good is None:
            if not sums or not all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in sums):
                raise DataFileError(f"{self.sums_path}: damaged; remove this file to go on from {found[0].name} unchecked.")
            raise DataFileError(
                f"{self.weights_path}: damaged (not of the recorded sha256); remove the run folder to train anew or, if only "
                f"{self.sums_path.name} is damaged, that file to go on unchecked."
            )
        if good != found[0]:
            warnings.warn(f"{found[0]} is damaged: going on from the checkpoint before it.", stacklevel=3)
        if good == self.previous_path:
            os.replace(self.previous_path, self.weights_path)
        return True

    def _load(self) -> int:
        self._sha256 = sha256_of(self.weights_path)
        try:
            self.model.load_weights(self.weights_path)
        except Exception as error:  # whatever Keras and h5py make of damaged bytes
            raise DataFileError(f"{self.weights_path}: damaged; remove the run folder to train anew.") from error
        step = int(self.model.optimizer.iterations.numpy())
        if step not in range(self.interval, self.steps + 1, self.interval) or not _all_finite(self._variables()):
            raise DataFileError(f"{self.weights_path}: damaged (step {step}, or values that are not finite); remove the run folder.")
        return step

    def on_epoch_end(self, epoch, logs=None):
        row = {"step": (epoch + 1) * self.interval, "seconds": time.perf_counter() - self._started}
        with open(self.history_path, "a") as file:
            file.write(json.dumps(row | {name: float(value) for name, value in (logs or {}).items()}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if time.perf_counter() - self._saved >= SECONDS_BETWEEN_CHECKPOINTS:
            self._save()

    def _save(self) -> None:
        if not _all_finite(self._variables()):
            raise TrainingError(_not_finite("the weights", self.model))
        with whole_file(self.weights_path) as partial:
            require_space(partial, sum(variable.numpy().nbytes + _BYTES_OF_A_NAME for variable in self._variables()))
            self.model.save_weights(partial, overwrite=True)
            before, self._sha256 = self._sha256, sha256_of(partial)
            write_text(self.sums_path, f"{self._sha256}\n{before}\n")  # of both, so that a kill at any moment leaves a good one
            if before:
                os.replace(self.weights_path, self.previous_path)
        self._saved, self.saved_step = time.perf_counter(), int(self.model.optimizer.iterations.numpy())

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]


def _all_finite(variables: Iterable[keras.Variable]) -> bool:
    return all(np.all(np.isfinite(variable.numpy())) for variable in variables)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a history file; a last line that was cut off is left out.

    Raises:
        DataFileError: if another line is no row.
    """
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    rows = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
            row["step"], row["seconds"] = int(row["step"]), float(row["seconds"])
            if not math.isfinite(row["seconds"]):
                raise ValueError("seconds")
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataFileError(f"{path}, line {number}: damaged; remove this file to go on without the rows that it held.") from error
        rows.append(row)
    return rows


class Validation(keras.callbacks.Callback):
    """Mean absolute errors on validation data after each interval, into the logs as ``val_<label>_mae``; stands before what reads the logs.

    ``val_loss`` is their sum with the weights of the loss, from which the best weights are told.

    With averaged weights (``ema_momentum``) these are validated. Keras's own validation is not used: it cannot be combined with several
    training steps per call of the compiled function. Frames of one shape are evaluated with XLA.
    """

    def __init__(self, batches: GraphBatches, batch_size: int, weights: Mapping[str, float]):
        super().__init__()
        self._batches, self._dataset, self._absolute_errors = batches, batches.evaluation(batch_size), None
        self._weights = dict(weights)

    def on_epoch_end(self, epoch, logs=None):
        if self._absolute_errors is None:
            signature, one_shape = self._dataset.element_spec, self._batches.one_shape
            self._absolute_errors = tf.function(self._sums, input_signature=signature, jit_compile=one_shape, autograph=False)
        averaging = keras.callbacks.SwapEMAWeights() if self.model.optimizer.use_ema else keras.callbacks.Callback()
        averaging.set_model(self.model)
        averaging.on_test_begin()
        sums = [self._absolute_errors(graph, labels) for graph, labels in self._dataset]
        averaging.on_test_end()
        for label in (label for label in sums[0] if self._batches.n_values[label]):
            logs[f"val_{label}_mae"] = sum(float(batch[label]) for batch in sums) / self._batches.n_values[label]
        logs["val_loss"] = sum(weight * logs.get(f"val_{label}_mae", 0.0) for label, weight in self._weights.items())

    def _sums(self, graph, labels):
        predictions = self.model.predict_labels(graph, labels)
        return {label: tf.reduce_sum(tf.abs(predictions[label] - values)) for label, values in labels.items()}


class KeepBest(keras.callbacks.Callback):
    """Keep the weights of the lowest ``val_loss`` in a file, with that loss; stands between validation and checkpoint.

    Args:
        path: of the weights, those of a run that goes on.

    Raises:
        DataFileError: if they are damaged.
    """

    def __init__(self, path: Path):
        super().__init__()
        self._path = path
        self._lowest = float(self._read()["val_loss"]) if path.is_file() else math.inf

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self._lowest:
            self._lowest = logs["val_loss"]
            averaging = keras.callbacks.SwapEMAWeights() if self.model.optimizer.use_ema else keras.callbacks.Callback()
            averaging.set_model(self.model)
            averaging.on_test_begin()
            weights = self.model.get_weights()
            averaging.on_test_end()
            with whole_file(self._path) as partial:
                np.savez(partial, *weights, val_loss=np.array(self._lowest))

    def restore(self) -> None:
        """Give the model the best weights.

        Raises:
            DataFileError: if their file is damaged, or no validation loss was a number.
        """
        if not self._path.is_file():
            raise DataFileError(
                f"keep_best: {self._path} is not there; it was removed, or no validation loss was finite: look for outliers in the data."
            )
        arrays = self._read()
        try:
            self.model.set_weights([arrays[f"arr_{number}"] for number in range(len(arrays) - 1)])
        except (KeyError, ValueError) as error:
            raise DataFileError(f"{self._path}: holds the weights of another model; remove the run folder to train anew.") from error

    def _read(self) -> dict[str, np.ndarray]:
        try:
            return read_npz(self._path, ("val_loss",))
        except DataFileError as error:
            raise DataFileError(f"{self._path}: damaged; remove the run folder to train anew.") from error


class Progress(keras.callbacks.Callback):
    """A progress bar over all steps with rate, time left, loss, and errors in their units."""

    def __init__(self, steps: int, first_step: int):
        super().__init__()
        self._bar = progress_bar(total=steps, initial=first_step, unit="step", smoothing=0.1)
        self._validation: dict[str, str] = {}

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(int(self.model.optimizer.iterations.numpy()) - self._bar.n)
        self._bar.set_postfix({"loss": f"{logs['loss']:.3g}"} | _errors(self.model, logs, "", "MAE") | self._validation, refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        self._validation = _errors(self.model, logs or {}, "val_", "validation MAE")

    def on_train_end(self, logs=None):
        self._bar.close()


def _not_finite(what: str, model: keras.Model) -> str:
    return (
        f"{what} became NaN or infinite before step {int(model.optimizer.iterations.numpy())}: lower learning_rate or coefficient_scale, "
        "or look for outliers in the data; the last checkpoint is untouched."
    )


def _errors(model, logs: dict[str, float], prefix: str, title: str) -> dict[str, str]:
    """``title`` of each label in its unit, from Keras's logs, where all that is trained but gradients is called energy."""
    keys = {f"{prefix}{label}_mae": (label, unit) for label, unit in UNIT_OF_LABEL.items()}
    keys[f"{prefix}energy_mae"] = model.target, model.target_unit
    return {f"{title} {name}": f"{logs[key]:.3g} {unit}" for key, (name, unit) in keys.items() if key in logs}


class StopOnNaN(keras.callbacks.Callback):
    """Raise :class:`~amp_tf.errors.TrainingError` as soon as the loss is NaN or infinite; the last checkpoint stays as it is."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise TrainingError(_not_finite("the loss", self.model))
