"""Energies of two fragments over their distance, PhysNet with its long-range term and without (its paper's Figures 5 and 6)."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import SymmetricalLogLocator

from figures.style import plain_numbers, save

STYLES = {"reference": ("o", "0.55"), "with long range": ("-", "#c8102e"), "without": ("--", "#1f5fa8")}
"""Marker or line, and color, by variant."""


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``physnet-tails.<preset>.json``: above energies over those of the fragments alone, below errors; dotted: the cut-off; grey:
    farther than the data."""
    curves = result["curves"]
    panels = list(dict.fromkeys((curve["system"], curve["reach"]) for curve in curves if curve["reach"] is not None))
    figure, axes = plt.subplots(2, len(panels), figsize=(2.3 * len(panels) + 0.8, 4.6), layout="constrained", squeeze=False, sharex="col")
    for column, (system, reach) in zip(axes.T, panels, strict=True):
        reference = next(curve for curve in curves if (curve["system"], curve["variant"]) == (system, "reference"))
        drawn = [reference, *(curve for curve in curves if (curve["system"], curve["reach"]) == (system, reach))]
        for curve in drawn:
            line, color = STYLES[curve["variant"]]
            kwargs = {"color": color, "markersize": 2.5, "label": curve["variant"]}
            energies, of_reference = (np.array(drawn["energies"], dtype=float) for drawn in (curve, reference))
            column[0].plot(curve["distances"], energies, line, **kwargs)
            if curve is not reference:
                column[1].plot(curve["distances"], energies - of_reference, line, **kwargs)
        for axis in column:
            axis.axvline(result["cutoff"], color="0.5", linestyle=":", linewidth=1.0)
            axis.axvspan(reach, reference["distances"][-1], color="0.93", zorder=0)
            axis.set_xscale("log")
            plain_numbers(axis.xaxis)
        column[1].set_yscale("symlog", linthresh=1.0)
        column[1].yaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=1.0))
        known = np.array(reference["energies"], dtype=float)
        if np.nanmin(known) < -10.0:  # attractive, with a wall
            column[0].set_ylim(1.3 * np.nanmin(known), -0.5 * np.nanmin(known))
        else:
            column[0].set_ylim(-0.15 * np.nanmax(known) - 5.0, 1.15 * np.nanmax(known) + 5.0)
        column[0].set_title(f"{reference['title']}\ndata within {reach:g} Å", fontsize=9)
        column[1].set_xlabel("distance (Å)")
    axes[0, 0].set_ylabel("energy over fragments alone\n(kJ mol$^{-1}$)")
    axes[1, 0].set_ylabel("error (kJ mol$^{-1}$),\nlogarithmic beyond 1")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return save(figure, "physnet-tails", result["preset"], folder)
