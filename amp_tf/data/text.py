"""Text files line by line: whole files or one sentence, and numbers that are plain numbers."""

import math
from pathlib import Path

from amp_tf.errors import DataFileError


def read_lines(path: Path | str) -> list[str]:
    """The lines of a UTF-8 file, ends of lines as Unix, Windows or old Macintosh write them.

    Raises:
        DataFileError: if it is missing, no regular file, or no text.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise DataFileError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}; correct the path.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"{path}: cannot be read as text ({error}); give a text file in UTF-8.") from error
    if "\0" in text:
        raise DataFileError(f"{path}: cannot be read as text (it holds zero bytes); give a text file in UTF-8.")
    return text.removesuffix("\n").split("\n")


def plain_number(word: str) -> float:
    """The value of a word of ASCII digits, sign, point and exponent.

    Raises:
        ValueError: for all else that Python takes for a number (``1_0``, ``nan``), or takes not.
    """
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if "_" in word or not word.isascii() or not math.isfinite(value):
        raise ValueError(f"{word!r} is no finite number; correct it")
    return value


def plain_count(line: str) -> int:
    """The count that is alone on a line.

    Raises:
        ValueError: if something else stands there.
    """
    word = line.strip()
    if not (word.isascii() and word.isdigit() and len(word) < 16):
        raise ValueError(f"here a frame must begin with the number of its lines, alone, but there is {word[:40]!r}; correct the file")
    return int(word)
