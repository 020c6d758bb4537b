"""Table 5: cost of energies and QM gradients of the isolated solutes, in batches of 60. ``make reproduce-table5``."""

from pathlib import Path

from common import paper
from common.results import Row, format_table
from reproductions.cost import (
    FORMS,
    MODELS,
    SOLUTE_ELEMENTS,
    Size,
    cost_app,
    make_model,
    measure_all,
    measured,
    prepared,
    solute,
    timing_rows,
    value_of,
)
from reproductions.folders import RESULTS

BATCH, N_LAYERS = 60, 3


def reproduce(preset: str, folder: Path = RESULTS) -> Path:
    """Measure, and write ``table5.<preset>.json``."""
    return measure_all("table5", preset, _tasks, folder)


def _tasks(size: Size, rate: float) -> list:
    return [
        ({"system": name, "form": form}, lambda name=name, form=form: _rows(size, rate, name, form))
        for name in size.solutes
        for form in FORMS
    ]


def _rows(size: Size, rate: float, name: str, form: str) -> list[Row]:
    """Of one solute and form, over the models."""
    systems = [solute(name)] * max(1, round(BATCH * size.share))
    models = [make_model(model, N_LAYERS, size.n_features, SOLUTE_ELEMENTS) for model in size.models]
    found = measured([prepared(model, systems, rate, ("qm_gradients",), FORMS[form]) for model in models], size.seconds)
    theirs = dict(zip(paper.TABLE_5_MODELS, paper.TABLE_5[name][1], strict=True))
    who = {"system": name, "atoms": len(systems[0].positions), "form": form}
    return [
        row
        for model, values in zip(size.models, found, strict=True)
        for row in timing_rows(values, len(systems), theirs[model], **who, model=model)
    ]


def table(rows: list[Row]) -> str:
    """Milliseconds a molecule, and in brackets the percentage of the GNN's."""
    models = [name for name in MODELS if any(entry.get("model") == name for entry in rows)]
    lines = []
    for name, n_atoms in dict.fromkeys((entry["system"], entry["atoms"]) for entry in rows if "system" in entry):
        for form in FORMS:
            times = [value_of(rows, "time", system=name, model=model, form=form)["value"] for model in models]
            lines.append([name, n_atoms, f"ours, {form}", *(f"{t:.3g} ms ({100 * t / times[0]:.0f}%)" for t in times)])
        theirs = [value_of(rows, "time", system=name, model=model)["published"] for model in models]
        lines.append([name, n_atoms, "published", *(f"{t:.3g} ms ({100 * t / theirs[0]:.0f}%)" for t in theirs)])
    return format_table(["system", "atoms", "", *models], lines)


if __name__ == "__main__":
    cost_app(reproduce, lambda result: [], table)()
