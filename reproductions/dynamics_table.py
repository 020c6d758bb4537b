"""The tables of ``make reproduce-dynamics``, every measure with its aim, and of ``make reproduce-dipeptide``."""

from collections.abc import Sequence

from common.results import Row, format_table

AIMS = {
    "barrier_error": 0.2, "deepest_hole": 0.0, "peak_shift": 0.05, "peak_height": 0.1, "nve_drift": 1e-6, "nve_rms": 0.2,
    "step_ratio": 0.4,
}  # fmt: skip
"""What a potential that is fit for dynamics reaches; the units are those of the rows."""


def table(rows: Sequence[Row]) -> str:
    """Every measure with its aim."""
    lines = [
        [entry["measure"], entry["metric"].replace("_", " "), entry["value"], entry.get("uncertainty"), entry["unit"], _aim(entry)]
        for entry in rows
    ]
    return format_table(["measure", "of it", "value", "±", "unit", "aim"], lines)


def _aim(entry: Row) -> str:
    if entry["metric"] == "runs_whole":
        return entry["measure"].split(" seeds")[0].rpartition(" ")[2] if "seeds" in entry["measure"] else "1"
    limit = AIMS.get(entry["metric"])
    return "" if limit is None else f"{'±' if entry['metric'] in SIGNED else '<='} {limit:g}"


SIGNED = ("barrier_error", "peak_shift", "peak_height", "nve_drift")
"""Metrics that may miss their aim either way."""


def dipeptide_table(rows: Sequence[Row]) -> str:
    """Every number of each run."""
    lines = [[entry["ensemble"].upper(), entry["metric"].replace("_", " "), entry["value"], entry["unit"]] for entry in rows]
    return format_table(["ensemble", "of it", "value", "unit"], lines)
