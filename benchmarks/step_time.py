"""Time of energies with gradients and of training steps, beside the time of their matrix products alone. ``make benchmark``.

The limit is the number of floating-point operations of all matrix products in the compiled graph divided by the rate of one large matrix
product, measured in the same run in the same precision: what remains are element-wise operations, gathering and the overhead of small
operations.
"""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer

import amp_tf
from amp_tf.graph import MolecularGraph, System
from amp_tf.models import Potential
from reproductions.common import Row, format_table, row, write_result

ELEMENTS = ("H", "C", "N", "O")
N_LAYERS, CUTOFF, BATCH = 3, 5.0, 10
MATRIX_SIZE = 3000
RESULTS = Path(__file__).with_name("results")
QUANTITIES = {"time": "ms", "operations": "GFLOP", "limit": "ms", "ratio": ""}


def grown_molecule(n_atoms: int, random: np.random.Generator) -> System:
    """A compact random molecule: each atom 1.4 angstrom from an earlier one and at least 1.1 from all others."""
    positions = np.zeros((1, 3))
    while len(positions) < n_atoms:
        direction = random.normal(size=3)
        candidate = positions[random.integers(len(positions))] + 1.4 * direction / np.linalg.norm(direction)
        if np.min(np.linalg.norm(positions - candidate, axis=1)) > 1.1:
            positions = np.concatenate([positions, [candidate]])
    return System(random.choice([1, 6, 7, 8], size=n_atoms), positions)


def median_time(function: Callable[[], object], seconds: float = 2.0) -> float:
    """Median seconds of a call, after two calls that do not count; at least five calls."""
    function(), function()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def largest_memory() -> float:
    """The largest memory that this process held, GB; Linux hands ru_maxrss on to the processes that a process starts."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def matrix_product_rate(dtype: str) -> float:
    """Floating-point operations a second of one large matrix product."""
    left, right = (tf.random.normal((MATRIX_SIZE, MATRIX_SIZE), dtype=dtype) for _ in range(2))
    product = tf.function(lambda: tf.reduce_sum(left @ right))
    return 2 * MATRIX_SIZE**3 / median_time(lambda: product().numpy())


def matrix_product_operations(function: tf.types.experimental.ConcreteFunction) -> int:
    """Floating-point operations of all matrix products of a function of fixed shapes, 2 m n k each.

    Those inside loops, which sum the field of charges, are left out.
    """
    total = 0
    for operation in function.graph.get_operations():
        if operation.type == "MatMul" or operation.type.startswith("BatchMatMul"):
            transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
            (*_, rows, inner), (*batch, _, columns) = operation.inputs[0].shape, operation.outputs[0].shape
            if operation.get_attr(transposed):
                rows, inner = inner, rows
            total += 2 * math.prod(batch) * rows * inner * columns
    return total


def make_potential(name: str, dtype: str) -> Potential:
    """GNN or AMP(k) with the paper's widths and three layers."""
    shared = {"elements": ELEMENTS, "cutoff": CUTOFF, "n_layers": N_LAYERS, "dtype": dtype}
    return amp_tf.GNN(**shared) if name == "GNN" else amp_tf.AMP(max_order=int(name[4:-1]), **shared)


def measure(name: str, n_atoms: int, dtype: str, rate: float) -> list[Row]:
    """Time, operations, limit and their ratio for energy with gradient and for a training step of one model."""
    random = np.random.default_rng(n_atoms)
    potential = make_potential(name, dtype)
    arrays = potential.build_graph([grown_molecule(n_atoms, random) for _ in range(BATCH)])
    graph = MolecularGraph(*(tf.constant(array) for array in arrays))
    labels = {"energy": tf.zeros(BATCH, dtype), "qm_gradients": tf.zeros(graph.positions.shape, dtype)}
    optimizer = keras.optimizers.Adam(1e-5, global_clipnorm=1.0)
    potential.compile(optimizer, loss=dict.fromkeys(labels, "mse"), loss_weights={"energy": 0.2, "qm_gradients": 0.8})
    optimizer.build(potential.trainable_variables)
    functions = {
        "energy and gradient": lambda *fields: energy_and_gradient(potential, MolecularGraph(*fields)),
        "training step": lambda *fields: [potential.train_step((MolecularGraph(*fields), labels))["loss"]],
    }
    rows = []
    for work, function in functions.items():
        compiled = tf.function(function).get_concrete_function(*graph)
        seconds, operations = median_time(lambda compiled=compiled: compiled(*graph)[0].numpy()), matrix_product_operations(compiled)
        values = (1e3 * seconds, 1e-9 * operations, 1e3 * operations / rate, seconds * rate / operations)
        identifiers = {"atoms": n_atoms, "model": name, "edges": len(arrays.receivers), "work": work}
        rows += [row(metric, unit, value, **identifiers) for (metric, unit), value in zip(QUANTITIES.items(), values, strict=True)]
    return rows


def energy_and_gradient(potential: Potential, graph: MolecularGraph) -> tuple[tf.Tensor, tf.Tensor]:
    """Energies [n_systems] and gradients [n_atoms, 3]."""
    result = potential.with_gradients(graph)
    return result["energy"], result["qm_gradients"]


def table(rows: list[Row]) -> str:
    """One line a model and kind of work."""
    keys = ("atoms", "edges", "model", "work")
    lines = {tuple(entry[key] for key in keys): [] for entry in rows}
    for entry in rows:
        lines[tuple(entry[key] for key in keys)].append(entry["value"])
    header = [f"{metric}, {unit}" if unit else metric for metric, unit in QUANTITIES.items()]
    return format_table([*keys, *header], [[*key, *values] for key, values in lines.items()])


def count_traces(dtype: str) -> int:
    """Traces of the compiled evaluation after batches of many sizes."""
    random = np.random.default_rng(0)
    potential = make_potential("AMP(2)", dtype)
    for n_atoms, n_systems in ((12, 10), (50, 2), (7, 1), (31, 5), (12, 3)):
        potential.compute_systems([grown_molecule(n_atoms, random) for _ in range(n_systems)])
    return potential.n_traces


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    models: Annotated[str, typer.Option(help="Comma-separated.")] = "GNN,AMP(0),AMP(1),AMP(2),AMP(3)",
    atoms: Annotated[str, typer.Option(help="Atoms a molecule, comma-separated.")] = "12,50",
) -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate(dtype)
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores, {dtype}; product of {MATRIX_SIZE}² matrices: {1e-9 * rate:.0f} GFLOP/s")
    print(f"batches of {BATCH} random molecules, cut-off {CUTOFF} angstrom, {N_LAYERS} layers; limit: matrix products alone at that rate\n")
    rows = [entry for n_atoms in atoms.split(",") for name in models.split(",") for entry in measure(name, int(n_atoms), dtype, rate)]
    print(table(rows))
    print(f"\ntraces of the compiled evaluation after five batches of changing sizes: {count_traces(dtype)}")
    path = write_result(
        "step_time", dtype, rows, started, RESULTS, seeds=None, data="random molecules",
        settings={"layers": N_LAYERS, "cutoff": CUTOFF, "batch": BATCH},
        matrix_product_gflop_per_second=1e-9 * rate,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    app()
