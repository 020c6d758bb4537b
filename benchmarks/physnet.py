"""Time of PhysNet's training steps and of energies with gradients, beside the time of their matrix products alone.

``python -m benchmarks.physnet``; what the limit is stands in :mod:`benchmarks.step_time`.
"""

import time

import tensorflow as tf
import typer

import amp_tf
from benchmarks.step_time import RESULTS, measure, table
from common.results import write_result
from common.timing import matrix_product_rate

BATCH = 32
"""Molecules, as published."""

SIZES = {"published": {}, "F 64, K 32, M 3": {"n_features": 64, "n_radial": 32, "n_layers": 3}}
CASES = ((9, False), (6, True), (21, False))
"""Atoms, and whether charges interact: as of ethanol, a reaction at methyl, and aspirin."""

ELEMENTS = ("H", "C", "N", "O")


def main() -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate("float32")
    rows = []
    for size, arguments in SIZES.items():
        for n_atoms, charges in CASES:
            potential = amp_tf.PhysNet(ELEMENTS, charges=charges, **arguments)
            rows += measure(f"PhysNet, {size}{', charges' if charges else ''}", potential, n_atoms, rate, BATCH)
    print(f"TensorFlow {tf.__version__}; batches of {BATCH} random molecules; one large matrix product: {1e-9 * rate:.0f} GFLOP/s\n")
    print(table(rows))
    settings = {"matrix_product_gflop_per_second": 1e-9 * rate, "settings": {"batch": BATCH}}
    print(f"\nwrote {write_result('physnet', 'float32', rows, started, RESULTS, seeds=None, data='random molecules', **settings)}")


if __name__ == "__main__":
    typer.run(main)
