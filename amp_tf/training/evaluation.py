"""Errors of a potential on reference data, beside those of the null model."""

from typing import Any

import numpy as np

from amp_tf.data.pipeline import Frames
from amp_tf.models import Potential
from amp_tf.training.callbacks import UNIT_OF_LABEL


def predict(potential: Potential, frames: Frames, batch_size: int = 100) -> dict[str, list[np.ndarray]]:
    """Energies and gradients of all frames, computed ``batch_size`` systems at a time; keys as in :meth:`Potential.compute`."""
    results = [potential.compute_systems(frames.systems[start : start + batch_size]) for start in range(0, len(frames), batch_size)]
    return {
        key: [value for result in results for value in result[key]]
        for key in ("energy", "qm_gradients", "mm_gradients")
        if key in results[0]
    }


def evaluate(potential: Potential, frames: Frames, mean_energy: float | None = None) -> list[dict[str, Any]]:
    """Mean absolute errors.

    Args:
        potential: the model.
        frames: the data.
        mean_energy: what the null model predicts, kJ/mol; by default the mean of ``frames``. Its gradients are zero.

    Returns:
        A record a label: ``metric``, ``unit``, ``value`` and ``null_model``.
    """
    predicted = predict(potential, frames)
    mean_energy = float(np.mean(frames.energies)) if mean_energy is None else mean_energy
    rows = [_row("energy", np.array(predicted["energy"]), frames.energies, mean_energy)]
    for label in ("qm_gradients", "mm_gradients"):
        reference = getattr(frames, label)
        if reference is not None:
            rows.append(_row(label, np.concatenate(predicted[label]), np.concatenate(reference), 0.0))
    return rows


def _row(label: str, predicted: np.ndarray, reference: np.ndarray, null: float) -> dict[str, Any]:
    return {
        "metric": f"{label}_mae",
        "unit": UNIT_OF_LABEL[label],
        "value": float(np.mean(np.abs(predicted - reference))),
        "null_model": float(np.mean(np.abs(null - reference))),
    }
