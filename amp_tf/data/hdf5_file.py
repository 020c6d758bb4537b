"""HDF5 without its surprises: what is open elsewhere, lies outside the file, declares more than it holds, or meets a full disk."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5, h5a, h5o

from amp_tf.errors import DataFileError

LIBVER = ("v110", "v110")
"""Files are written in the newest layout that every supported h5py reads; its metadata have checksums."""

_DEFLATE = 1032  # the most that gzip makes of a byte
_HARMLESS = 1 << 26  # bytes that any file may declare


def open_for_reading(path: Path) -> h5py.File:
    """An HDF5 file, open.

    Raises:
        DataFileError: if another program is writing it.
        OSError: if it is no HDF5 file, or damaged.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if isinstance(error, BlockingIOError) or "unable to lock file" in str(error):
            raise DataFileError(f"{path}: in use by another program, which is writing it; wait until it has closed the file.") from error
        if "already open for write" in str(error):
            raise DataFileError(
                f"{path}: the program that wrote it is still writing or was ended before it closed it; write it again."
            ) from error
        raise


@contextmanager
def open_for_writing(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file to write to. What the disk refuses ends as an error after the file is closed, so that HDF5 never knows of it: a full
    disk would end the process inside HDF5.

    Raises:
        OSError: as the disk reports it.
    """
    with open(path, "wb+", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w", libver=LIBVER) as file:
                yield file
        finally:
            if sink.error is not None:
                raise sink.error


class _Sink(io.RawIOBase):
    """A file for h5py that keeps the first error of the disk to itself and takes all that comes after it for written."""

    def __init__(self, raw: io.FileIO):
        self._raw, self.error = raw, None
        self.seek, self.tell, self.readinto = raw.seek, raw.tell, raw.readinto

    def write(self, data) -> int:
        data, written = memoryview(data), 0
        while written < len(data) and self.error is None:
            written += self._try(self._raw.write, data[written:])
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        return self._try(self._raw.truncate, size) if self.error is None else 0

    def _try(self, action: Callable[..., int], argument) -> int:
        try:
            return action(argument)
        except OSError as error:
            self.error = error
            return 0


def check_stored(dataset: h5py.Dataset | h5py.Group | None, what: str) -> None:
    """Check from the header that the numbers of a dataset lie in its file.

    Raises:
        DataFileError: if it is none, without values, in other files, or declared larger than what the file holds of it can be.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise DataFileError(f"{what} is no dataset; build the file again.")
    if dataset.shape is None:
        raise DataFileError(f"{what} is empty; write its values into it.")
    if dataset.external or dataset.is_virtual:
        raise DataFileError(f"{what} lies outside the file; copy the values into it.")
    chunk = int(np.prod(dataset.chunks or (0,), dtype=object)) * dataset.dtype.itemsize
    declared, held = max(int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize, chunk), dataset.id.get_storage_size()
    if declared > max(_HARMLESS, _DEFLATE * held):
        raise DataFileError(f"{what} declares {declared:.3g} bytes, but the file holds {held:.3g} of them; copy or build it again.")


# HDF5 (as of 1.14.6), asked for names in their order, first makes a table of them, and where the file is damaged frees pointers of it
# that were never set: the process dies. Asked in the order of the file it makes none; sorted here, the names come as h5py has them.


def names(group: h5py.Group) -> list[str]:
    """The names in a group, in alphabetical order."""
    found: list[bytes] = []
    group.id.links.iterate(found.append, order=h5.ITER_NATIVE)
    return [_text(name) for name in sorted(found)]


def paths(file: h5py.File) -> list[str]:
    """The paths of all groups and datasets of a file, group by group in alphabetical order."""
    found: list[bytes] = []
    h5o.visit(file.id, found.append, order=h5.ITER_NATIVE)
    return [_text(name) for name in sorted(found, key=lambda name: name.split(b"/"))]


def attributes(place: h5py.Group | h5py.Dataset) -> dict[str, object]:
    """The attributes of a group or dataset by name, in alphabetical order."""
    found: list[bytes] = []
    h5a.iterate(place.id, found.append, order=h5.ITER_NATIVE)
    return {_text(name): place.attrs[_text(name)] for name in sorted(found)}


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def item(group: h5py.Group, name: str, where: str) -> h5py.Dataset | h5py.Group:
    """An entry of a group that stands in the group itself.

    Raises:
        DataFileError: if it is a link to another place or file.
    """
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DataFileError(f"{where}: {name} is a link, which may lead out of the file; copy the values into it.")
    return group[name]


class WatchedDataset(h5py.Dataset):
    """A dataset of an open file whose values are those that the file held when it was opened.

    Raises:
        DataFileError: on reading, if the file was changed since.
    """

    def __init__(self, dataset: h5py.Dataset):
        super().__init__(dataset.id)
        self._stamp = self._now()

    def __getitem__(self, *args, **kwargs) -> np.ndarray:
        values = super().__getitem__(*args, **kwargs)
        if self._now() != self._stamp:  # after reading: what was read before a change is what was checked
            raise DataFileError(f"{self.file.filename} was changed after it was checked; run the same command again.")
        return values

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self.file.id.get_vfd_handle())
        return status.st_mtime_ns, status.st_size
