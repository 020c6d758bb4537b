"""Figure 3: errors of energies and gradients over the size of the cluster, ours as lines with markers, the published ones dashed."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.style import COLORS, save

MARKERS = {"AMP(0)": "v", "AMP(1)": "^", "AMP(2)": "o", "AMP(3)": "s", "PaiNN": "D", "SchNet": "P", "GNN": "X", "GNN-P": "*"}
PANELS = {"energy_mae": "MAE $E_\\mathrm{QM}$ (kJ mol$^{-1}$)", "qm_gradients_mae": "MAE $F_\\mathrm{QM}$ (kJ mol$^{-1}$ Å$^{-1}$)"}
TRAINING_SIZE = 10


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the content of ``figure3.<preset>.json``."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.6), layout="constrained")
    for axis, (metric, title) in zip(axes, PANELS.items(), strict=True):
        rows = [entry for entry in result["rows"] if entry["metric"] == metric]
        axis.axvline(TRAINING_SIZE, color="0.85", linewidth=5, zorder=0)
        for model, marker in MARKERS.items():
            of_model = sorted((entry for entry in rows if entry["model"] == model), key=lambda entry: entry["size"])
            if not of_model:
                continue
            sizes = [entry["size"] for entry in of_model]
            color = COLORS[model]
            axis.plot(sizes, [entry["value"] for entry in of_model], marker=marker, markersize=4, linewidth=1.2, color=color, label=model)
            axis.plot(sizes, [entry["published"] for entry in of_model], linestyle=(0, (4, 2)), linewidth=0.6, color=color, zorder=1)
        null = sorted((entry for entry in rows if entry["model"] == "null model"), key=lambda entry: entry["size"])
        axis.plot(
            [entry["size"] for entry in null], [entry["value"] for entry in null], color=COLORS["null"], linewidth=1, label="null model"
        )
        axis.set(yscale="log", xlabel="molecules in the cluster", ylabel=title, xticks=range(6, 21, 2))
        axis.yaxis.set_major_formatter("{x:g}")
    handles, labels = axes[0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="0.4", linewidth=0.6, linestyle=(0, (4, 2))))
    figure.legend(handles, [*labels, "published"], loc="outside lower center", ncols=5, fontsize=8)
    return save(figure, "figure3", result["preset"], folder)
