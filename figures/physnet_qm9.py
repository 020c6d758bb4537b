"""PhysNet's errors on QM9 over the number of training molecules, beside the published ones."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.style import plain_numbers, save


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw ``physnet-qm9.<preset>.json``, both axes logarithmic."""
    figure, axis = plt.subplots(figsize=(4.6, 3.4), layout="constrained")
    for metric, who, color in (("energy_mae", "ours", "#c8102e"), ("published_energy_mae", "published", "0.4")):
        for ensemble, marker, filled in ((False, "o-", True), (True, "s--", False)):
            points: dict[int, list[float]] = {}
            for row in result["rows"]:
                if row["metric"] == metric and (row["seed"] == "ensemble") is ensemble:
                    points.setdefault(row["molecules"], []).append(row["value"])
            if points:
                label = f"{who}, {'ensemble' if ensemble else 'mean of seeds'}"
                values = [np.mean(values) for values in points.values()]
                axis.loglog(list(points), values, marker, color=color, markerfacecolor=color if filled else "white", label=label)
    plain_numbers(axis.yaxis)
    axis.set(xlabel="molecules for training and validation", ylabel="test MAE of U0 (kcal mol$^{-1}$)")
    axis.legend(fontsize=8)
    return save(figure, "physnet-qm9", result["preset"], folder)
