"""Results of reproductions and benchmarks: their rows, files with provenance, and the table that is printed."""

import datetime
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amp_tf.files import write_json

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]


def row(metric: str, unit: str, value: float | None, published: float | None = None, **identifiers: Any) -> Row:
    """A flat record of a result: identifiers such as panel, model and seed, then metric, unit, value (None where there is none, or it is no
    number) and the published value."""
    known = value if value is None or math.isfinite(value) else None
    return {**identifiers, "metric": metric, "unit": unit, "value": known, "published": published}


def numbers(values: Iterable[float], digits: int) -> list[float | None]:
    """Rounded, for the curves of a result file; None for those that are no numbers."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def write_result(name: str, preset: str, rows: Sequence[Row], started: float, folder: Path, **further: Any) -> Path:
    """Write ``<name>.<preset>.json`` with provenance, atomically.

    A file with the same settings and, to a thousandth, the same numbers is left as it is: who repeats a result has a clean checkout.

    Args:
        name: of the figure or table.
        preset: of the run.
        rows: flat records, see :func:`row`.
        started: ``time.perf_counter()`` at the start.
        folder: where the file goes.
        further: ``seeds``, ``data`` and whatever the drawing needs.
    """
    record = {
        "name": name,
        "preset": preset,
        **further,
        "versions": {package: version(package) for package in ("amp_tf", "keras", "tensorflow", "numpy")}
        | {"python": platform.python_version()},
        "hardware": f"{os.cpu_count()} cores, {_processor()}",
        "wall_seconds": round(time.perf_counter() - started, 1),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "rows": list(rows),
    }
    path = folder / f"{name}.{preset}.json"
    if not (path.is_file() and _is_same(json.loads(path.read_text()), json.loads(json.dumps(record)))):
        write_json(path, record)
    return path


CIRCUMSTANCES = {"versions", "hardware", "wall_seconds", "date", "commit"}
"""Keys of a result file that tell when and where it was made."""


def _is_same(old: Any, new: Any) -> bool:
    """Whether two results have the same settings and, to a thousandth, the same numbers, whenever and wherever they were made."""
    if isinstance(old, dict) and isinstance(new, dict):
        old, new = ({key: value for key, value in part.items() if key not in CIRCUMSTANCES} for part in (old, new))
        return old.keys() == new.keys() and all(_is_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_is_same, old, new))
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-3)
    return old == new


def commit() -> str:
    """The commit of the working tree, marked where tracked files differ from it; ``unknown`` outside a checkout."""
    try:
        name = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        code = ["amp_tf", "common", "datasets", "reproductions/*.py", "benchmarks/*.py"]
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", *code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + (" with changes" if changed else "")


def format_table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, columns aligned; numbers with three significant digits, None as a dash."""
    cells = [list(header), *([_cell(value) for value in line] for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in [cells[0], rule, *cells[1:]]
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
