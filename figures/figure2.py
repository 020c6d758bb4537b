"""Figure 2: energy of the water dimer over the angle for three cut-offs, reference in grey, graph topology as inset."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from figures.style import COLORS, save

PANELS = {"A": (8.0, ("AMP(1)", "AMP(2)")), "B": (4.25, ("AMP(1)", "AMP(2)")), "C": (2.0, ("AMP(2)", "AMP(2)-DP"))}
STYLES = {"AMP(1)": "-", "AMP(2)": "--", "AMP(2)-DP": "-"}
ATOMS = {
    "O1": (0.0, 0.0), "H1": (-0.586, 0.757), "H2": (-0.586, -0.757), "O2": (4.0, 0.0), "H3": (4.586, 0.757), "H4": (4.586, -0.757),
}  # fmt: skip
"""The planar dimer, O-O axis to the right, angstrom: for the insets alone."""


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the content of ``figure2.<preset>.json``; each model by the seed of median error, the other seeds as thin lines."""
    figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.9), sharey=True, layout="constrained")
    angle, reference = (np.array(result["reference"][key]) for key in ("angle", "energy"))
    reference = 1000 * (reference - reference.mean())
    for axis, (panel, (cutoff, models)) in zip(axes, PANELS.items(), strict=True):
        axis.plot(angle, reference, color=COLORS["reference"], linewidth=5, solid_capstyle="round", label="DF-MP2")
        for model in models:
            _draw_model(axis, result, panel, model, angle)
        axis.set_title(f"{panel}   $r_\\mathrm{{cut}}$ = {cutoff:g} Å", loc="left", fontsize=9)
        axis.set(xlabel="angle (degrees)", xticks=[0, 90, 180, 270, 360], xlim=(0, 360), ylim=(-250, 800), yticks=[-200, 0, 200])
        axis.legend(loc="center", bbox_to_anchor=(0.5, 0.6), fontsize=7, handlelength=1.8, labelspacing=0.3)
        _draw_topology(axis, cutoff)
    axes[0].set_ylabel("potential energy (J mol$^{-1}$)", loc="bottom")
    return save(figure, "figure2", result["preset"], folder)


def _draw_model(axis: Axes, result: dict[str, Any], panel: str, model: str, angle: np.ndarray) -> None:
    curves = {entry["seed"]: np.array(entry["energy"]) for entry in result["curves"] if (entry["panel"], entry["model"]) == (panel, model)}
    errors = {
        entry["seed"]: entry["value"]
        for entry in result["rows"]
        if entry["metric"] == "test_mae" and (entry["panel"], entry["model"]) == (panel, model)
    }
    order = sorted(errors, key=errors.get)
    median = order[len(order) // 2]
    mean = np.mean(result["reference"]["energy"])
    for seed, curve in curves.items():
        is_median = seed == median
        axis.plot(
            angle, 1000 * (curve - mean), STYLES[model], color=COLORS[model],
            linewidth=1.4 if is_median else 0.4, alpha=1.0 if is_median else 0.5,
            label=f"{model}: {_rounded(errors[seed])} J/mol" if is_median else None, zorder=3 if is_median else 2,
        )  # fmt: skip


def _rounded(error: float) -> str:
    """Two significant digits, and whole numbers from 100 on."""
    return f"{error:.0f}" if error >= 100 else f"{error:.2g}"


def _draw_topology(axis: Axes, cutoff: float) -> None:
    """The dimer with the edges of its graph, at the top."""
    inset = axis.inset_axes((0.1, 0.76, 0.8, 0.24))
    names = list(ATOMS)
    points = np.array([ATOMS[name] for name in names])
    for first in range(len(names)):
        for second in range(first):
            if np.linalg.norm(points[first] - points[second]) < cutoff:
                inset.plot(*points[[first, second]].T, color="0.75", linewidth=0.7, zorder=1)
    is_oxygen = [name.startswith("O") for name in names]
    inset.scatter(
        *points.T, s=[34 if oxygen else 16 for oxygen in is_oxygen], c=["#d33" if oxygen else "white" for oxygen in is_oxygen],
        edgecolors="0.2", linewidths=0.7, zorder=2,
    )  # fmt: skip
    inset.set(aspect="equal", xlim=(-1.2, 5.2), ylim=(-1.3, 1.3))
    inset.axis("off")
