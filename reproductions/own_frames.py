"""What a potential is worth on the frames of its own dynamics: errors there, and whether its forces on the nearest water explain where this
stands."""

from collections.abc import Iterator, Mapping

import numpy as np

from amp_tf import units
from amp_tf.simulation.dynamics import Run
from amp_tf.simulation.observables import kinds_of_atoms, read_trajectory
from amp_tf.simulation.water_box import WATER_CHARGES
from amp_tf.systems import System
from common.results import Row, row
from datasets.engines import Calculation, CalculationError
from datasets.qmmm_sampling import embedded_zone
from reproductions.dynamics_task import Task

SHELLS = {"H(N)": 2.5, "H(O)": 2.5, "O": 3.3}
"""The nearest water molecule of an atom of these kinds is at it where its oxygen atom is this close, angstrom."""


def errors_on_own_frames(task: Task, run: Run, n_frames: int) -> list[Row]:
    """Mean absolute errors of energies and gradients on frames of a run in water, spread evenly, against the labels' engine; and, for each
    kind of :data:`SHELLS`, the mean difference of the forces F that pull the nearest water molecule, whole, away from its atom.

    A harmonic potential of mean force whose distance has the variance s² moves by F s² / kT under a force F.
    """
    solute, engine = task.solute, task.engine
    zero = engine.energy(Calculation(solute.atomic_numbers, solute.positions, charge=solute.charge))
    kinds = kinds_of_atoms(solute)
    energies, qm_gradients, mm_gradients = [], [], []
    forces: dict[str, list[float]] = {}
    lengths: dict[str, list[float]] = {}
    for qm, mm in _frames(run, n_frames):
        charges = np.tile(WATER_CHARGES, len(mm) // 3)
        try:
            label = engine.embedded(Calculation(solute.atomic_numbers, qm, charge=solute.charge, mm_positions=mm, mm_charges=charges))
        except CalculationError as error:
            print(f"left out: a frame of the run in water ({error})", flush=True)
            continue
        ours = task.potential.compute_systems([System(solute.atomic_numbers, qm, float(solute.charge), mm, charges)])
        mm_differences = ours["mm_gradients"][0] - label.mm_gradients
        energies.append(abs(ours["energy"][0] - (label.energy - zero)))
        qm_gradients.append(np.abs(ours["qm_gradients"][0] - label.qm_gradients).mean())
        mm_gradients.append(np.abs(mm_differences).mean())
        off = -mm_differences.reshape(-1, 3, 3).sum(axis=1)
        for place, kind in enumerate(kinds):
            apart = mm[::3] - qm[place]
            distances = np.linalg.norm(apart, axis=1)
            nearest = int(np.argmin(distances))
            if distances[nearest] < SHELLS.get(kind, 0.0):
                forces.setdefault(kind, []).append(off[nearest] @ apart[nearest] / distances[nearest])
                lengths.setdefault(kind, []).append(distances[nearest])
    who = {"measure": f"{len(energies)} frames of the run in water"}
    return [
        row("energy_mae", "kJ/mol", float(np.mean(energies)), None, **who),
        row("qm_gradients_mae", "kJ/mol/angstrom", float(np.mean(qm_gradients)), None, **who),
        row("mm_gradients_mae", "kJ/mol/angstrom", float(np.mean(mm_gradients)), None, **who),
        *_forces(forces, lengths, run.dynamics.temperature),
    ]


def _forces(forces: Mapping[str, list[float]], lengths: Mapping[str, list[float]], temperature: float) -> Iterator[Row]:
    for kind, found in forces.items():
        per_force = float(np.var(lengths[kind])) / (units.GAS_CONSTANT * temperature)
        mean, error = float(np.mean(found)), float(np.std(found) / np.sqrt(len(found)))
        about = {"measure": f"water nearest to {kind}"}
        yield row("mean_force_error", "kJ/mol/angstrom", mean, None, **about, uncertainty=error)
        yield row("shift_by_it", "angstrom", per_force * mean, None, **about, uncertainty=per_force * error)


def _frames(run: Run, n_frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of the solute and of the whole water molecules within the zone, angstrom."""
    scene, dynamics = run.scene, run.dynamics
    n_saved = dynamics.n_frames
    chosen, number = set(np.linspace(0, n_saved - 1, min(n_frames, n_saved)).round().astype(int).tolist()), 0
    for frames in read_trajectory(run.trajectory, scene.topology):
        for positions, edges in zip(10.0 * frames.xyz.astype(float), 10.0 * frames.unitcell_lengths, strict=True):
            if number in chosen:
                yield embedded_zone(positions, 3 * len(scene.waters), float(edges[0]), dynamics.zone)[:2]
            number += 1
