"""The figure of ``make reproduce-dynamics``: stretched bonds, water around the solute, conservation of energy."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from figures.style import save

ATOMS, HYDROGENS = ("O-O", "O-H", "N-O", "N-H"), ("H(N)-O", "H(N)-H", "H(C)-O", "H(C)-H")
"""Radial distribution functions of a panel each: atom of the solute, atom of water."""

SCANS = (("rigid", "gas"), ("rigid", "water"), ("relaxed", "gas"), ("relaxed", "water"))


def draw(result: Mapping[str, Any], folder: Path | None = None) -> list[Path]:
    """Write the figure under the result's name as ``.png`` and ``.pdf``, a panel for all that was measured; no file for nothing."""
    panels: list[Callable[[Any], None]] = []
    for how, where in SCANS:
        if scans := [scan for scan in result.get("scans", []) if (scan["how"], scan["where"]) == (how, where)]:
            panels.append(partial(_draw_scans, scans=scans, what=f"{how}, in {where}"))
    for keys in (ATOMS, HYDROGENS):
        if curves := {key: curves for key, curves in result.get("distributions", {}).items() if key in keys}:
            panels.append(partial(_draw_distributions, distances=result["distances"], distributions=curves))
    if "conservation" in result:
        panels.append(partial(_draw_conservation, curve=result["conservation"]))
    if not panels:
        return []
    n_rows = 1 if len(panels) < 4 else 2
    n_columns = -(-len(panels) // n_rows)
    figure = plt.figure(figsize=(3.4 * n_columns, 3.4 * n_rows), layout="constrained")
    for number, panel in enumerate(panels):
        panel(figure.add_subplot(n_rows, n_columns, number + 1))
    return save(figure, result["name"], result["preset"], folder)


def _draw_scans(axis, scans: Sequence[Mapping[str, Any]], what: str) -> None:
    for scan in scans:
        lengths = np.array(scan["lengths"])
        (line,) = axis.plot(lengths, np.array(scan["potential"], dtype=float), label=scan["bond"].replace("-", "–"))
        axis.plot(lengths, np.array(scan["label"], dtype=float), "o", markersize=3, color=line.get_color())
    axis.set(xlabel="length of the bond (Å)", ylabel="energy (kJ mol$^{-1}$)", ylim=(-50, 700), title=f"{what}; points: labels")
    axis.legend(frameon=False)


def _draw_distributions(axis, distances: Sequence[float], distributions: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    for key, curves in distributions.items():
        (line,) = axis.plot(distances, curves["ours"], label=key.replace("-", " – "))
        axis.plot(distances, curves["reference"], linestyle=":", color=line.get_color())
        width = np.array(curves["scatter"])
        axis.fill_between(distances, curves["ours"] - width, curves["ours"] + width, color=line.get_color(), alpha=0.2)
    axis.set(xlabel="distance (Å)", ylabel="g(r), solute – water", xlim=(1.0, 8.0), title="dotted: QM/MM; bands: windows")
    axis.legend(frameon=False)


def _draw_conservation(axis, curve: Mapping[str, Sequence[float]]) -> None:
    axis.plot(curve["times"], curve["energies"], linewidth=0.8)
    axis.set(xlabel="time (ps)", ylabel="total energy less its start (kJ mol$^{-1}$)", title="at constant energy")
    axis.locator_params(axis="x", nbins=5)
