"""Work in processes of one thread each, which use the cores better than one process of several threads does on small models."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib

from amp_tf.progress import progress_bar
from datasets.parts import in_worker


def in_processes(
    compute: Callable[..., Any], calls: Sequence[tuple], title: str, tell: Callable[[Any], str], workers: int | None = None
) -> Iterator[Any]:
    """``compute(*arguments)`` of each call as it ends, in any order.

    Args:
        compute: a function of a module, whose results can be pickled.
        calls: the arguments of each.
        title: of the progress bar.
        tell: a line about a result, which is printed.
        workers: processes; by default one a core that this process may use (LOKY_MAX_CPU_COUNT sets fewer).
    """
    tasks = [joblib.delayed(in_worker)(os.getpid(), _with_one_thread, compute, *arguments) for arguments in calls]
    bar = progress_bar(total=len(tasks), unit="run", desc=title)
    with bar:
        for result in joblib.Parallel(n_jobs=workers or joblib.cpu_count(), return_as="generator_unordered")(tasks):
            bar.write(tell(result))
            bar.update()
            yield result


def _with_one_thread(compute: Callable[..., Any], *arguments: Any) -> Any:
    """``compute(*arguments)``; TensorFlow reads the numbers at its first operation, also in a worker that has done other work before."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return compute(*arguments)
