"""Errors of a potential on reference data, beside those of the null model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from amp_tf.data.pipeline import Frames
from amp_tf.models import Potential
from amp_tf.models.batches import batches
from amp_tf.systems import System
from amp_tf.targets import ENERGY
from amp_tf.training.callbacks import UNIT_OF_LABEL

NULL_MODEL = "null_model_atomic_energies"
"""The key of a potential's provenance for what :func:`null_energies` sums, where that is not what its energies are counted from."""


def energy_residuals(potential: Potential, frames: Frames) -> np.ndarray:
    """What the potential leaves of the energies, reference less predicted, [n_frames] float64, kJ/mol."""
    return frames.energies - np.concatenate(
        [potential.compute_systems(batch, gradients=False)["energy"] for batch in batches(frames.systems)]
    )


def evaluate(potential: Potential, frames: Frames, null_energy: float | None = None) -> list[dict[str, Any]]:
    """Mean absolute errors.

    Args:
        potential: the model.
        frames: the data.
        null_energy: what the null model predicts for every frame, kJ/mol. By default it predicts the sum of atomic energies, those that
            fit the potential's training set best, or the mean of ``frames`` where the potential has none. Its gradients are zero.

    Returns:
        A record for each label of which ``frames`` have a value: ``metric``, ``unit``, ``value`` and ``null_model``.
    """
    from_atoms = null_energy is None and has_reference(potential)
    if null_energy is None and not from_atoms:
        null_energy = float(np.mean(frames.energies))
    is_energy = potential.target == ENERGY
    known = [
        "energy",
        *(["qm_gradients", "mm_gradients"] if is_energy else []),
        *(["dipole"] if "dipole" in potential.further_label_names else []),
    ]
    labels = [label for label in known if label == "energy" or getattr(frames, label) is not None]
    sums = {label: np.zeros(3) for label in labels}  # absolute errors, those of the null model, how many
    first = 0
    for batch in batches(frames.systems):
        predicted = potential.compute_systems(batch, gradients=is_energy)
        numbers = range(first, first + len(batch))
        first += len(batch)
        for label in labels:
            if label == "energy":
                found, reference = predicted[label], frames.energies[numbers]
                null = null_energies(potential, batch) if from_atoms else null_energy
            else:
                reference = np.concatenate([getattr(frames, label)[number] for number in numbers])
                found, null = np.concatenate(predicted[label]), 0.0
            sums[label] += np.abs(found - reference).sum(), np.abs(null - reference).sum(), reference.size
    named = {label: (label, unit) for label, unit in UNIT_OF_LABEL.items()} | {"energy": (potential.target, potential.target_unit)}
    return [
        {"metric": f"{named[label][0]}_mae", "unit": named[label][1], "value": float(error / count), "null_model": float(null / count)}
        for label, (error, null, count) in sums.items()
        if count
    ]


def null_energies(potential: Potential, systems: Sequence[System]) -> np.ndarray:
    """Sums of atomic energies that fit the training set best, [n_systems], kJ/mol: the potential's own, unless it has lower ones
    (``energy_reference: lowest``)."""
    energies = potential.provenance.get(NULL_MODEL)
    if energies is None:
        return potential.reference_energies(systems)
    return np.array([sum(energies[chemical_symbols[number]] for number in system.atomic_numbers) for system in systems])


def has_reference(potential: Potential) -> bool:
    """Whether anything is added to what the network gives."""
    return any(potential.atomic_energies.values()) or potential.constant != 0.0
