"""Speed of AMP(k)-DP on water clusters: training steps beside their matrix-product limit, time of one inference. ``make benchmark``.

A training step takes energies and both gradients as labels; energy, QM and MM gradients and the gradient of the parameters are counted.
"""

import multiprocessing
import os
import time

import keras
import tensorflow as tf
import typer

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import FrameGroup
from amp_tf.graph import MolecularGraph
from amp_tf.training.config import MODELS as CLASSES
from benchmarks.step_time import QUANTITIES, RESULTS
from common.cluster_models import DATA, MODELS, SIZES, data_record
from common.results import Row, format_table, row, write_result
from common.timing import matrix_product_operations, matrix_product_rate, median_time
from datasets.water_clusters import TRAINING_GROUP

BATCH = 16
LABELS = ("energy", "qm_gradients", "mm_gradients")


def make_potential(model: str, preset: str):
    """The untrained potential of a preset of Figure 3."""
    arguments = {**MODELS[model], **SIZES[preset][model]}
    return CLASSES[arguments.pop("type")](elements=("H", "O"), **arguments)


def make_training_step(model: str, preset: str, group: FrameGroup):
    """The potential, a function that takes the fields of a graph through one training step, and the graph of a batch."""
    potential = make_potential(model, preset)
    graph = MolecularGraph(*map(tf.constant, potential.build_graph([group.system(frame) for frame in range(BATCH)])))
    labels = {
        "energy": tf.zeros(BATCH),
        "qm_gradients": tf.zeros(graph.positions.shape),
        "mm_gradients": tf.zeros(graph.mm_positions.shape),
    }
    optimizer = keras.optimizers.Adam(1e-5, global_clipnorm=1.0)
    potential.compile(optimizer, loss=dict.fromkeys(LABELS, "mse"))
    optimizer.build(potential.trainable_variables)
    return potential, lambda *fields: potential.train_step((MolecularGraph(*fields), labels))["loss"], graph


def training_step_rows(model: str, preset: str, group: FrameGroup, rate: float) -> list[Row]:
    """Time, operations, limit and ratio of one training step, in graph mode and compiled with XLA: in one run on all cores, and of as many
    runs as there are cores side by side, where the time is that in which all of them together take one step."""
    potential, step, graph = make_training_step(model, preset, group)
    operations = matrix_product_operations(tf.function(step).get_concrete_function(*graph))
    rows = []
    for mode, xla in (("graph", False), ("XLA", True)):
        compiled = tf.function(step, jit_compile=xla)
        times = {
            f"training step, {mode}": median_time(lambda compiled=compiled: compiled(*graph).numpy()),
            f"training step, {mode}, a run on each core": _side_by_side(model, preset, xla),
        }
        for work, seconds in times.items():
            values = (1e3 * seconds, 1e-9 * operations, 1e3 * operations / rate, seconds * rate / operations)
            identifiers = {"model": model, "parameters": potential.count_params(), "qm_mm_pairs": len(graph.mm_senders), "work": work}
            rows += [row(metric, unit, value, **identifiers) for (metric, unit), value in zip(QUANTITIES.items(), values, strict=True)]
    return rows


def _side_by_side(model: str, preset: str, xla: bool) -> float:
    """Seconds a step of as many processes of one thread as there are cores, all together."""
    context, n_cores = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    barrier, times = context.Barrier(n_cores), context.Queue()
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # read by the processes that start now; this one has its threads
    processes = [context.Process(target=_time_steps, args=(model, preset, xla, barrier, times)) for _ in range(n_cores)]
    for process in processes:
        process.start()
    del os.environ["TF_NUM_INTRAOP_THREADS"]
    seconds = [times.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    return 1 / sum(1 / of_one for of_one in seconds)


def _time_steps(model: str, preset: str, xla: bool, barrier, times) -> None:
    group = next(group for group in read_reference_data(DATA).groups if group.name == TRAINING_GROUP)
    _, step, graph = make_training_step(model, preset, group)
    compiled = tf.function(step, jit_compile=xla)
    compiled(*graph)
    barrier.wait(300)
    times.put(median_time(lambda: compiled(*graph).numpy(), seconds=5.0))


def inference_rows(model: str, preset: str, group: FrameGroup) -> list[Row]:
    """Median time of ``compute`` on one cluster with changing numbers of MM particles, NumPy to NumPy, and the number of traces."""
    system, rows = group.system(0), []
    for mode, xla in (("graph", False), ("XLA", True)):
        potential = make_potential(model, preset)
        if xla and potential.message_cutoff != "smooth":
            continue
        numbers = iter(range(10**9))

        def compute(potential=potential, numbers=numbers, xla=xla):
            n_mm = len(system.mm_charges) - 3 * (next(numbers) % 5)
            mm = system.mm_positions[:n_mm], system.mm_charges[:n_mm]
            return potential.compute(system.atomic_numbers, system.positions, *mm, xla=xla)

        for _ in range(5):
            compute()  # every number of particles once: XLA compiles the two sizes that these are filled up to
        seconds = median_time(compute)
        identifiers = {"model": model, "parameters": potential.count_params(), "qm_mm_pairs": 3 * len(system.mm_charges)}
        identifiers |= {"work": f"inference, {mode}"}
        rows += [row("time", "ms", 1e3 * seconds, **identifiers), row("traces", "", potential.n_traces, **identifiers)]
    return rows


def table(rows: list[Row]) -> str:
    """One line a model and kind of work."""
    keys = ("model", "parameters", "qm_mm_pairs", "work")
    lines: dict[tuple, dict[str, float]] = {}
    for entry in rows:
        lines.setdefault(tuple(entry[key] for key in keys), {})[entry["metric"]] = entry["value"]
    header = [
        "model",
        "parameters",
        "QM-MM pairs",
        "work",
        *(f"{metric}, {unit}" if unit else metric for metric, unit in QUANTITIES.items()),
    ]
    return format_table(
        [*header, "traces"], [[*key, *(values.get(name) for name in (*QUANTITIES, "traces"))] for key, values in lines.items()]
    )


def main() -> None:
    """Print the table and write it to ``benchmarks/results``."""
    started, rate = time.perf_counter(), matrix_product_rate("float32")
    groups = {group.name: group for group in read_reference_data(DATA).groups}
    largest = groups[max(name for name in groups if name != TRAINING_GROUP)]
    rows = []
    for preset in ("laptop", "paper"):
        rows += training_step_rows("AMP(2)", preset, groups[TRAINING_GROUP], rate) + inference_rows("AMP(2)", preset, largest)
    size = int(largest.frame_properties["size"][0])
    print(f"\nwater clusters: training on batches of {BATCH} clusters of 10 molecules, inference on one of {size}\n")
    print(table(rows))
    path = write_result(
        "embedding", "float32", rows, started, RESULTS, seeds=None, data=data_record(), matrix_product_gflop_per_second=1e-9 * rate
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    typer.run(main)
