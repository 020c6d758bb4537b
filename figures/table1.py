"""Table 1's training runs: validation errors over the steps, on logarithmic axes, with the published test errors and the null model."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.style import COLORS, save

PANELS = {
    "energy": "MAE $E_\\mathrm{QM}$ (kJ mol$^{-1}$)",
    "qm_gradients": "MAE $F_\\mathrm{QM}$ (kJ mol$^{-1}$ Å$^{-1}$)",
    "mm_gradients": "MAE $F_\\mathrm{MM}$ (kJ mol$^{-1}$ Å$^{-1}$)",
}
STYLES = {"shuffled": "-", "unshuffled": (0, (4, 2)), "fine-tuned": (0, (1, 1))}
COLOR_OF = {"Uracil": COLORS["AMP(1)"], "RA": COLORS["AMP(2)"], "SAM": COLORS["AMP(3)"], "Uracil-PBE": COLORS["AMP(0)"]}

PAPER_STEPS = 400_000


def draw(result: dict[str, Any], folder: Path | None = None) -> list[Path]:
    """Draw the curves of ``table1.<preset>.json``."""
    figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.2), layout="constrained")
    values = {(e["system"], e["ordering"], e["part"], e["metric"]): e for e in result["rows"] if e["part"]}
    for axis, (label, title) in zip(axes, PANELS.items(), strict=True):
        for curve in result["curves"]:
            system, ordering = curve["system"], curve["ordering"]
            color, style = COLOR_OF[system], STYLES[ordering]
            axis.plot(curve["step"], curve[label], color=color, linestyle=style, marker=".", linewidth=1.2, label=f"{system}, {ordering}")
            entry = values[system, ordering, "test", f"{label}_mae"]
            marker = "o" if ordering == "shuffled" else "s"
            axis.plot(PAPER_STEPS, entry["published"], marker=marker, markersize=5, color=color, markerfacecolor="none", linestyle="none")
            pointing = values.get((system, ordering, "validation", f"extrapolated_{label}_mae"))
            if pointing is not None:
                axis.plot(
                    [curve["step"][-1], PAPER_STEPS], [curve[label][-1], pointing["value"]], color=color, linestyle=":", linewidth=0.8
                )
            null = values[system, ordering, "validation", f"null_{label}_mae"]["value"]
            axis.axhline(null, color=color, linewidth=0.5, alpha=0.5)
        axis.set(xscale="log", yscale="log", xlabel="training steps", ylabel=title)
    handles, labels = axes[0].get_legend_handles_labels()
    extra = {
        "power law, a direction": plt.Line2D([], [], color="0.4", linestyle=":", linewidth=0.8),
        "published, shuffled": plt.Line2D([], [], color="0.4", marker="o", markerfacecolor="none", linestyle="none"),
        "published, unshuffled": plt.Line2D([], [], color="0.4", marker="s", markerfacecolor="none", linestyle="none"),
        "null model": plt.Line2D([], [], color="0.4", linewidth=0.5),
    }
    figure.legend([*handles, *extra.values()], [*labels, *extra], loc="outside lower center", ncols=5, fontsize=8)
    return save(figure, result["name"], result["preset"], folder)
