"""What README and the documentation say of results, written from result files alone. ``make readme`` writes README's table anew."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from amp_tf.files import write_text
from benchmarks import embedding, far_charges, qmmm, step_time, streaming
from common.results import format_table
from reproductions import (
    amp_bms,
    cluster_tables,
    dynamics_table,
    figure2,
    figure4,
    interfaces,
    learning_curves,
    orders,
    physnet_md17,
    physnet_qm9,
    physnet_sn2,
    physnet_tails,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
)
from reproductions.folders import RESULTS

README = Path(__file__).resolve().parent.parent / "README.md"


def _with_differences(table: Callable[[list], str]) -> Callable[[dict[str, Any]], str]:
    return lambda result: f"{table(result['rows'])}\n\n{result['differs']}"


def _step_time(result: dict[str, Any]) -> str:
    return (
        f"One large matrix product ran at {result['matrix_product_gflop_per_second']:.0f} GFLOP/s.\n\n"
        f"{step_time.table([row for row in result['rows'] if row['model'] in ('GNN', 'AMP(3)')])}"
    )


def _embedding(result: dict[str, Any]) -> str:
    return f"One large matrix product ran at {result['matrix_product_gflop_per_second']:.0f} GFLOP/s.\n\n{embedding.table(result['rows'])}"


def _terms(result: dict[str, Any]) -> str:
    return cluster_tables.term_table([row for row in result["rows"] if row.get("size") in (6, 8, 10, 15, 20)])


def _learning_curve(result: dict[str, Any]) -> str:
    return learning_curves.table(result["rows"])


BLOCKS: dict[str, tuple[Path, Callable[[dict[str, Any]], str]]] = {
    "dimer": (RESULTS / "figure2.laptop.json", _with_differences(figure2.table)),
    "curves-a": (RESULTS / "figure5.laptop.json", _learning_curve),
    "curves-b": (RESULTS / "figure6.laptop.json", _learning_curve),
    "clusters": (RESULTS / "figure3.laptop.json", _with_differences(cluster_tables.summary_table)),
    "distances": (RESULTS / "figure3.laptop.json", lambda result: cluster_tables.distance_table(result["rows"])),
    "orders": (RESULTS / "orders.laptop.json", _with_differences(orders.table)),
    "terms": (RESULTS / "figure3.laptop.json", _terms),
    "table1": (RESULTS / "table1-Uracil-RA-SAM.laptop.json", _with_differences(table1.table)),
    "table1-pbe": (RESULTS / "table1-Uracil-PBE.laptop.json", _with_differences(table1.table)),
    "table2": (RESULTS / "table2.laptop.json", _with_differences(table2.table)),
    "table3": (RESULTS / "table3.laptop.json", _with_differences(table3.table)),
    "table4": (RESULTS / "table4.laptop.json", lambda result: table4.table(result["rows"])),
    "table5": (RESULTS / "table5.laptop.json", lambda result: table5.table(result["rows"])),
    "table6": (RESULTS / "table6.laptop.json", lambda result: table6.table(result["rows"])),
    "figure4": (RESULTS / "figure4.laptop.json", lambda result: figure4.table(result["rows"])),
    "dynamics": (RESULTS / "dynamics.laptop.json", _with_differences(dynamics_table.table)),
    "dipeptide": (RESULTS / "dipeptide.laptop.json", _with_differences(dynamics_table.dipeptide_table)),
    "interfaces": (RESULTS / "interfaces.laptop.json", _with_differences(interfaces.table)),
    "amp-bms": (RESULTS / "amp-bms.laptop.json", _with_differences(amp_bms.table)),
    "tails": (RESULTS / "physnet-tails.laptop.json", _with_differences(physnet_tails.table)),
    "physnet-sn2": (RESULTS / "physnet-sn2.laptop.json", _with_differences(physnet_sn2.table)),
    "physnet-md17": (RESULTS / "physnet-md17.laptop.json", _with_differences(physnet_md17.table)),
    "physnet-qm9": (RESULTS / "physnet-qm9.laptop.json", _with_differences(physnet_qm9.table)),
    "speed": (step_time.RESULTS / "step_time.float32.json", _step_time),
    "physnet-speed": (step_time.RESULTS / "physnet.float32.json", lambda result: step_time.table(result["rows"])),
    "embedding": (step_time.RESULTS / "embedding.float32.json", _embedding),
    "qmmm": (step_time.RESULTS / "qmmm.float32.json", lambda result: qmmm.table(result["rows"])),
    "far-charges": (step_time.RESULTS / "far_charges.float32.json", lambda result: far_charges.table(result["rows"])),
    "streaming": (step_time.RESULTS / "streaming.float32.json", lambda result: streaming.table(result["rows"])),
}
"""By name: the result file, and the text that is made of it."""


def read(path: Path) -> dict[str, Any]:
    """A result file.

    Raises:
        SystemExit: if it is missing; names the command that makes it.
    """
    if not path.is_file():
        raise SystemExit(
            f"error: {path} is missing; make it with make reproduce-{re.split('[.-]', path.name)[0]} RETRAIN=1 or make benchmark."
        )
    return json.loads(path.read_text())


def block(name: str) -> str:
    """The text of one of :data:`BLOCKS`."""
    path, render = BLOCKS[name]
    return f"{render(read(path))}\n"


@dataclass(frozen=True)
class Line:
    """A line of README's table: one number, or a few, of a figure or table of the paper."""

    what: str
    result: str
    """The result file without its preset."""
    rows: Mapping[str, Any]
    """The fields that rows of the result have for this line."""
    metrics: tuple[str, ...]
    command: str
    runs: Mapping[str, Any] = field(default_factory=dict)
    """The fields that rows of training times have for the runs behind the line."""


def _dimer(what: str, panel: str, model: str) -> Line:
    return Line(what, "figure2", {"panel": panel, "model": model}, ("test_mae",), "make reproduce-figure2")


def _solute(name: str, system: str) -> Line:
    metrics = ("energy_mae", "qm_gradients_mae", "mm_gradients_mae")
    chosen = {"system": system, "ordering": "shuffled", "part": "test"}
    return Line(f"Table 1, {name}: E / F_QM / F_MM", "table1-Uracil-RA-SAM", chosen, metrics, "make reproduce-table1", {"system": system})


def _property(what: str, target: str) -> Line:
    chosen = {"target": target, "model": "AMP(3)", "n_train": 18_000}
    return Line(what, "table3", chosen, ("test_mae",), "make reproduce-table3", chosen)


def _cluster(what: str, metric: str, model: str, command: str) -> Line:
    return Line(what, "figure3", {"model": model}, (metric,), command)


LINES = (
    _dimer("Figure 2A, dimer: AMP(2), J/mol", "A", "AMP(2)"),
    _dimer("Figure 2C, beyond the cut-off: AMP(2)-DP, J/mol", "C", "AMP(2)-DP"),
    _cluster("Figure 3, clusters: AMP(2), energies", "mean_energy_mae", "AMP(2)", "make reproduce-figure3"),
    _cluster("Table 7: AMP(3), energies", "mean_energy_mae", "AMP(3)", "make reproduce-table7"),
    _cluster("Figure 3, clusters: AMP(2), gradients", "mean_qm_gradients_mae", "AMP(2)", "make reproduce-figure3"),
    _cluster("Table 8: AMP(3), gradients", "mean_qm_gradients_mae", "AMP(3)", "make reproduce-table8"),
    _solute("uracil in water", "Uracil"),
    _solute("retinoic acid", "RA"),
    _solute("SAM and cysteine", "SAM"),
    Line(
        "Table 1, uracil by PBE, in the order of time, fine-tuned",
        "table1-Uracil-PBE",
        {"system": "Uracil-PBE", "ordering": "fine-tuned", "part": "test"},
        ("energy_mae", "qm_gradients_mae", "mm_gradients_mae"),
        "make reproduce-table1",
        {"ordering": "fine-tuned"},
    ),
    _property("Table 3, QM9, 18 000 molecules: AMP(3), HOMO, meV", "HOMO"),
    _property("Table 3, QM9, 18 000 molecules: AMP(3), U0, meV", "U0"),
    Line(
        "Table 4: cost of AMP(3), three layers, % of GNN",
        "table4",
        {"model": "AMP(3)", "layers": 3, "form": "XLA"},
        ("relative_cost",),
        "make reproduce-table4",
    ),
    Line(
        "Table 6, uracil: cost with 1000 charges / with 10",
        "table6",
        {"system": "Uracil", "embedding": "near and far", "mm_particles": 1000},
        ("growth",),
        "make reproduce-table6",
    ),
)


def _values(line: Line, rows: list[dict[str, Any]], key: str) -> str:
    """The numbers of one column by metric, the medians of all seeds."""
    found = []
    for metric in line.metrics:
        values = [row[key] for row in rows if row["metric"] == metric and line.rows.items() <= row.items()]
        known = [value for value in values if value is not None]
        found.append("–" if not known else f"{median(known):.0f}" if median(known) >= 100 else f"{median(known):.2g}")
    return " / ".join(found)


def _hours(line: Line, result: dict[str, Any]) -> float:
    """Of training, the sum of all runs behind a line; of the whole command where nothing is trained."""
    rows = [row for row in result["rows"] if row["metric"] == "training_time" and line.runs.items() <= row.items()]
    seconds = sum(sum(row.get("of_seeds") or [row["value"]]) for row in rows) or result.get("training_seconds", result["wall_seconds"])
    return seconds / 3600


def overview() -> str:
    """README's table."""
    lines = []
    for line in LINES:
        result = read(RESULTS / f"{line.result}.laptop.json")
        columns = (_values(line, result["rows"], key) for key in ("published", "value"))
        lines.append([line.what, *columns, f"`{line.command}`", f"{_hours(line, result):.1f}"])
    return format_table(["figure or table", "published", "ours", "command", "time, h"], lines)


def filled(text: str) -> str:
    """README with its table written anew.

    Raises:
        SystemExit: if its place is not there.
    """
    table = f"<!-- results -->\n{overview()}\n<!-- /results -->"
    text, found = re.subn(r"<!-- results -->\n.*?<!-- /results -->", lambda _: table, text, flags=re.S)
    if found != 1:
        raise SystemExit(f"error: README.md has {found} places for its table of results, expected one.")
    return text


if __name__ == "__main__":
    write_text(README, filled(README.read_text()))
