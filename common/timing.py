"""Measuring time and memory beside the limit that matrix products set."""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

MATRIX_SIZE = 3000


def median_time(function: Callable[[], object], seconds: float = 2.0) -> float:
    """Median seconds of a call, after two calls that do not count; at least five calls."""
    return median_times([function], seconds)[0]


def median_times(functions: Sequence[Callable[[], object]], seconds: float = 2.0) -> list[float]:
    """Those of several functions that are called in turn: what slows the machine for a while slows all. ``seconds`` are for each."""
    for function in functions:
        function(), function()
    times, end = [[] for _ in functions], time.perf_counter() + len(functions) * seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for function, of_function in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            of_function.append(time.perf_counter() - start)
    return [statistics.median(of_function) for of_function in times]


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
