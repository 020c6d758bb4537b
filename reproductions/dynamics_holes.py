"""Geometries into which a potential falls where bonds to hydrogen are stretched: frames that are worth a label, and are trained on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from amp_tf.data.reference_data import FrameGroup
from amp_tf.models import Potential
from amp_tf.progress import progress_bar
from amp_tf.simulation.collect import Collection
from amp_tf.simulation.solutes import Solute
from amp_tf.systems import System
from datasets.engines import Calculation, CalculationError, EmbeddingEngine
from datasets.for_dynamics import without_clashes
from reproductions.bond_scans import bonds_to_hydrogen, of_potential, relaxations, stretched_to

LENGTHS = tuple(np.round(np.arange(1.2, 2.61, 0.1), 2))
"""Of the stretched bonds, one after the other, angstrom."""

KEPT_FROM = 1.7
"""Shorter ones are on the way, angstrom."""

MOST_STEPS = 40
"""Of each relaxation; where it did not end, the next length goes on from there."""


def walks(potential: Potential, solute: Solute, snapshots: FrameGroup, n_walks: int, seed: int) -> Iterator[System]:
    """Stretch one bond of a snapshot step by step, all else relaxed on the potential's surface in the frozen water: where it goes.

    Args:
        potential: whose holes are looked for.
        solute: of the snapshots.
        snapshots: in water, of which each walk takes one at random.
        n_walks: number of bonds that are stretched.
        seed: of what is chosen at random: snapshots, bonds and, by a little, the lengths.
    """
    random, pairs = np.random.default_rng(seed), bonds_to_hydrogen(solute)
    for _ in progress_bar(range(n_walks), desc="stretched bonds", unit="bond"):
        frame = _calculation(solute, snapshots.system(int(random.integers(len(snapshots)))))
        hydrogen, partner = pairs[random.integers(len(pairs))]
        lengths = np.array(LENGTHS) + random.uniform(-0.05, 0.05, size=len(LENGTHS))
        way = np.concatenate([stretched_to(frame.positions, hydrogen, partner, length) for length in lengths])
        around = replace(without_clashes(replace(frame, positions=way)), positions=frame.positions)
        points = relaxations(of_potential(potential, solute, around), solute, frame.positions, hydrogen, partner, lengths, MOST_STEPS)
        for length, (atoms, _) in zip(lengths, points, strict=False):
            if length >= KEPT_FROM:
                yield System(solute.atomic_numbers, atoms.positions, float(solute.charge), around.mm_positions, around.mm_charges)


def _calculation(solute: Solute, system: System) -> Calculation:
    around = {"mm_positions": system.mm_positions, "mm_charges": system.mm_charges}
    return Calculation(solute.atomic_numbers, system.positions, charge=solute.charge, **around)


def collect_holes(path: Path, potential: Potential, solute: Solute, snapshots: FrameGroup, n_walks: int, seed: int = 0) -> Path:
    """Write where :func:`walks` lead to an extended xyz, the charges around beside it (:class:`amp_tf.simulation.collect.Collection`)."""
    collection = Collection(path, 0.0)
    for number, system in enumerate(walks(potential, solute, snapshots, n_walks, seed)):
        collection.keep(system, 1e-3 * number)
    collection.close()
    return path


def errors_in_holes(
    potential: Potential, engine: EmbeddingEngine, solute: Solute, snapshots: FrameGroup, n_walks: int, seed: int
) -> np.ndarray:
    """Errors of the potential's energies where :func:`walks` lead it, [n_frames], kJ/mol, nan where the label failed.

    Energies are those over the solute at its minimum, alone.
    """
    alone = Calculation(solute.atomic_numbers, solute.positions, charge=solute.charge)
    label_alone = engine.embedded(alone).energy
    (ours_alone,) = potential.compute_systems([System(solute.atomic_numbers, solute.positions, float(solute.charge))])["energy"]
    errors = []
    for system in walks(potential, solute, snapshots, n_walks, seed):
        try:
            label = engine.embedded(_calculation(solute, system)).energy - label_alone
        except CalculationError:
            label = np.nan
        errors.append(float(potential.compute_systems([system])["energy"][0] - ours_alone) - label)
    return np.array(errors)
