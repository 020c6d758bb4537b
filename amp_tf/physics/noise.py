"""How far rounding moves energies and forces of a molecule, measured."""

from dataclasses import dataclass

import numpy as np

from amp_tf.physics.subject import Molecule, Subject

POINTS, SPACING, OF_COORDINATES = 33, 1e-6, 4.0 * float(np.finfo(np.float32).eps)
"""Geometries along a random direction, and how far each is from the next, angstrom, or as a part of the largest coordinate where that is
more, so that positions in single precision are all rounded anew: a smooth energy is a parabola there."""

REPEATS = 5

FEWEST, WIDER = 8, (1e-5, 1e-4, 1e-3)
"""Where so few of the energies differ, they come in steps; these show with geometries that are so far apart, angstrom."""


@dataclass(frozen=True)
class Noise:
    """Root mean squares.

    Attributes:
        energy: eV.
        forces: of a component, eV/angstrom.
        repeats: largest difference of the energy between calls for one geometry, eV.
    """

    energy: float
    forces: float
    repeats: float


def measured_noise(subject: Subject, molecule: Molecule, random: np.random.Generator) -> Noise:
    """Of energies and forces about a parabola over geometries that are almost the same, and between repeated calls."""
    direction = random.normal(size=molecule.positions.shape)
    direction /= np.linalg.norm(direction)
    spacing = max(SPACING, OF_COORDINATES * float(np.abs(molecule.positions).max()))
    steps = spacing * (np.arange(POINTS) - POINTS // 2)
    found = [subject.both(molecule.at(molecule.positions + step * direction)) for step in steps]
    energies, forces = np.array([energy for energy, _ in found]), np.array([force.ravel() for _, force in found])
    same = [subject.energy(molecule) for _ in range(REPEATS)]
    spread = float(np.ptp(same))
    resolution = float(np.finfo(np.float32 if any("float32" in name for name in subject.returned) else np.float64).eps)
    energy = max(_about_parabola(steps, energies[:, None]), resolution * float(np.abs(energies).max()), spread)
    if len(np.unique(energies)) < FEWEST:
        energy = max(energy, _step_of_energies(subject, molecule, direction) / np.sqrt(12.0))
    return Noise(energy, _about_parabola(steps, forces), spread)


def _step_of_energies(subject: Subject, molecule: Molecule, direction: np.ndarray) -> float:
    """The smallest difference of two energies that are not the same, eV: of single precision that was made double, its last digit."""
    gaps = np.zeros(0)
    for spacing in WIDER:
        steps = spacing * (np.arange(POINTS) - POINTS // 2)
        found = np.unique([subject.energy(molecule.at(molecule.positions + step * direction)) for step in steps])
        gaps = np.diff(found)
        if len(found) >= FEWEST:
            break
    return float(gaps.min()) if len(gaps) else 0.0


def _about_parabola(steps: np.ndarray, values: np.ndarray) -> float:
    """Root mean square of the values [n_steps, n] about a parabola for each column."""
    x = steps / steps.max()
    from_mean = values - values.mean(axis=0)  # of totals of thousands of eV little is left otherwise
    design = np.stack([np.ones_like(x), x, x**2], axis=1)
    rest = from_mean - design @ np.linalg.lstsq(design, from_mean, rcond=None)[0]
    return float(np.sqrt(np.sum(rest**2) / ((len(x) - 3) * values.shape[1])))
