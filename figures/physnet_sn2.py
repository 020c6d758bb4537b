"""A substitution at methyl and the way apart, PhysNet with its long-range term and without (its paper's Figures 5 and 6)."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.physnet_tails import STYLES
from figures.style import plain_numbers, save


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``physnet-sn2.<preset>.json``: left along the reaction, right apart; above energies, below errors, a line a seed."""
    reference, *others = result["curves"]
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 4.8), layout="constrained", sharex="col")
    sides = (("coordinate", "path"), ("distances", "energies"))
    for column, (along, values) in zip(axes.T, sides, strict=True):
        for curve in [reference, *others]:
            line, color = STYLES[curve["variant"]]
            is_first = curve["seed"] in (None, others[0]["seed"])
            style = {"color": color, "markersize": 2.5, "linewidth": 1.2, "label": curve["variant"] if is_first else None}
            column[0].plot(curve[along], _numbers(curve[values]), line, **style)
            if curve is not reference:
                column[1].plot(curve[along], np.subtract(_numbers(curve[values]), _numbers(reference[values])), line, **style)
        column[1].axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
    for axis in axes[:, 1]:
        axis.axvline(result["cutoff"], color="0.5", linestyle=":", linewidth=1.0)
        axis.set_xscale("log")
        plain_numbers(axis.xaxis)
    axes[0, 0].set(title=f"{result['title']}, reaction", ylabel="energy over fragments alone\n(kJ mol$^{-1}$)")
    axes[0, 1].set(title="apart; dotted: the cut-off")
    axes[1, 0].set(xlabel="r(C–Y) − r(C–X) (Å)", ylabel="error (kJ mol$^{-1}$)")
    axes[1, 1].set(xlabel="distance of ion and C (Å)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return save(figure, result["name"], result["preset"], folder)


def _numbers(values: list[float | None]) -> np.ndarray:
    return np.array(values, dtype=float)
