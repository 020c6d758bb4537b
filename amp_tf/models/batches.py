"""Many systems, computed a batch at a time."""

from collections.abc import Iterator, Sequence

import numpy as np

from amp_tf.models.potential import Potential
from amp_tf.systems import System, naming
from amp_tf.targets import ENERGY

BATCH = 100

MAXIMUM_PAIRS = 100_000
"""QM-MM pairs that are evaluated at once; in the paper's learnt form each takes some six kilobytes."""


def compute_all(potential: Potential, systems: Sequence[System], everything: bool = False) -> dict[str, list[np.ndarray]]:
    """Energies and gradients of all systems, computed up to :data:`BATCH` at a time; keys as in :meth:`Potential.compute`.

    With ``everything`` also the properties of atoms and the dipoles, where the potential has them.
    """
    results, first = [], 0
    for batch in batches(systems):
        with naming(f"frames {first} to {first + len(batch) - 1}"):
            results.append(potential.compute_systems(batch, gradients=potential.target == ENERGY))
        first += len(batch)
    keys = ("energy", "qm_gradients", "mm_gradients") + (("charges", "dipole") if everything else ())
    return {key: [value for result in results for value in result[key]] for key in keys if key in results[0]}


def batches(systems: Sequence[System]) -> Iterator[list[System]]:
    """The systems in order, with at most :data:`MAXIMUM_PAIRS` QM-MM pairs at a time unless one system has more."""
    batch, n_pairs = [], 0
    for system in systems:
        more = len(system.atomic_numbers) * len(system.mm_charges)
        if batch and (len(batch) == BATCH or n_pairs + more > MAXIMUM_PAIRS):
            yield batch
            batch, n_pairs = [], 0
        batch.append(system)
        n_pairs += more
    yield batch
