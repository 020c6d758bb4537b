"""The figure of ``make reproduce-dynamics``: stretched bonds, water around the solute, conservation of energy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.style import save

SHOWN = ("N-O", "O-O", "O-H", "H(N)-O")
"""Radial distribution functions that are drawn: atom of the solute, atom of water."""


def draw(result: Mapping[str, Any], folder: Path | None = None) -> list[Path]:
    """Write ``dynamics.png`` and ``.pdf``; panels of what was not measured stay empty."""
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 7.0), layout="constrained")
    for axis, how in zip(axes[0], ("rigid", "relaxed"), strict=True):
        _draw_scans(axis, [scan for scan in result.get("scans", []) if scan["how"] == how and scan["where"] == "gas"], how)
    if "distributions" in result:
        _draw_distributions(axes[1, 0], result["distances"], result["distributions"])
    if "conservation" in result:
        axes[1, 1].plot(result["conservation"]["times"], result["conservation"]["energies"], linewidth=0.8)
    axes[1, 1].set(xlabel="time (ps)", ylabel="total energy less its start (kJ mol$^{-1}$), NVE")
    axes[1, 1].locator_params(axis="x", nbins=5)
    for axis in axes.flat:
        if not axis.lines:
            axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
    return save(figure, "dynamics", result["preset"], folder)


def _draw_distributions(axis, distances: Sequence[float], distributions: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    for key in SHOWN:
        if key in distributions:
            curves = distributions[key]
            (line,) = axis.plot(distances, curves["ours"], label=key.replace("-", " – "))
            axis.plot(distances, curves["reference"], linestyle=":", color=line.get_color())
            width = np.array(curves["scatter"])
            axis.fill_between(distances, curves["ours"] - width, curves["ours"] + width, color=line.get_color(), alpha=0.2)
    axis.set(xlabel="distance (Å)", ylabel="g(r), solute – water; dotted: QM/MM,\nbands: scatter of as short windows", xlim=(1.0, 8.0))
    axis.legend(frameon=False)


def _draw_scans(axis, scans: list[Mapping[str, Any]], how: str) -> None:
    for scan in scans:
        lengths = np.array(scan["lengths"])
        (line,) = axis.plot(lengths, np.array(scan["potential"], dtype=float), label=scan["bond"].replace("-", "–"))
        axis.plot(lengths, np.array(scan["label"], dtype=float), "o", markersize=3, color=line.get_color())
    axis.set(xlabel="length of the bond (Å)", ylabel=f"energy (kJ mol$^{{-1}}$), {how}; points: labels", ylim=(-50, 700))
    if scans:
        axis.legend(frameon=False)
