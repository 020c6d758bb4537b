"""Reading of ``.npz`` files that may be damaged, or no such files."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from amp_tf.errors import DataFileError
from amp_tf.files import check_archive


def read_npz(path: Path, required: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of a file by name. The file's checksums are compared, and the sizes that it declares, before memory is taken.

    Raises:
        DataFileError: if it is damaged, or lacks one of ``required``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            for entry in archive.infolist():
                _check_header(archive, entry)
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if lacking := set(required) - set(arrays):
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    except Exception as error:  # whatever zipfile and NumPy make of damaged bytes
        raise DataFileError(f"{path} is damaged; delete it and run the same command again.") from error
    return arrays


def _check_header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Check that an array is as large as its header says."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
        if math.prod(shape) * kind.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} declares the shape {shape}")
