"""Table 6: cost of energies, QM and MM gradients over the number of MM particles, in batches of ten. ``make reproduce-table6``."""

from pathlib import Path

import numpy as np

from amp_tf.simulation.solutes import solute_by_name
from common import paper
from common.made_up_systems import NEAR_CUTOFF, surrounded
from common.results import Row, format_table, row
from reproductions.cost import SOLUTE_ELEMENTS, SOLUTES, Size, cost_app, make_model, measure_all, measured, prepared, timing_rows, value_of
from reproductions.folders import RESULTS

BATCH, N_LAYERS = 10, 3
EMBEDDING = {"learnt": {}, "near and far": {"near_cutoff": NEAR_CUTOFF}}
"""How charges polarize: all by the network of Eq. 10, as in the paper; or those close by, and all others through their field."""


def reproduce(preset: str, folder: Path = RESULTS) -> Path:
    """Measure, and write ``table6.<preset>.json``."""
    return measure_all("table6", preset, _tasks, folder)


def _tasks(size: Size, rate: float) -> list:
    return [
        ({"system": name, "embedding": embedding}, lambda name=name, embedding=embedding: _rows(size, rate, name, embedding))
        for name in size.solutes
        for embedding in EMBEDDING
    ]


def _rows(size: Size, rate: float, name: str, embedding: str) -> list[Row]:
    """Of one solute and form, over the numbers of particles."""
    batch = max(1, round(BATCH * size.share))
    settings = {"direct_polarization": True, "pairwise_coulomb": True, "long_range_cutoff": 50.0} | EMBEDDING[embedding]
    potential = make_model("AMP(3)", N_LAYERS, size.n_features, SOLUTE_ELEMENTS, **settings)
    molecule, rows = solute_by_name(SOLUTES[name]), []
    batches = {
        n_mm: [surrounded(molecule, n_mm, np.random.default_rng([n_mm, number])) for number in range(batch)] for n_mm in size.mm_particles
    }
    found = measured([prepared(potential, systems, rate, ("qm_gradients", "mm_gradients")) for systems in batches.values()], size.seconds)
    published = {n_mm: dict(zip(paper.TABLE_6_SYSTEMS, values, strict=True))[name] for n_mm, values in paper.TABLE_6.items()}
    start = published.get(size.mm_particles[0])
    for n_mm, values in zip(batches, found, strict=True):
        theirs, who = published.get(n_mm), {"system": name, "embedding": embedding, "mm_particles": n_mm}
        rows += timing_rows(values, batch, theirs, **who)
        growth = None if theirs is None or start is None else theirs / start
        rows.append(row("growth", "", values["time"] / found[0]["time"], growth, **who))
    return rows


def table(rows: list[Row]) -> str:
    """Milliseconds a system, and in brackets in units of that with the fewest particles."""
    numbers = sorted({entry["mm_particles"] for entry in rows if "mm_particles" in entry})
    lines = []
    for name in dict.fromkeys(entry["system"] for entry in rows if "system" in entry):
        for embedding in EMBEDDING:
            cells = [[value_of(rows, m, system=name, embedding=embedding, mm_particles=n) for m in ("time", "growth")] for n in numbers]
            lines.append([name, f"ours, {embedding}", *(f"{t['value']:.3g} ms ({g['value']:.2f})" for t, g in cells)])
        theirs = [[value_of(rows, m, system=name, mm_particles=n)["published"] for m in ("time", "growth")] for n in numbers]
        lines.append([name, "published", *("–" if t is None or g is None else f"{t:.3g} ms ({g:.2f})" for t, g in theirs)])
    return format_table(["system", "", *(f"{n} MM particles" for n in numbers)], lines)


if __name__ == "__main__":
    cost_app(reproduce, lambda result: [], table)()
