"""Errors of AMP(2) on water clusters over the near cut-off: the runs of each seed as dots, their means as lines."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.figure3 import PANELS
from figures.style import save

LINES = {None: ("mean but 10", "#c8102e", "o"), 10: ("n = 10", "0.5", "s"), 20: ("n = 20", "#1f5fa8", "^")}
"""By the size of the cluster: name, colour and marker."""


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the scan in ``orders.<preset>.json``, energies on the left and gradients on the right."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained")
    rows = [row for row in result["rows"] if row["setting"] == "scan"]
    cutoffs = sorted({row["near_cutoff"] for row in rows})
    for axis, (metric, title) in zip(axes, PANELS.items(), strict=True):
        for size, (name, color, marker) in LINES.items():
            chosen = [row for row in rows if row["metric"] == (metric if size else f"mean_{metric}") and row["size"] == size]
            axis.plot(
                [row["near_cutoff"] for row in chosen], [row["value"] for row in chosen], marker, markersize=3, color=color, alpha=0.5
            )
            means = [np.mean([row["value"] for row in chosen if row["near_cutoff"] == cutoff]) for cutoff in cutoffs]
            axis.plot(cutoffs, means, color=color, linewidth=1.2, marker=marker, markersize=5, label=name)
        axis.set(xlabel="near cut-off (Å)", ylabel=title)
        axis.set_ylim(bottom=0.0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LINES), fontsize=8)
    return save(figure, "near_cutoff", result["preset"], folder)
