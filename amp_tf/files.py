"""Writing files so that they are whole or not there, whatever happens, and checking them before work starts."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import threading
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amp_tf.errors import AmpTFError, DataFileError, InputError

PARTIAL = "partial."
"""What the names of files begin with that are being written."""

LOCK = "amp_tf.lock"
"""The empty file in a run folder that its owner holds, and deletes."""

LONGEST_NAME = 255
"""Bytes of a file's name that file systems allow."""

ARCHIVE_INFLATION = 100
"""A zip file of numbers that grows by more than this as it is read is none of ours."""

_BLOCK = 1 << 20

_LIST = re.compile(r"\[\n[^\[\]{}\"]*\]")  # of numbers; within a string no line ends


def check_outputs(outputs: Iterable[Path | str], inputs: Mapping[str, Path | str | None] | None = None) -> None:
    """Check, before work starts, that each file of ``outputs`` can be written and that none of them is one of ``inputs``.

    Nothing is created. An existing file may be replaced; links, devices, pipes and write-protected files may not.

    Args:
        outputs: files.
        inputs: files by what they are, in words; None among them is passed over.

    Raises:
        InputError: naming the output and the remedy.
    """
    inputs = {what: Path(path) for what, path in (inputs or {}).items() if path is not None}
    for output in outputs:
        try:
            _check_output(Path(output), inputs)
        except (OSError, ValueError) as error:  # ValueError: a name with NUL
            if isinstance(error, InputError):
                raise
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{_shown(output)} cannot be written ({reason}); choose another output.") from error


def _check_output(output: Path, inputs: Mapping[str, Path]) -> None:
    try:
        os.fspath(output).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{_shown(output)}: the name is not UTF-8; choose another output.") from error
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in output.parts):
        raise InputError(f"{_shown(output)}…: the name is too long; choose another output.")
    mode = None
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = output.lstat().st_mode
    if mode is not None:
        if stat.S_ISDIR(mode):
            raise InputError(f"{output} is a folder; give the name of a file.")
        if stat.S_ISLNK(mode):
            raise InputError(f"{output} is a symbolic link, which would be replaced; give the file that it points to.")
        if not stat.S_ISREG(mode):
            raise InputError(f"{output} is a device or pipe, no regular file; choose another output.")
        if not mode & 0o222 or not os.access(output, os.W_OK):
            raise InputError(f"{output} is write-protected; choose another output, or chmod u+w it.")
    for what, path in inputs.items():
        if output.resolve() == path.resolve() or (mode is not None and path.exists() and output.samefile(path)):
            raise InputError(f"{output} is {what}; choose another output.")
    folder = next(parent for parent in output.absolute().parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise InputError(f"{output}: {folder} is no folder; choose another output.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{output}: the folder {folder} is write-protected; choose another output, or chmod u+w it.")


def _shown(path: Path | str) -> str:
    """A path for a message, whatever bytes it has."""
    return os.fsencode(path).decode(errors="replace").replace("\0", "\\0")[:120]


def no_file(path: Path | str) -> str | None:
    """What stands at ``path`` instead of a regular file, in words; None for a file. Opening a pipe would wait, a device may never end."""
    if os.path.isfile(path):  # which raises nothing, for any name
        return None
    return "a folder, no file" if os.path.isdir(path) else "a device or pipe, no regular file" if os.path.exists(path) else "no such file"


def as_folder(folder: Path | str) -> Path:
    """The folder of a run, which need not be there.

    Raises:
        InputError: for an empty name, which would be the working directory, and for a file.
    """
    if not os.fspath(folder):
        raise InputError("the name of the folder is empty; give a folder, or . for the working directory.")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f"{folder} is a file; give a folder for the run.")
    return Path(folder)


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """A path beside ``path`` to write to, of the same ending; it takes the place of ``path`` when the block ends well.

    The content is flushed to the disk before it is renamed, and deleted if the block fails: ``path`` is always the old or the new file.
    No two processes or threads write to the same path.

    Raises:
        AmpTFError: if the disk is full or the folder cannot be written to; says so in one sentence.
    """
    path = Path(path)
    check_outputs([path])
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{threading.get_ident()}.{path.name[-40:]}")
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
        with contextlib.suppress(OSError):
            partial.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write a text file as :func:`whole_file` does."""
    with whole_file(path) as partial:
        partial.write_text(text)


def write_json(path: Path | str, record: Any) -> None:
    """Write JSON as :func:`whole_file` does, a list of numbers on one line.

    Raises:
        ValueError: for NaN and infinite numbers, which JSON does not know.
    """
    text = json.dumps(record, indent=1, allow_nan=False)
    write_text(path, _LIST.sub(lambda found: " ".join(found[0].split()), text) + "\n")


def require_space(partial: Path, n_bytes: int) -> None:
    """Make sure that ``n_bytes`` fit on the disk of ``partial``: libraries that run full inside HDF5 take the process with them.

    Raises:
        OSError: if they do not fit.
    """
    with open(partial, "wb") as file:
        for start in range(0, n_bytes, _BLOCK):
            file.write(bytes(min(_BLOCK, n_bytes - start)))
    partial.unlink()


def _reason(path: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or f"errno = {errno.ENOSPC}" in str(error):
        return f"The disk of {path.parent} is full: free some space."
    return f"{path} cannot be written ({' '.join(str(error).split())[:200]}): choose another place."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is created where it is missing, for this process alone; the lock ends with the process, however that ends.

    Raises:
        InputError: if another process holds it, or if what stands at :data:`LOCK` in it is not ours.
    """
    path, created = folder / LOCK, not folder.exists()
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.lexists(path) and not _is_lock(path):
                raise InputError(f"{path} is not of ours; move it away, or choose another folder.")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_ino == path.stat().st_ino:  # else its last owner has just deleted it
                    break
            except BlockingIOError as error:
                os.close(descriptor)
                raise InputError(f"{folder} is in use by another run that has not ended; wait for it, or choose another folder.") from error
            except FileNotFoundError:  # its last owner has deleted it
                os.close(descriptor)
                continue
            except OSError as error:  # some network file systems
                warnings.warn(f"{folder} cannot be locked ({error.strerror}); let no other run use it.", stacklevel=4)
                break
            os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        if created:
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()


def _is_lock(path: Path) -> bool:
    """Whether a file is empty, as those that :func:`locked` makes; links, folders and pipes are not."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def sha256_of(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Check from the headers of a zip file that reading it takes no more memory than such a file can need.

    Raises:
        DataFileError: if it declares far more than it holds.
    """
    declared, held = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
    if declared > ARCHIVE_INFLATION * held + (1 << 20):
        raise DataFileError(f"{path}: declares {declared:.3g} bytes, but holds {held:.3g}; copy it again.")
