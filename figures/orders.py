"""Errors of AMP(2) and AMP(3) on water clusters by the form of their polarization: over the size and the distance of the charges."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.figure3 import PANELS, TRAINING_SIZE
from figures.style import COLORS, save

LINES = ("dotted", "dashed", "dashdot", "solid")


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the content of ``orders.<preset>.json``: one line a run, energies above and gradients below."""
    figure, axes = plt.subplots(2, 2, figsize=(7.4, 6.0), sharey="row", layout="constrained")
    settings = list(dict.fromkeys(row["setting"] for row in result["rows"] if row["seed"] is not None and row["setting"] != "scan"))
    styles = dict(zip(settings, LINES[-len(settings) :], strict=True))
    ranges = list(dict.fromkeys((row["farthest_from"], row["farthest_to"]) for row in result["rows"] if row["metric"] == "frames"))
    for (by_size, by_distance), (metric, title) in zip(axes, PANELS.items(), strict=True):
        for setting, style in styles.items():
            of_setting = [row for row in result["rows"] if row["setting"] == setting]
            for model, seed in dict.fromkeys((row["model"], row["seed"]) for row in of_setting):
                of_run = [row for row in of_setting if (row["model"], row["seed"]) == (model, seed)]
                look = {"color": COLORS[model], "linestyle": style, "linewidth": 1.1}
                sizes = {row["size"]: row["value"] for row in of_run if row["metric"] == metric}
                by_size.plot(list(sizes), list(sizes.values()), label=f"{model}, {setting}" if seed == 0 else None, **look)
                far = {row["farthest_from"]: row["value"] for row in of_run if row["metric"] == f"{metric}_by_distance"}
                by_distance.plot([far[lower] for lower, _ in ranges], marker="o", markersize=3, **look)
        by_size.axvline(TRAINING_SIZE, color="0.85", linewidth=5, zorder=0)
        by_size.set(yscale="log", xlabel="molecules in the cluster", ylabel=title, xticks=range(6, 21, 2))
        names = [f"{lower:g}–{upper:g}" if upper else f"over {lower:g}" for lower, upper in ranges]
        by_distance.set(yscale="log", xlabel="farthest charge (Å)", xticks=range(len(ranges)), xticklabels=names)
        for axis in (by_size, by_distance):
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(settings), fontsize=8)
    return save(figure, "orders", result["preset"], folder)
