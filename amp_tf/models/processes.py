"""TensorFlow does not survive a fork: its threads are gone in the new process, which would wait for them for ever."""

import os
from collections.abc import Callable
from typing import Any

from amp_tf.errors import AmpTFError

_started_in: int | None = None


def require_no_fork() -> None:
    """Note that TensorFlow runs in this process.

    Raises:
        AmpTFError: if this process was forked from one in which it ran.
    """
    global _started_in
    if _started_in is None:
        _started_in = os.getpid()
    elif _started_in != os.getpid():
        raise AmpTFError(
            "this process was forked after TensorFlow ran, which cannot go on in it; start processes by "
            "multiprocessing.get_context('spawn') and load the potential in each."
        )


def unpickled(make: Callable, arguments: tuple) -> Any:
    """What Keras makes of a pickled potential; in a forked process something that says so as soon as it is used.

    An error raised while a worker of a pool unpickles its task would be lost, and the pool would wait for ever.
    """
    try:
        require_no_fork()
    except AmpTFError:
        return Forked()
    return make(*arguments)


class Forked:
    """Stands for a potential in a forked process: every method raises the error of :func:`require_no_fork`."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments, **settings):
        require_no_fork()
