"""Point charges around molecules: files of frames, each a count and lines ``q x y z``, and whether numbers can be charges in e."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from amp_tf.data.text import plain_count, plain_number, read_lines
from amp_tf.errors import DataFileError

LARGEST_CHARGE = 4.5
"""No particle of a force field has more, e."""

AMBER_UNIT = 18.2223
"""By which AMBER multiplies the charges of its topology files."""

WHOLE = 2e-3
"""Sums of charges of whole molecules miss whole numbers by less, e."""


def read_point_charges(path: Path | str) -> Iterator[np.ndarray]:
    """The frames of a ``pc.xyz``, each [n_mm, 4]: charge in e, and position in angstrom. Blank lines may stand before and after a count.

    Raises:
        DataFileError: naming the line that is broken, or the frame whose numbers are no charges.
    """
    lines = read_lines(path)
    position = number = 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        first = line = position
        try:
            count = plain_count(lines[position])
            position += 1
            while position < len(lines) and count and not lines[position].strip():
                position += 1
            if (left := len(lines) - position) < count:
                raise ValueError(f"{count} lines of four numbers must follow, but there are {left}; complete the file")
            rows = np.empty((count, 4))
            for line in range(position, position + count):
                rows[line - position] = _row(lines[line])
        except ValueError as error:
            raise DataFileError(f"{path}, line {line + 1}: not a frame of point charges ({error}).") from error
        if complaint := charges_complaint(rows[:, 0], rows[:, 3]):
            raise DataFileError(f"{path}, frame {number} (line {first + 1}): {complaint}.")
        yield rows
        position, number = position + count, number + 1


def _row(line: str) -> list[float]:
    words = line.split()
    if len(words) != 4:
        raise ValueError(f"a line must be four numbers, q x y z, but there are {len(words)}; correct it")
    return [plain_number(word) for word in words]


def charges_complaint(charges: np.ndarray, last: np.ndarray | None = None) -> str | None:
    """What is wrong with charges [n_mm] of one frame, by their size and sum; None if nothing is.

    Args:
        charges: e.
        last: the last column of their lines, which are the charges if the order is x y z q.
    """
    if not len(charges):
        return None
    largest, total = float(np.abs(charges).max()), float(charges.sum())
    in_amber_units = total / AMBER_UNIT
    may_be_charges = last is not None and last.min() < 0.0 < last.max() and np.abs(last).max() < LARGEST_CHARGE and _is_whole(last.sum())
    if may_be_charges and (largest > LARGEST_CHARGE or not _is_whole(total)):
        return "the lines look like x y z q; put the charge first, q x y z"
    if largest > LARGEST_CHARGE or (not _is_whole(total) and round(in_amber_units) and _is_whole(in_amber_units)):
        return (
            f"charges up to {largest:.4g} that sum to {total:.4g} are no charges in e; those of AMBER's topology files are divided by "
            f"{AMBER_UNIT}, and positions come after the charge, q x y z"
        )
    return None


def _is_whole(total: float) -> bool:
    return abs(total - round(total)) < WHOLE
