"""Files as ``torch.save`` writes them, made without PyTorch."""

import pickle
import zipfile
from pathlib import Path

import numpy as np

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
TYPES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def plain(value) -> bytes:
    """The opcodes of numbers, texts and tuples, without the frame of a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(key: int, array: np.ndarray, **changed) -> bytes:
    """The opcodes of a contiguous tensor; ``changed`` are other ``size``, ``offset``, ``shape`` or ``strides`` than the true ones."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    said = {"size": array.size, "offset": 0, "shape": array.shape, "strides": strides} | changed
    storage = (
        b"(" + plain("storage") + b"ctorch\n" + TYPES[str(array.dtype)].encode() + b"\n"
        + plain(str(key)) + plain("cuda:0") + plain(said["size"]) + b"tQ"
    )  # fmt: skip
    rest = plain(said["offset"]) + plain(said["shape"]) + plain(said["strides"]) + b"\x89" + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def state_dict(tensors: dict[str, bytes]) -> bytes:
    """The pickle of an ordered dict of tensors with the attribute ``_metadata`` that PyTorch gives it."""
    items = b"".join(plain(name) + opcodes for name, opcodes in tensors.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u}" + plain("_metadata") + ORDERED_DICT + b"sb."


def write(path: Path, arrays: dict[str, np.ndarray], content: bytes | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file of ``arrays``; ``content`` takes the place of their pickle."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if content is None:
        content = state_dict({name: tensor(key, array) for key, (name, array) in enumerate(arrays.items())})
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("model/data.pkl", content)
        archive.writestr("model/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"model/data/{key}", array.tobytes())
        archive.writestr("model/version", "3\n")
    return path
