"""Writing files so that they are whole or not there, whatever happens."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amp_tf.errors import AmpTFError


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A path beside ``path`` to write to, of the same ending; it takes the place of ``path`` when the block ends well.

    The content is flushed to the disk before it is renamed, and deleted if the block fails: ``path`` is always the old or the new file.

    Raises:
        AmpTFError: if the disk is full or the folder cannot be written to; says so in one sentence.
    """
    path = Path(path)
    partial = path.with_name(f"partial.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as RuntimeError
        if isinstance(error, AmpTFError):
            raise
        raise AmpTFError(_reason(path, error)) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file as :func:`whole_file` does."""
    with whole_file(path) as partial:
        partial.write_text(text)


def _reason(path: Path, error: Exception) -> str:
    if getattr(error, "errno", None) == errno.ENOSPC or f"errno = {errno.ENOSPC}" in str(error):
        return f"The disk of {path.parent} is full: free some space."
    return f"{path} cannot be written ({' '.join(str(error).split())[:200]}): choose another place."
