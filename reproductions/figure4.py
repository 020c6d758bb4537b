"""Figure 4: cost per edge of energies and QM gradients of molecules of growing size, the solutes among them. ``make reproduce-figure4``."""

from pathlib import Path

import numpy as np

from amp_tf.systems import System
from common.made_up_systems import grown
from common.results import Row, format_table, row
from figures.figure4 import draw
from reproductions.cost import SOLUTE_ELEMENTS, Size, cost_app, make_model, measure_all, measured, prepared, solute, timing_rows
from reproductions.folders import RESULTS

BATCH, N_LAYERS, MODELS = 60, 3, ("AMP(2)", "AMP(3)")


def reproduce(preset: str, folder: Path = RESULTS) -> Path:
    """Measure, and write ``figure4.<preset>.json``."""
    return measure_all("figure4", preset, _tasks, folder)


def _tasks(size: Size, rate: float) -> list:
    molecules = {f"{n} atoms": grown(n, np.random.default_rng(n)) for n in size.chain} | {name: solute(name) for name in size.solutes}
    return [({"system": name}, lambda name=name: _rows(size, rate, name, molecules[name])) for name in molecules]


def _rows(size: Size, rate: float, name: str, molecule: System) -> list[Row]:
    """Of one molecule, over the models."""
    batch = max(1, round(BATCH * size.share))
    models = [make_model(model, N_LAYERS, size.n_features, SOLUTE_ELEMENTS) for model in MODELS]
    n_edges = len(models[0].build_graph([molecule]).receivers)
    found = measured([prepared(model, [molecule] * batch, rate, ("qm_gradients",), xla=True) for model in models], size.seconds)
    rows = []
    for model, values in zip(MODELS, found, strict=True):
        who = {"system": name, "atoms": len(molecule.positions), "edges": n_edges, "model": model}
        rows += timing_rows(values, batch, **who)
        rows.append(row("time_per_edge", "us", 1e3 * values["time"] / batch / n_edges, **who))
    return rows


def table(rows: list[Row]) -> str:
    """Microseconds an edge and molecule."""
    chosen = [entry for entry in rows if entry["metric"] == "time_per_edge"]
    systems = dict.fromkeys((entry["system"], entry["atoms"], entry["edges"]) for entry in chosen)
    cells = {(entry["system"], entry["model"]): entry["value"] for entry in chosen}
    return format_table(["system", "atoms", "edges", *(f"{model}, us" for model in MODELS)],
                        [[*system, *(cells[system[0], model] for model in MODELS)] for system in systems])  # fmt: skip


if __name__ == "__main__":
    cost_app(reproduce, draw, table)()
