"""Figure 4: cost per edge over the number of edges of a molecule; filled: the paper's solutes."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.style import COLORS, plain_numbers, save

MODELS = ("AMP(2)", "AMP(3)")


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``figure4.<preset>.json``."""
    figure, axis = plt.subplots(figsize=(4.6, 3.4), layout="constrained")
    rows = sorted((row for row in result["rows"] if row["metric"] == "time_per_edge"), key=lambda row: row["edges"])
    for model in MODELS:
        color = COLORS[model]
        grown = [row for row in rows if row["model"] == model and row["system"].endswith("atoms")]
        solutes = [row for row in rows if row["model"] == model and not row["system"].endswith("atoms")]
        axis.plot([row["edges"] for row in grown], [row["value"] for row in grown], "o-", color=color, mfc="white", ms=4, label=model)
        axis.plot([row["edges"] for row in solutes], [row["value"] for row in solutes], "s", color=color, ms=6)
        for row in solutes if model == "AMP(3)" else ():
            side = "left" if row["system"] == "SAM" else "right"  # beside RA, whose edges are almost as many
            axis.annotate(row["system"], (row["edges"], row["value"]), xytext=(0, 7), textcoords="offset points", ha=side, fontsize=8)
    axis.set(xlabel="edges of the molecule", ylabel="time per edge (µs)", xscale="log")
    plain_numbers(axis.xaxis)
    axis.set_ylim(bottom=0.0)
    axis.legend()
    return save(figure, "figure4", result["preset"], folder)
