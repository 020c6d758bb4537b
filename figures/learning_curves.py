"""What Figures 5 and 6 share: the axis of errors in log10(kJ/mol) with the null model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from figures.style import COLORS


def curves(result: dict[str, Any], model: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and log10 of the validation MAE in kJ/mol [n_seeds, n] of a model."""
    entries = [entry for entry in result["curves"] if entry["model"] == model]
    return np.array(entries[0]["step"]), np.log10([entry["validation_mae"] for entry in entries])


def finish(axis: Axes, result: dict[str, Any], models: Sequence[str]) -> None:
    """Null model, labels and limits."""
    null = next(entry["value"] for entry in result["rows"] if entry["metric"] == "null_model_mae")
    axis.axhline(np.log10(null), color=COLORS["null"], linewidth=1.0, linestyle="--", zorder=1, label="null model (mean energy)")
    last = max(curves(result, model)[0][-1] for model in models)
    axis.set(xlabel="training step", ylabel=r"validation MAE, $\log_{10}$(kJ mol$^{-1}$)", xlim=(0, last))
    axis.legend(loc="upper right", fontsize=7)
