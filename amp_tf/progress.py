"""Progress bars on a terminal; a plain line now and then in a pipe or log file."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal; work that takes less says nothing there."""


class _Lines:
    """Standard error, to which every state of a bar is a line of its own, without control characters."""

    def write(self, text: str) -> None:
        if line := text.replace("\x1b[A", "").strip():
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(*arguments, **settings) -> tqdm:
    """A bar as :class:`tqdm.tqdm`, which takes the same arguments; see :data:`SECONDS_BETWEEN_LINES` for pipes and files."""
    if sys.stderr is None or sys.stderr.isatty() or "ipykernel" in sys.modules:  # notebooks show bars
        return tqdm(*arguments, dynamic_ncols=True, **settings)
    seconds = SECONDS_BETWEEN_LINES
    return tqdm(*arguments, **settings, file=_Lines(), ncols=0, mininterval=seconds, maxinterval=seconds, delay=seconds)
