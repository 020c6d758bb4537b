"""Table 4: cost of a forward pass on a batch of 100 molecules like QM9's, relative to the GNN's. ``make reproduce-table4``."""

from pathlib import Path

from common import paper
from common.results import Row, format_table, row
from reproductions.cost import (
    FORMS,
    MODELS,
    Size,
    cost_app,
    make_model,
    measure_all,
    measured,
    positions_of,
    prepared,
    qm9_like,
    timing_rows,
    value_of,
)
from reproductions.folders import RESULTS


def reproduce(preset: str, folder: Path = RESULTS) -> Path:
    """Measure, and write ``table4.<preset>.json``."""
    return measure_all("table4", preset, _tasks, folder)


def _tasks(size: Size, rate: float) -> list:
    systems = qm9_like(size.share)
    return [
        ({"layers": n_layers, "form": form}, lambda n_layers=n_layers, form=form: _rows(size, rate, systems, n_layers, form))
        for n_layers in size.layers
        for form in FORMS
    ]


def _rows(size: Size, rate: float, systems: list, n_layers: int, form: str) -> list[Row]:
    rows = []
    models = {name: make_model(name, n_layers, size.n_features) for name in size.models}
    found = measured([prepared(potential, systems, rate, xla=FORMS[form]) for potential in models.values()], size.seconds)
    for (name, potential), values in zip(models.items(), found, strict=True):
        percent, theirs = dict(zip(paper.TABLE_4_MODELS, paper.TABLE_4[n_layers], strict=True)).get(name, (None, None))
        who = {"model": name, "layers": n_layers, "form": form, "atoms": positions_of(systems), "parameters": potential.count_params()}
        rows += timing_rows(values, 1, theirs, **who)
        rows.append(row("relative_cost", "%", 100.0 * values["time"] / found[0]["time"], percent, **who))
    return rows


def table(rows: list[Row]) -> str:
    """Relative costs in percent, times in brackets, as in the paper, and the limit of the matrix products, by number of layers."""
    models = [name for name in MODELS if any(entry.get("model") == name for entry in rows)]
    lines = []
    for n_layers, form in dict.fromkeys((entry["layers"], entry["form"]) for entry in rows if "layers" in entry):
        cells = []
        for name in models:
            who = {"model": name, "layers": n_layers, "form": form}
            percent, spent = value_of(rows, "relative_cost", **who), value_of(rows, "time", **who)
            cells.append(f"{percent['value']:.0f}% ({spent['value']:.3g} ms)")
        lines.append([n_layers, f"ours, {form}", *cells])
        if form == list(FORMS)[-1]:
            limits = [value_of(rows, "limit", model=name, layers=n_layers)["value"] for name in models]
            lines.append([n_layers, "matrix products alone", *(f"{100 * limit / limits[0]:.0f}% ({limit:.3g} ms)" for limit in limits)])
            theirs = [value_of(rows, "relative_cost", model=name, layers=n_layers)["published"] for name in models[1:]]
            ms = [value_of(rows, "time", model=name, layers=n_layers)["published"] for name in models[1:]]
            lines.append([n_layers, "published", "100%", *(f"{p:.0f}% ({t:.3g} ms)" for p, t in zip(theirs, ms, strict=True))])
    return format_table(["layers", "", *models], lines)


if __name__ == "__main__":
    cost_app(reproduce, lambda result: [], table)()
