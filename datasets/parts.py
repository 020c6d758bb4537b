"""Crash-safe building: each finished calculation is one small file at once, and a rerun continues where the last one ended."""

import atexit
import concurrent.futures
import functools
import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import typer

from amp_tf.errors import AmpTFError, EngineError, InputError
from amp_tf.files import PARTIAL, check_outputs, whole_file, write_text
from amp_tf.npz import read_npz
from amp_tf.progress import progress_bar

Arrays = dict[str, np.ndarray]


class Parts:
    """A folder of finished calculations, one ``<name>.npz`` each, that belongs to one set of settings.

    Every part is written under another name, flushed to the disk and renamed, so that a part that exists is complete, whatever happened.

    Raises:
        InputError: if the folder holds parts of other settings.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, object]):
        self.folder = Path(folder)
        check_outputs([self.folder / "settings.json"])
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record, self._settings = self.folder / "settings.json", json.dumps(settings, sort_keys=True, indent=1)
        finished = any(not path.name.startswith(PARTIAL) for path in self.folder.glob("*.npz"))
        if finished and not self._are_mine():
            raise InputError(
                f"{self.folder} holds parts of another engine, version or setting; remove that folder or choose another output."
            )
        write_text(self._record, self._settings)

    def __contains__(self, name: str) -> bool:
        return self._path(name).is_file()

    def __getitem__(self, name: str) -> Arrays:
        return read_npz(self._path(name))

    def __setitem__(self, name: str, arrays: Arrays) -> None:
        if not self._are_mine():
            raise InputError(f"{self.folder} was taken by a command with other settings; choose another output.")
        with whole_file(self._path(name)) as partial:
            np.savez(partial, **arrays)

    def __delitem__(self, name: str) -> None:
        self._path(name).unlink()

    def _are_mine(self) -> bool:
        """Whether the recorded settings are those of this object."""
        return self._record.is_file() and self._record.read_bytes() == self._settings.encode()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def run_all(
    tasks: Mapping[str, object], compute: Callable[[object], Arrays], parts: Parts, workers: int = 1, title: str = "building",
    dask: str | None = None,
) -> None:  # fmt: skip
    """Compute every task that has no part yet, in parallel processes, with a progress bar and the time left.

    Args:
        tasks: the argument of ``compute`` by the name of its part.
        compute: a function that can be sent to another process.
        parts: where the results go.
        workers: processes.
        title: what the progress bar is called.
        dask: address of a Dask scheduler, whose workers then compute instead of local processes. Scheduler and workers run in this
            checkout (or with it on PYTHONPATH), with the engine that is installed here.

    Raises:
        AmpTFError: if the run was interrupted, the disk is full, or ``compute`` raised one; says how many are finished and how to go on.
    """
    waiting = {name: task for name, task in tasks.items() if name not in parts}
    bar = progress_bar(total=len(tasks), initial=len(tasks) - len(waiting), desc=title, unit="calculation", smoothing=0.05)
    finished = _on_dask(compute, waiting, dask) if dask else _on_this_machine(compute, waiting, workers)
    try:
        with bar:
            for name, arrays in finished:
                parts[name] = arrays
                bar.update()
    except (KeyboardInterrupt, AmpTFError, concurrent.futures.BrokenExecutor) as error:
        if isinstance(error, concurrent.futures.BrokenExecutor):
            reason = "A worker process was ended from outside (out of memory?)."
        else:
            reason = "Interrupted." if isinstance(error, KeyboardInterrupt) else f"{str(error).rstrip('.')}."
        n_finished = sum(name in parts for name in tasks)
        raise AmpTFError(
            f"{reason} {n_finished} of {len(tasks)} calculations are finished and kept in {parts.folder}; run the same command to go on."
        ) from error


def _on_this_machine(compute, waiting: Mapping[str, object], workers: int) -> Iterator[tuple[str, Arrays]]:
    calls = (joblib.delayed(in_worker)(os.getpid(), _named, compute, name, task) for name, task in waiting.items())
    # one task at a time: joblib would send short ones in batches, which kill -9 loses whole
    yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="2*n_jobs", batch_size=1)(calls)


def _on_dask(compute, waiting: Mapping[str, object], address: str) -> Iterator[tuple[str, Arrays]]:
    try:
        import distributed
    except ImportError as error:
        raise InputError("Dask is not installed; install it with: pip install 'amp_tf[cluster]'") from error
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address}; start one with 'dask scheduler', and workers.") from error
    with client:
        try:
            for where in (client.run_on_scheduler, client.run):
                where(importlib.import_module, "datasets.parts")
        except ImportError as error:
            raise InputError(f"Dask at {address} cannot import our package 'datasets'; start it in this checkout.") from error
        futures = [client.submit(_named, compute, name, task, pure=False) for name, task in waiting.items()]
        try:
            for future in distributed.as_completed(futures):
                yield future.result()
        except (distributed.KilledWorker, distributed.client.FutureCancelledError, OSError) as error:
            raise EngineError(f"Dask at {address} lost its workers ({' '.join(str(error).split())[:200]}).") from error


def in_worker(parent: int, compute: Callable[..., Any], *arguments: object) -> Any:
    """``compute(*arguments)`` in a process that ends with ``parent``, for joblib, whose workers would outlive a parent that is killed."""
    if os.getpid() != parent:
        _end_with(parent)
    return compute(*arguments)


@functools.cache
def _end_with(builder: int) -> None:
    """End this process, and the programs that it runs, when the process ``builder``, its parent, has ended."""

    def watch():
        while os.getppid() == builder:
            time.sleep(1.0)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # which ends a program that the main thread waits for
        time.sleep(1.0)
        threading.Thread(target=atexit._run_exitfuncs, daemon=True).start()  # which ends the programs that run on
        time.sleep(2.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _named(compute: Callable[[object], Arrays], name: str, task: object) -> tuple[str, Arrays]:
    return name, compute(task)


def failures_of(results: Mapping[str, Arrays], parts: Parts) -> list[str]:
    """A line for every part that holds a ``failure`` instead of results.

    Raises:
        EngineError: if all do: then something else is wrong than single frames. Their parts are deleted, so that the same command tries
            them again.
    """
    failures = [f"{name}: {result['failure']}" for name, result in results.items() if "failure" in result]
    if failures and len(failures) == len(results):
        for name in results:
            del parts[name]
        raise EngineError(f"all {len(results)} calculations failed, the first: {failures[0]}")
    return failures


def report(build: Callable[[], tuple[Path, str, list[str]]]) -> None:
    """Run a builder for the command line: ``build`` gives the file, its sha256 and a line for every frame that was left out.

    Errors that amp_tf raises on purpose end with their sentence and exit status 1.
    """
    try:
        output, digest, failures = build()
    except AmpTFError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    for failure in failures:
        typer.echo(f"left out: {failure}", err=True)
    if failures:
        typer.echo(f"to try these again, delete their files in {output}.parts and run the same command.", err=True)
    typer.echo(f"{output}: sha256 {digest}; {len(failures)} frames left out")
