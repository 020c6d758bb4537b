"""Tensors out of files that ``torch.save`` wrote, without PyTorch and without running what a pickle asks for."""

import io
import math
import pickle
import pickletools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amp_tf.errors import DataFileError
from amp_tf.files import no_file

STORAGES = {"FloatStorage": "f4", "DoubleStorage": "f8"}
"""Types of storage that are read, and their NumPy types."""

LARGEST_PICKLE = 16 * 2**20
"""Bytes; that of a state dict holds names and shapes alone."""


def read_state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict by name.

    The file is a zip: a pickle of names and shapes, and the raw numbers of each tensor. Of the pickle, three globals have a meaning here
    (``OrderedDict``, ``_rebuild_tensor_v2``, the storages); any other is refused, so that no code of the file is run.

    Raises:
        DataFileError: if the file is missing, damaged, in another format, or asks for anything but tensors of single or double precision.
    """
    path = Path(path)
    if stands := no_file(path):
        raise DataFileError(f"{path}: {stands}; give the path of a PyTorch state dict.")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except _Refused as error:
        raise DataFileError(f"{path}: {error}") from error
    except zipfile.BadZipFile as error:
        raise DataFileError(f"{path}: damaged or not a file of PyTorch 1.6 or later ({error}); copy it again.") from error
    except (pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, MemoryError, OSError,
            RuntimeError, NotImplementedError, OverflowError, RecursionError,
            struct.error, zlib.error) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataFileError(f"{path}: damaged or not a PyTorch state dict ({reason}); copy it again.") from error


class _Refused(Exception):
    """What a file asks for and must not have: the rest of the sentence."""


@dataclass(frozen=True)
class _Storage:
    type: str
    key: str
    size: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    pickles = [member for member in archive.infolist() if member.filename.endswith("/data.pkl") and member.filename.count("/") == 1]
    if len(pickles) != 1:
        raise _Refused("not a file of torch.save (it holds no data.pkl); give a PyTorch state dict.")
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise _Refused("its parts are compressed, which torch.save never does; give the file as it was published.")
    if pickles[0].file_size > LARGEST_PICKLE:
        raise _Refused(f"its pickle has {pickles[0].file_size} bytes, more than a state dict needs; give a PyTorch state dict.")
    folder = pickles[0].filename.removesuffix("data.pkl")
    order = ">" if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder").strip() == b"big" else "<"
    content = archive.read(pickles[0])
    if any(code.name in ("PUT", "LONG_BINPUT") and argument > len(content) for code, argument, _ in pickletools.genops(content)):
        raise _Refused("its pickle asks for more memory than a state dict needs; it is not read.")
    entries = _Unpickler(io.BytesIO(content)).load()
    if not isinstance(entries, dict) or not all(
        isinstance(name, str) and isinstance(entry, _Tensor) for name, entry in entries.items()
    ):  # fmt: skip
        raise _Refused("not a state dict, which maps names to tensors and holds nothing else; save model.state_dict().")
    held = sum(member.file_size for member in archive.infolist())
    if sum(_n_bytes(entry) for entry in entries.values()) > 2 * held:  # tensors may share a storage, but not by the hundreds
        raise _Refused("its tensors would take many times the memory of the file; copy it again.")
    return {str(name): _array(name, entry, archive, folder, order) for name, entry in entries.items()}


def _n_bytes(tensor: _Tensor) -> int:
    """What a tensor takes that lies within its storage; others are refused later."""
    counts, size = [count for count in tensor.shape if type(count) is int and count >= 0], tensor.storage.size
    return min(math.prod(counts), size if type(size) is int else 0) * np.dtype(STORAGES[tensor.storage.type]).itemsize


class _Unpickler(pickle.Unpickler):
    """Gives :class:`_Tensor` for tensors and refuses every global that a state dict does not need.

    The three stand-ins are made anew for each file: a pickle that changed their attributes would change nothing else.
    """

    def find_class(self, module: str, name: str) -> Any:
        class Entries(dict):
            pass

        def tensor(storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None):
            return _Tensor(storage, offset, tuple(shape), tuple(strides))

        stand_ins = {("collections", "OrderedDict"): Entries, ("torch._utils", "_rebuild_tensor_v2"): tensor}
        stand_ins |= {("torch", storage): storage for storage in STORAGES}
        if (module, name) not in stand_ins:
            raise _Refused(f"it asks for {module}.{name}, which no state dict of numbers needs; it is not read.")
        return stand_ins[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, size = pid
        if kind != "storage" or storage_type not in STORAGES:
            raise _Refused("it refers to something else than a storage of numbers; it is not read.")
        return _Storage(storage_type, str(key), size)


def _array(name: str, tensor: _Tensor, archive: zipfile.ZipFile, folder: str, order: str) -> np.ndarray:
    """A copy of the numbers of a tensor, after checks that it stays within its storage."""
    storage = tensor.storage
    counts = (storage.size, tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(count) is int and count >= 0 for count in counts) or len(tensor.shape) != len(tensor.strides):
        raise _Refused(f"the shape of {name!r} makes no sense; copy the file again.")
    values = np.frombuffer(archive.read(f"{folder}data/{storage.key}"), order + STORAGES[storage.type])
    last = tensor.offset + sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.strides, strict=True))
    is_inside = 0 in tensor.shape or (last < storage.size and math.prod(tensor.shape) <= storage.size)
    if len(values) != storage.size or not is_inside:
        raise _Refused(f"{name!r} has another size than its numbers; copy the file again.")
    strides = tuple(stride * values.itemsize for stride in tensor.strides)
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides)
    return view.astype(STORAGES[storage.type])
