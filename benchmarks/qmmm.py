"""Time and memory of energy, QM and MM gradients of uracil over the number of MM particles, AMP(3)-DP. ``make benchmark``.

Up to 1 000 particles the step is also compiled with XLA, which wants one shape; beyond :data:`amp_tf.models.potential.CHUNK` pairs
``compute`` sums the pairs in chunks.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import time

import numpy as np
import tensorflow as tf
import typer

import amp_tf
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.graph import MolecularGraph, System
from benchmarks.step_time import QUANTITIES, RESULTS, largest_memory, matrix_product_operations, matrix_product_rate, median_time
from datasets.qmmm_solutes import SHIPPED_FILE
from reproductions import paper
from reproductions.common import Row, format_table, row, write_result
from reproductions.solutes import MODEL

NUMBERS_OF_PARTICLES = (10, 100, 1_000, 10_000, 100_000)
LARGEST_WITH_LIMIT = 10_000
LARGEST_WITH_XLA = 1_000
DENSITY = 0.1
"""Particles of water in a cubic angstrom."""


def surrounded(molecule: System, n_mm: int, random: np.random.Generator) -> System:
    """The molecule with ``n_mm`` charges at random places of a shell around it, at the density of water."""
    center, inner = molecule.positions.mean(axis=0), 6.0
    outer = (inner**3 + 3.0 * n_mm / (4.0 * np.pi * DENSITY)) ** (1.0 / 3.0)
    radii = random.uniform(inner**3, outer**3, size=n_mm) ** (1.0 / 3.0)
    directions = random.normal(size=(n_mm, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    charges = np.resize([-0.8476, 0.4238, 0.4238], n_mm)
    return System(molecule.atomic_numbers, molecule.positions, 0.0, center + radii[:, None] * directions, charges)


def measure(n_mm: int, rate: float) -> list[Row]:
    """Rows of one number of particles."""
    molecule = read_reference_data(SHIPPED_FILE).groups[0].system(0)
    system = surrounded(molecule, n_mm, np.random.default_rng(n_mm))
    arguments = {key: value for key, value in MODEL.items() if key != "type"}
    potential = amp_tf.AMP(elements=("H", "C", "N", "O"), **arguments)
    arrays = potential.build_graph([system])
    published = dict(zip(paper.TABLE_6_SYSTEMS, paper.TABLE_6.get(n_mm, (None,) * 3), strict=True))["Uracil"]
    who = {"mm_particles": n_mm, "pairs": len(arrays.mm_senders)}

    def gradients(*fields):
        result = potential.with_gradients(MolecularGraph(*fields))
        return result["energy"], result["qm_gradients"], result["mm_gradients"]

    rows = []
    if n_mm <= LARGEST_WITH_LIMIT:
        graph = [tf.constant(array) for array in arrays]
        operations = matrix_product_operations(tf.function(gradients).get_concrete_function(*graph))
        for mode, xla in (("graph", False), ("XLA", True)):
            if xla and n_mm > LARGEST_WITH_XLA:
                continue
            compiled = tf.function(gradients, jit_compile=xla)
            seconds = median_time(lambda compiled=compiled: compiled(*graph)[0].numpy())
            values = (1e3 * seconds, 1e-9 * operations, 1e3 * operations / rate, seconds * rate / operations)
            rows += [
                row(metric, unit, value, published if metric == "time" else None, **who, work=mode)
                for (metric, unit), value in zip(QUANTITIES.items(), values, strict=True)
            ]
    mm = system.mm_positions, system.mm_charges
    seconds = median_time(lambda: potential.compute(system.atomic_numbers, system.positions, *mm))
    rows.append(row("time", "ms", 1e3 * seconds, published, **who, work="compute"))
    rows.append(row("memory", "GB", largest_memory(), None, **who, work="compute"))
    return rows


def table(rows: list[Row]) -> str:
    """One line a number of particles and kind of work."""
    lines: dict[tuple, dict[str, Row]] = {}
    for entry in rows:
        lines.setdefault((entry["mm_particles"], entry["pairs"], entry["work"]), {})[entry["metric"]] = entry
    names = {**QUANTITIES, "memory": "GB"}
    cells = [
        [*key, *(values[name]["value"] if name in values else None for name in names), values["time"]["published"]]
        for key, values in lines.items()
    ]
    titles = [f"{name}, {unit}" if unit else name for name, unit in names.items()]
    return format_table(["MM particles", "pairs", "work", *titles, "published (Titan V), ms"], cells)


def main() -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate("float32")
    rows = [entry for n_mm in NUMBERS_OF_PARTICLES for entry in measure(n_mm, rate)]
    print("\nuracil in water, AMP(3)-DP: energy, QM and MM gradients of one system; memory is the largest of the process so far\n")
    print(table(rows))
    path = write_result("qmmm", "float32", rows, started, RESULTS, seeds=None, data=None, matrix_product_gflop_per_second=1e-9 * rate)
    print(f"wrote {path}")


if __name__ == "__main__":
    typer.run(main)
