"""Geometries into which a potential falls where bonds to hydrogen are stretched: frames that are worth a label, and are trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amp_tf.models import Potential
from amp_tf.progress import progress_bar
from amp_tf.simulation.collect import Collection
from amp_tf.simulation.solutes import Solute
from amp_tf.systems import System
from datasets.engines import Calculation
from datasets.for_dynamics import without_clashes
from reproductions.bond_scans import bonds_to_hydrogen, of_potential, relaxations, stretched_to

LENGTHS = tuple(np.round(np.arange(1.2, 2.61, 0.1), 2))
"""Of the stretched bonds, one after the other, angstrom."""

KEPT_FROM = 1.7
"""Shorter ones are on the way, angstrom."""

MOST_STEPS = 40
"""Of each relaxation; where it did not end, the next length goes on from there."""


def collect_holes(path: Path, potential: Potential, solute: Solute, snapshots: Sequence[Calculation], n_walks: int, seed: int = 0) -> Path:
    """Stretch one bond of a snapshot step by step, all else relaxed on the potential's surface in the frozen water, and keep where it goes.

    Args:
        path: of the extended xyz that is written, the charges around beside it (:class:`amp_tf.simulation.collect.Collection`).
        potential: whose holes are looked for.
        solute: of the snapshots.
        snapshots: in water.
        n_walks: number of bonds that are stretched, each in a snapshot of its own.
        seed: of what is chosen at random: snapshots, bonds and, on the way, the lengths.

    Returns:
        ``path``.
    """
    random, pairs = np.random.default_rng(seed), bonds_to_hydrogen(solute)
    collection = Collection(path, 0.0)
    for number in progress_bar(range(n_walks), desc="stretched bonds", unit="bond"):
        frame = snapshots[random.integers(len(snapshots))]
        hydrogen, partner = pairs[random.integers(len(pairs))]
        lengths = np.array(LENGTHS) + random.uniform(-0.05, 0.05, size=len(LENGTHS))
        way = np.concatenate([stretched_to(frame.positions, hydrogen, partner, length) for length in lengths])
        around = replace(without_clashes(replace(frame, positions=way)), positions=frame.positions)
        points = relaxations(of_potential(potential, solute, around), solute, frame.positions, hydrogen, partner, lengths, MOST_STEPS)
        for step, (length, (atoms, _)) in enumerate(zip(lengths, points, strict=False)):
            if length >= KEPT_FROM:
                system = System(solute.atomic_numbers, atoms.positions, float(solute.charge), around.mm_positions, around.mm_charges)
                collection.keep(system, 1e-3 * (number * len(LENGTHS) + step), length=round(float(length), 3))
    collection.close()
    return path
