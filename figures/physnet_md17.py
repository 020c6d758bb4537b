"""Errors of PhysNet and AMP(2) on molecules of the revised MD17, beside those published for 50 times the frames."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.style import COLORS, plain_numbers, save

PHYSNET = ("#c8102e", "#e8871e")
"""Small and of the published size."""

LABELS = {"energy_mae": "energy (kcal mol$^{-1}$)", "qm_gradients_mae": "forces (kcal mol$^{-1}$ Å$^{-1}$)"}


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``physnet-md17.<preset>.json``: test errors, means of seeds; lines: published."""
    rows = [row for row in result["rows"] if row["seed"] != "ensemble"]
    molecules, models = (list(dict.fromkeys(row[key] for row in rows)) for key in ("molecule", "model"))
    colors = dict(zip([model for model in models if model.startswith("PhysNet")], PHYSNET, strict=False)) | {"AMP(2)": COLORS["AMP(2)-DP"]}
    figure, axes = plt.subplots(1, 2, figsize=(7.0, 3.0), layout="constrained")
    width = 0.8 / len(models)
    for axis, (metric, label) in zip(axes, LABELS.items(), strict=True):
        for number, model in enumerate(models):
            for place, molecule in enumerate(molecules):
                found = [row for row in rows if (row["molecule"], row["model"], row["metric"]) == (molecule, model, metric)]
                if found:
                    middle = place + (number - 0.5 * (len(models) - 1)) * width
                    value = np.mean([row["value"] for row in found])
                    axis.bar(middle, value, width, color=colors[model], label=model)
                    if found[0]["published"] is not None:
                        axis.plot([middle - width / 2, middle + width / 2], [found[0]["published"]] * 2, color="black", linewidth=1.2)
        axis.set_xticks(range(len(molecules)), molecules)
        axis.set(ylabel=f"test MAE, {label}", yscale="log")
        plain_numbers(axis.yaxis)
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=len(models), fontsize=8)
    figure.suptitle("black: published, 50 000 frames; here 1 000", fontsize=9)
    return save(figure, result["name"], result["preset"], folder)
