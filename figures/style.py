"""The look that all figures share."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

OUTPUT = Path(__file__).resolve().parent / "output"
COLORS = {
    "reference": "0.65", "AMP(0)": "#8c6d1f", "AMP(1)": "#e8871e", "AMP(2)": "#c8102e", "AMP(3)": "#7b2d8b", "AMP(2)-DP": "#1f5fa8",
    "PaiNN": "#1f5fa8", "SchNet": "#2a9d8f", "GNN": "#7a7a7a", "GNN-P": "#6aa84f", "null": "black",
}  # fmt: skip
"""Those of the paper's Figure 2: reference grey, AMP(1) orange, AMP(2) red, AMP(2)-DP blue; the other models in distinct ones."""

plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "pdf.fonttype": 42})


def plain_numbers(axis: Axis) -> None:
    """Numbers without powers of ten on a logarithmic axis, at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, name: str, preset: str, folder: Path | None = None) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.pdf`` (with the preset in the name unless it is ``laptop``) and close the figure."""
    folder = OUTPUT if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    stem = name if preset == "laptop" else f"{name}.{preset}"
    paths = [folder / f"{stem}.png", folder / f"{stem}.pdf"]
    figure.savefig(paths[0], dpi=200)
    figure.savefig(paths[1], metadata={"CreationDate": None})
    plt.close(figure)
    return paths
