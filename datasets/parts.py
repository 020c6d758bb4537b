"""Crash-safe building: each finished calculation is one small file at once, and a rerun continues where the last one ended."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from amp_tf.errors import AmpTFError, InputError

Arrays = dict[str, np.ndarray]


class Parts:
    """A folder of finished calculations, one ``<name>.npz`` each, that belongs to one set of settings.

    Every part is written under another name, flushed to the disk and renamed, so that a part that exists is complete, whatever happened.

    Raises:
        InputError: if the folder holds parts of other settings.
    """

    def __init__(self, folder: Path | str, settings: Mapping[str, object]):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        record = self.folder / "settings.json"
        text = json.dumps(settings, sort_keys=True, indent=1)
        if record.is_file() and record.read_text() != text:
            raise InputError(
                f"{self.folder} holds parts of another engine, version or setting; remove that folder or choose another output."
            )
        _write_atomically(record, text.encode())

    def __contains__(self, name: str) -> bool:
        return self._path(name).is_file()

    def __getitem__(self, name: str) -> Arrays:
        with np.load(self._path(name), allow_pickle=False) as part:
            return dict(part)

    def __setitem__(self, name: str, arrays: Arrays) -> None:
        partial = self._path(name).with_suffix(".partial")
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def run_all(
    tasks: Mapping[str, object], compute: Callable[[object], Arrays], parts: Parts, workers: int = 1, title: str = "building"
) -> None:
    """Compute every task that has no part yet, in parallel processes, with a progress bar and the time left.

    Args:
        tasks: the argument of ``compute`` by the name of its part.
        compute: a function that can be sent to another process.
        parts: where the results go.
        workers: processes.
        title: what the progress bar is called.

    Raises:
        AmpTFError: if the run was interrupted, the disk is full, or a calculation failed; says how many are finished and how to go on.
    """
    waiting = {name: task for name, task in tasks.items() if name not in parts}
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(waiting), desc=title, unit="calculation", smoothing=0.05)
    calls = (joblib.delayed(_named)(compute, name, task) for name, task in waiting.items())
    try:
        with bar:
            for name, arrays in joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="2*n_jobs")(calls):
                parts[name] = arrays
                bar.update()
    except (KeyboardInterrupt, OSError, AmpTFError) as error:
        reason = _reason(error, parts.folder)
        finished = sum(name in parts for name in tasks)
        raise AmpTFError(
            f"{reason} {finished} of {len(tasks)} calculations are finished and kept in {parts.folder}; run the same command to go on."
        ) from error


def fingerprint(text: str) -> str:
    """A short sha256 of ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _named(compute: Callable[[object], Arrays], name: str, task: object) -> tuple[str, Arrays]:
    return name, compute(task)


def _reason(error: BaseException, folder: Path) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk of {folder} is full: free some space."
    return f"{error}"


def _write_atomically(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
