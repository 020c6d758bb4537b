"""Learning curves of AMP(3) on QM9: test errors over the number of training molecules; dashed: published, with 110 000."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from figures.style import COLORS, plain_numbers, save


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``table3.<preset>.json``; nothing where there is no curve."""
    rows = sorted((row for row in result["rows"] if row["metric"] == "test_mae"), key=lambda row: row["n_train"])
    curves: dict[str, list] = {}
    for row in rows:
        if row["model"] == "AMP(3)":
            curves.setdefault(row["target"], []).append(row)
    curves = {target: points for target, points in curves.items() if len(points) > 1}
    if not curves:
        return []
    figure, axes = plt.subplots(1, len(curves), figsize=(2.6 * len(curves) + 0.4, 3.0), layout="constrained", squeeze=False)
    for axis, (target, points) in zip(axes[0], curves.items(), strict=True):
        axis.loglog([row["n_train"] for row in points], [row["value"] for row in points], "o-", color=COLORS["AMP(3)"], label="AMP(3)")
        for row in rows:
            if row["target"] == target and row["model"] != "AMP(3)":
                axis.loglog(row["n_train"], row["value"], "s", color=COLORS[row["model"]], fillstyle="none", label=row["model"])
        axis.axhline(points[-1]["published"], color=COLORS["AMP(3)"], linestyle="--", linewidth=1.0, label="AMP(3), published")
        plain_numbers(axis.yaxis)
        axis.set_xticks(numbers := [row["n_train"] for row in points], [f"{number:g}" for number in numbers])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set(title=target, xlabel="training molecules", ylabel=f"test MAE ({points[-1]['unit']})")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return save(figure, result["name"], result["preset"], folder)
