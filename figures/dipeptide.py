"""The figure of ``make reproduce-dipeptide``: backbone angles in NVT and NVE, and the energy without a thermostat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from figures.style import save


def draw(result: Mapping[str, Any], folder: Path | None = None) -> list[Path]:
    """Write ``dipeptide.png`` and ``.pdf``."""
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 4.0), layout="constrained")
    for ensemble, angles in result["angles"].items():
        axes[0].plot(angles["phi"], angles["psi"], ".", markersize=3, label=ensemble.upper())
    axes[0].set(xlabel="φ (degrees)", ylabel="ψ (degrees)", xlim=(-180, 180), ylim=(-180, 180), aspect="equal")
    axes[0].set_xticks(range(-180, 181, 60))
    axes[0].set_yticks(range(-180, 181, 60))
    axes[0].legend()
    curve = result["energies"]["nve"]
    axes[1].plot(curve["times"], curve["energies"], linewidth=0.8)
    axes[1].set(xlabel="time (ps)", ylabel="total energy less its start (kJ mol$^{-1}$), NVE")
    axes[1].locator_params(axis="x", nbins=5)
    return save(figure, "dipeptide", result["preset"], folder)
