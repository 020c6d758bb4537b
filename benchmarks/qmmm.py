"""Time and memory of energy, QM and MM gradients over the number of MM particles, AMP(3)-DP, near and far. ``make benchmark``.

Of uracil, and of retinoic acid among 2 900 particles, nearly as many as in its frames. :mod:`benchmarks.far_charges` goes on to a million.
"""

import time

import numpy as np
import tensorflow as tf
import typer

import amp_tf
from amp_tf.graph import MolecularGraph
from amp_tf.simulation.solutes import solute_by_name
from benchmarks.step_time import QUANTITIES, RESULTS
from common import paper
from common.made_up_systems import NEAR_CUTOFF, surrounded
from common.results import Row, format_table, row, write_result
from common.solute_model import MODEL, SOLUTES
from common.timing import largest_memory, matrix_product_operations, matrix_product_rate, median_time

NUMBERS_OF_PARTICLES = {"Uracil": (10, 100, 1_000, 10_000, 100_000), "RA": (2_900,)}
LARGEST_WITH_LIMIT = 10_000


def measure(name: str, n_mm: int, rate: float) -> list[Row]:
    """Rows of one solute and number of particles."""
    system = surrounded(solute_by_name(SOLUTES[name]), n_mm, np.random.default_rng(n_mm))
    arguments = {key: value for key, value in MODEL.items() if key != "type"}
    potential = amp_tf.AMP(elements=("H", "C", "N", "O"), near_cutoff=NEAR_CUTOFF, **arguments)
    arrays = potential.build_graph([system])
    published = dict(zip(paper.TABLE_6_SYSTEMS, paper.TABLE_6.get(n_mm, (None,) * 3), strict=True))[name]
    who = {"system": name, "mm_particles": n_mm, "near_pairs": len(arrays.near_senders)}

    def gradients(*fields):
        result = potential.with_gradients(MolecularGraph(*fields))
        return result["energy"], result["qm_gradients"], result["mm_gradients"]

    rows = []
    if n_mm <= LARGEST_WITH_LIMIT:
        graph = [tf.constant(array) for array in arrays]
        operations = matrix_product_operations(tf.function(gradients).get_concrete_function(*graph))
        for mode, xla in (("graph", False), ("XLA", True)):
            compiled = tf.function(gradients, jit_compile=xla)
            seconds = median_time(lambda compiled=compiled: compiled(*graph)[0].numpy())
            values = (1e3 * seconds, 1e-9 * operations, 1e3 * operations / rate, seconds * rate / operations)
            rows += [
                row(metric, unit, value, published if metric == "time" else None, **who, work=mode)
                for (metric, unit), value in zip(QUANTITIES.items(), values, strict=True)
            ]
    mm = system.mm_positions, system.mm_charges
    for work, xla in (("compute", False), ("compute, XLA", True)):
        seconds = median_time(lambda xla=xla: potential.compute(system.atomic_numbers, system.positions, *mm, xla=xla))
        rows.append(row("time", "ms", 1e3 * seconds, published, **who, work=work))
        rows.append(row("memory", "GB", largest_memory(), None, **who, work=work))
    return rows


def table(rows: list[Row]) -> str:
    """One line a solute, number of particles and kind of work."""
    lines: dict[tuple, dict[str, Row]] = {}
    for entry in rows:
        lines.setdefault((entry["system"], entry["mm_particles"], entry["near_pairs"], entry["work"]), {})[entry["metric"]] = entry
    names = {**QUANTITIES, "memory": "GB"}
    cells = [
        [*key, *(values[name]["value"] if name in values else None for name in names), values["time"]["published"]]
        for key, values in lines.items()
    ]
    titles = [f"{name}, {unit}" if unit else name for name, unit in names.items()]
    return format_table(["system", "MM particles", "near pairs", "work", *titles, "published (Titan V), ms"], cells)


def main() -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate("float32")
    rows = [entry for name, numbers in NUMBERS_OF_PARTICLES.items() for n_mm in numbers for entry in measure(name, n_mm, rate)]
    print("\nAMP(3)-DP, near and far: energy, QM and MM gradients of one system; memory is the largest of the process so far\n")
    print(table(rows))
    path = write_result("qmmm", "float32", rows, started, RESULTS, seeds=None, data=None, matrix_product_gflop_per_second=1e-9 * rate)
    print(f"wrote {path}")


if __name__ == "__main__":
    typer.run(main)
