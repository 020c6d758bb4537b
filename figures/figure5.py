"""Figure 5: learning curves on the fully connected water dimer, mean and standard deviation over the seeds."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.learning_curves import curves, finish
from figures.style import COLORS, save

MODELS = ("AMP(1)", "AMP(2)")


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the content of ``figure5.<preset>.json``."""
    figure, axis = plt.subplots(figsize=(4.4, 3.0), layout="constrained")
    for model in MODELS:
        steps, errors = curves(result, model)
        mean, deviation = errors.mean(axis=0), errors.std(axis=0)
        axis.fill_between(steps, mean - deviation, mean + deviation, color=COLORS[model], alpha=0.2, linewidth=0)
        axis.plot(steps, mean, color=COLORS[model], linewidth=1.8, label=f"{model}, mean of {len(errors)} seeds ± 1 std")
    finish(axis, result, MODELS)
    return save(figure, "figure5", result["preset"], folder)
