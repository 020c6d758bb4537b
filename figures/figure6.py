"""Figure 6: learning curves of AMP(2) on the sparsely connected water dimer, one line a seed."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.learning_curves import curves, finish
from figures.style import save

MODELS = ("AMP(2)",)


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the content of ``figure6.<preset>.json``."""
    figure, axis = plt.subplots(figsize=(4.4, 3.0), layout="constrained")
    steps, errors = curves(result, "AMP(2)")
    for color, line in zip(plt.get_cmap("Reds")(np.linspace(0.35, 1.0, len(errors))), errors, strict=True):
        axis.plot(steps, line, color=color, linewidth=1.0)
    axis.plot([], [], color="#c8102e", label=f"AMP(2), {len(errors)} seeds")
    finish(axis, result, MODELS)
    return save(figure, "figure6", result["preset"], folder)
