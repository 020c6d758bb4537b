"""Time of energies with gradients and of training steps, beside the time of their matrix products alone. ``make benchmark``.

The limit is the number of floating-point operations of all matrix products in the compiled graph divided by the rate of one large matrix
product, measured in the same run in the same precision: what remains are element-wise operations, gathering and the overhead of small
operations.
"""

import os
import time
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import typer

import amp_tf
from amp_tf.graph import MolecularGraph
from amp_tf.models import Potential
from common.made_up_systems import grown
from common.results import Row, format_table, row, write_result
from common.timing import MATRIX_SIZE, matrix_product_operations, matrix_product_rate, median_time

ELEMENTS = ("H", "C", "N", "O")
N_LAYERS, CUTOFF, BATCH = 3, 5.0, 10
RESULTS = Path(__file__).with_name("results")
QUANTITIES = {"time": "ms", "operations": "GFLOP", "limit": "ms", "ratio": ""}


def make_potential(name: str, dtype: str) -> Potential:
    """GNN or AMP(k) with the paper's widths and three layers."""
    shared = {"elements": ELEMENTS, "cutoff": CUTOFF, "n_layers": N_LAYERS, "dtype": dtype}
    return amp_tf.GNN(**shared) if name == "GNN" else amp_tf.AMP(max_order=int(name[4:-1]), **shared)


def measure(name: str, potential: Potential, n_atoms: int, rate: float, batch: int = BATCH) -> list[Row]:
    """Time, operations, limit and their ratio for energy with gradient and for a training step of one model.

    Args:
        name: of the model in the rows.
        potential: whose steps are timed.
        n_atoms: of each random molecule.
        rate: floating-point operations a second of one large matrix product.
        batch: molecules.
    """
    random, dtype = np.random.default_rng(n_atoms), potential.compute_dtype
    arrays = potential.build_graph([grown(n_atoms, random) for _ in range(batch)])
    graph = MolecularGraph(*(tf.constant(array) for array in arrays))
    labels = {"energy": tf.zeros(batch, dtype), "qm_gradients": tf.zeros(graph.positions.shape, dtype)}
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
        potential.compute_systems([grown(n_atoms, random) for _ in range(n_systems)])
    return potential.n_traces


MODELS, ATOMS = "GNN,AMP(0),AMP(1),AMP(2),AMP(3)", "12,50"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    models: Annotated[str, typer.Option(help="Comma-separated.")] = MODELS,
    atoms: Annotated[str, typer.Option(help="Atoms a molecule, comma-separated.")] = ATOMS,
) -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate(dtype)
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores, {dtype}; product of {MATRIX_SIZE}² matrices: {1e-9 * rate:.0f} GFLOP/s")
    print(f"batches of {BATCH} random molecules, cut-off {CUTOFF} angstrom, {N_LAYERS} layers; limit: matrix products alone at that rate\n")
    cases = [(name, int(n_atoms)) for n_atoms in atoms.split(",") for name in models.split(",")]
    rows = [entry for name, n_atoms in cases for entry in measure(name, make_potential(name, dtype), n_atoms, rate)]
    print(table(rows))
    print(f"\ntraces of the compiled evaluation after five batches of changing sizes: {count_traces(dtype)}")
    if (models, atoms) != (MODELS, ATOMS):
        print("other models or sizes than those of the documentation: no result is written")
        return
    path = write_result(
        "step_time", dtype, rows, started, RESULTS, seeds=None, data="random molecules",
        settings={"layers": N_LAYERS, "cutoff": CUTOFF, "batch": BATCH},
        matrix_product_gflop_per_second=1e-9 * rate,
    )  # fmt: skip
    print(f"wrote {path}")


if __name__ == "__main__":
    app()
