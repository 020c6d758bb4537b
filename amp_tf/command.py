"""How a command line ends: by its exit status, or with one sentence and no traceback."""

import os
import signal
import sys
import warnings
from collections.abc import Callable

from amp_tf.errors import AmpTFError

INTERRUPTED = 128 + signal.SIGINT
SAID_INTERRUPTED = "interrupted; run the same command again."


def tell_error(error: object) -> None:
    """Print the sentence of an error to standard error, red where that is a terminal and NO_COLOR is not set."""
    import typer  # here, so that Ctrl-C is caught from the start

    sentence = f"error: {error}"
    typer.echo(sentence if os.environ.get("NO_COLOR") else typer.style(sentence, fg=typer.colors.RED), err=True)


def run_command(app: Callable[[], None]) -> None:
    """Run ``app`` and exit. Errors that amp_tf raises on purpose, and those of the system, end with their sentence and exit status 1.

    Warnings are lines without the place in the code.

    Ctrl-C raises KeyboardInterrupt once; a second one ends the process at once (files are whole or not there all the same).
    """
    _keep_standard_descriptors()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    interrupted = []

    def interrupt(*_):
        if interrupted:
            os._exit(INTERRUPTED)
        interrupted.append(True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        status = app() or 0
    except SystemExit as end:
        status = end.code
        if interrupted and status == INTERRUPTED:  # typer makes an exit of Ctrl-C
            print(SAID_INTERRUPTED, file=sys.stderr)
    except BaseException as error:
        if not interrupted and not isinstance(error, AmpTFError | OSError):
            raise
        # an import that is interrupted may raise something else
        stopped = interrupted and not isinstance(error, AmpTFError)
        status = INTERRUPTED if stopped else 1
        if stopped:
            print(SAID_INTERRUPTED, file=sys.stderr)
        else:
            tell_error(error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stdout is None:  # it is closed
        tell_error("the output cannot be printed (standard output is closed).")
        raise SystemExit(status or 1)
    try:
        sys.stdout.flush()
    except OSError as error:
        if not status:  # else the reason was told
            tell_error(f"the output cannot be printed ({error.strerror}).")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again, and complain
        status = status or 1
    raise SystemExit(status)


def _keep_standard_descriptors() -> None:
    """Fill the descriptors 0 to 2 that are closed: else the next file would get one, and what a library prints would go into it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def main() -> None:
    """Entry point of ``amp-tf``."""

    def app():
        from amp_tf.cli import app  # which takes a second, and may be interrupted

        app()

    run_command(app)
