"""Loading of saved potentials, after checks that name what is wrong with a file."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras

from amp_tf.errors import DataFileError
from amp_tf.files import check_archive
from amp_tf.models.potential import Potential


def load_potential(path: Path | str) -> Potential:
    """Load a saved potential with Keras's safe mode.

    Raises:
        DataFileError: if the file is missing, damaged, or not a potential of amp_tf.
    """
    path = Path(path)
    require_potential_file(path)
    try:
        potential = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataFileError(
            f"{path}: the saved potential cannot be read ({reason}); copy it again, or install the amp_tf that wrote it."
        ) from error
    return potential


def require_potential_file(path: Path) -> dict[str, Any]:
    """The Keras configuration inside a ``.keras`` file, after checking that it is a potential of amp_tf.

    Raises:
        DataFileError: as :func:`load_potential`.
    """
    if not path.is_file():
        raise DataFileError(f"{path}: no such file; give the path of a .keras file that amp_tf saved.")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            config = json.loads(archive.read("config.json"))
            damaged = archive.testzip()
    except DataFileError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RuntimeError, zlib.error) as error:  # what zipfile makes of damaged bytes
        raise DataFileError(f"{path}: damaged or not a .keras file ({error}); copy it again.") from error
    if damaged:
        raise DataFileError(f"{path}: the part {damaged!r} is damaged; copy the file again.")
    kind = config.get("registered_name") if isinstance(config, dict) else None
    if not str(kind).startswith("amp_tf>"):
        raise DataFileError(f"{path}: not a potential of amp_tf (it is {kind!r}); give a file that amp_tf saved.")
    return config
