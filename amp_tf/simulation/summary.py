"""The summary of a run: drift, temperatures, bonds, radial distribution functions, as numbers and as a figure."""

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from amp_tf.errors import DataFileError
from amp_tf.simulation.observables import Curves, RadialDistributions, bond_lengths, bond_names, bonded_pairs, read_trajectory
from amp_tf.simulation.scene import Scene

BROKEN = 1.5
"""A bond longer than this part of its first length is called broken."""

BINS_TOGETHER = 4
"""Of distribution functions, in the figure: a short run tells no more."""

NEAR_PEAK = 0.15
"""A peak's parabola goes through the bins so close to the highest one, angstrom."""


def sum_up(folder: Path, scene: Scene) -> tuple[dict[str, Any], Curves]:
    """Write ``summary.png``; returns the numbers, and the radial distribution functions.

    Args:
        folder: of the run, with ``energies.csv`` and ``trajectory.dcd``.
        scene: what was simulated.

    Raises:
        DataFileError: if a file is damaged.
    """
    table = _read_table(folder / "energies.csv")
    times, total = table["time_ps"], table["total_energy_kj_per_mol"]
    line = np.polyfit(times, total, 1) if len(times) > 2 else (0.0, total.mean())
    pairs, names = bonded_pairs(scene.solute), bond_names(scene.solute)
    distributions, of_chunks = RadialDistributions(scene.solute, scene.atoms, scene.waters), []
    for frames in read_trajectory(folder / "trajectory.dcd", scene.topology):
        of_chunks.append(bond_lengths(frames, scene.atoms, pairs))
        if frames.unitcell_vectors is not None:
            distributions.add(frames)
    lengths, curves = np.concatenate(of_chunks), distributions.curves()
    summary = {
        "picoseconds": float(times[-1]),
        "frames": len(times),
        "total_energy_drift_kj_per_mol_per_ps": float(line[0]),
        "total_energy_rms_about_the_line_kj_per_mol": float(np.std(total - np.polyval(line, times))),
        "solute_temperature_k": float(table["solute_temperature_k"].mean()),
        "surroundings_temperature_k": float(table["surroundings_temperature_k"].mean()),
        "longest_bond_by_its_start": float(table["longest_bond_by_its_start"].max()),
        "whole": bool(table["longest_bond_by_its_start"].max() < BROKEN),
        "bonds": {
            name: {"mean": float(of_bond.mean()), "longest": float(of_bond.max())} for name, of_bond in zip(names, lengths.T, strict=True)
        },
        "first_peaks": {key: first_peak(*curve) for key, curve in curves.items()},
    }
    _draw(folder / "summary.png", table, lengths, names, curves)
    return summary, curves


def _read_table(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table by name.

    Raises:
        DataFileError: if it is damaged.
    """
    try:
        with open(path, newline="") as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        return {key: np.array([row[key] for row in rows]) for key in rows[0]}
    except (ValueError, TypeError, KeyError, IndexError, csv.Error) as error:
        raise DataFileError(f"{path}: damaged; copy it again, or delete it and checkpoint.npz to start anew.") from error


def first_peak(distances: np.ndarray, values: np.ndarray) -> dict[str, float] | None:
    """Place and height of the first maximum above 0.5 that the next half angstrom does not exceed: of the parabola through what is near it,
    since a bin is a coarse and noisy place."""
    step = distances[1] - distances[0]
    width, near = round(0.5 / step), max(1, round(NEAR_PEAK / step))
    for place in range(len(values) - width):
        if values[place] > 0.5 and values[place] == values[max(0, place - width) : place + width + 1].max():
            around = slice(max(0, place - near), place + near + 1)
            second, first, height = np.polyfit(distances[around] - distances[place], values[around], 2)
            shift = -0.5 * first / second if second < 0.0 else 0.0
            if not 0.0 < abs(shift) < NEAR_PEAK:
                return {"angstrom": float(distances[place]), "g": float(values[place])}
            return {"angstrom": float(distances[place] + shift), "g": float(height + 0.5 * first * shift)}
    return None


def _coarse(values: np.ndarray) -> np.ndarray:
    """Means of :data:`BINS_TOGETHER` neighbours each."""
    n = len(values) // BINS_TOGETHER
    return values[: n * BINS_TOGETHER].reshape(n, BINS_TOGETHER).mean(axis=1)


def _draw(path: Path, table: dict[str, np.ndarray], lengths: np.ndarray, names: list[str], curves: Curves) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 6.0), layout="constrained")
    times = table["time_ps"]
    for key, label in {"total_energy_kj_per_mol": "total", "solute_energy_kj_per_mol": "solute in its field"}.items():
        axes[0, 0].plot(times, table[key] - table[key][0], linewidth=0.8, label=label)
    axes[0, 0].set(xlabel="time (ps)", ylabel="energy less its start (kJ mol$^{-1}$)")
    for key, label in {"solute_temperature_k": "solute", "surroundings_temperature_k": "surroundings"}.items():
        if np.any(np.isfinite(table[key])):
            axes[0, 1].plot(times, table[key], linewidth=0.8, label=label)
    axes[0, 1].set(xlabel="time (ps)", ylabel="temperature (K)")
    for name, of_bond in zip(names, lengths.T, strict=True):
        axes[1, 0].plot(times, of_bond, linewidth=0.6, label=name)
    axes[1, 0].set(xlabel="time (ps)", ylabel="bond lengths (Å)")
    for key, curve in curves.items():
        kind, _, site = key.partition("-")
        if site == "O":
            axes[1, 1].plot(*(_coarse(values) for values in curve), linewidth=1.0, label=kind)
    axes[1, 1].set(xlabel="distance (Å)", ylabel="g(r), solute – oxygen of water")
    axes[1, 1].set_visible(bool(curves))  # a molecule alone has none
    for axis in axes.flat:
        if 0 < len(axis.get_legend_handles_labels()[0]) <= 8:
            axis.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)
