"""Libraries that print are made silent."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent(descriptor: int) -> Iterator[None]:
    """Leave out what libraries, in C too, write to standard output (1) or standard error (2), which may be closed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    try:
        kept = os.dup(descriptor)
    except OSError:  # it is closed
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, descriptor)
        os.close(kept)
