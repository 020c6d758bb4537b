"""The blocks of README.md that are written from result files alone. ``make readme`` writes them anew."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amp_tf.files import write_text
from benchmarks import embedding, qmmm, step_time, streaming
from reproductions import cluster_tables, orders, table1, table2
from reproductions.common import RESULTS

README = Path(__file__).resolve().parent.parent / "README.md"


def _with_differences(table: Callable[[list], str]) -> Callable[[dict[str, Any]], str]:
    return lambda result: f"{table(result['rows'])}\n\n{result['differs']}"


def _step_time(result: dict[str, Any]) -> str:
    return (
        "`make benchmark` on 2 cores, float32, three layers, batches of ten random molecules, cut-off 5 Å; one large matrix product ran at "
        f"{result['matrix_product_gflop_per_second']:.0f} GFLOP/s.\n"
        "The limit is the time of the matrix products alone at that rate, the ratio what the step took in units of it. "
        "Sizes may change from batch to\nbatch without tracing anew.\n\n"
        f"{step_time.table([row for row in result['rows'] if row['model'] in ('GNN', 'AMP(3)')])}"
    )


def _embedding(result: dict[str, Any]) -> str:
    return f"One large matrix product ran at {result['matrix_product_gflop_per_second']:.0f} GFLOP/s.\n\n{embedding.table(result['rows'])}"


def _terms(result: dict[str, Any]) -> str:
    return cluster_tables.term_table([row for row in result["rows"] if row.get("size") in (6, 8, 10, 15, 20)])


BLOCKS: dict[str, tuple[Path, Callable[[dict[str, Any]], str]]] = {
    "clusters": (RESULTS / "figure3.laptop.json", _with_differences(cluster_tables.summary_table)),
    "distances": (RESULTS / "figure3.laptop.json", lambda result: cluster_tables.distance_table(result["rows"])),
    "orders": (RESULTS / "orders.laptop.json", _with_differences(orders.table)),
    "terms": (RESULTS / "figure3.laptop.json", _terms),
    "table1": (RESULTS / "table1-Uracil-RA-SAM.laptop.json", _with_differences(table1.table)),
    "table2": (RESULTS / "table2.laptop.json", _with_differences(table2.table)),
    "speed": (step_time.RESULTS / "step_time.float32.json", _step_time),
    "embedding": (step_time.RESULTS / "embedding.float32.json", _embedding),
    "qmmm": (step_time.RESULTS / "qmmm.float32.json", lambda result: qmmm.table(result["rows"])),
    "streaming": (step_time.RESULTS / "streaming.float32.json", lambda result: streaming.table(result["rows"])),
}
"""By the name of the block, ``<!-- name -->`` to ``<!-- /name -->``: the result file, and its text."""


def filled(text: str) -> str:
    """``text`` with every block written anew from its result file."""
    for name, (path, render) in BLOCKS.items():
        if not path.is_file():
            raise SystemExit(
                f"error: {path} is missing; make it with make reproduce-{path.name.partition('.')[0]} RETRAIN=1 or make benchmark."
            )
        block = f"<!-- {name} -->\n{render(json.loads(path.read_text()))}\n<!-- /{name} -->"
        text, found = re.subn(rf"<!-- {name} -->\n.*?<!-- /{name} -->", lambda _, block=block: block, text, flags=re.S)
        if found != 1:
            raise SystemExit(f"error: README.md has {found} blocks {name!r}, expected one.")
    return text


if __name__ == "__main__":
    write_text(README, filled(README.read_text()))
