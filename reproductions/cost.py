"""What models cost: Tables 4, 5 and 6 and Figure 4 (paper, A.1), each median of repeated calls beside the limit of the matrix products.

The paper's times are those of a graphics processor (NVIDIA Titan V); its costs relative to one of the models are what is compared.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tensorflow as tf
import typer

import amp_tf
from amp_tf.graph import MolecularGraph
from amp_tf.models import Potential
from amp_tf.progress import progress_bar
from amp_tf.simulation.solutes import solute_by_name, solute_from_smiles
from amp_tf.systems import System
from common.results import Row, row, write_result
from common.timing import matrix_product_operations, matrix_product_rate, median_times
from reproductions.entry import run_reproduction
from reproductions.folders import RESULTS

ELEMENTS = ("H", "C", "N", "O", "F")
"""Of QM9."""

SOLUTE_ELEMENTS = ("H", "C", "N", "O", "S")

MODELS = ("GNN", "AMP(0)", "AMP(1)", "AMP(2)", "AMP(3)")
SOLUTES = {"Uracil": "uracil", "RA": "retinoic-acid", "SAM": "sam-cysteine"}
FORMS = {"graph": False, "XLA": True}
"""How TensorFlow runs a function: as a graph, and compiled with XLA."""

DIFFERS = (
    "Differs from the paper: a processor (see hardware) instead of an NVIDIA Titan V, so only relative costs compare; "
    "median of repeated calls on one batch, of what stands on a line in turn."
)

MEDIUM = ("CC12CC1C(O)C2O", "COC1CC2OC2C1", "CC(O)C1CC1C=O", "OC1CC2CC1CO2")
LARGE = ("NC1CC2CC1CO2", "CC1OCC2NCC12", "CC(=O)C1CC2OC2C1")
"""SMILES of molecules like QM9's, of 18 and of 19 atoms."""

N_MEDIUM, N_LARGE = 67, 33
"""Of each in a batch: 100 molecules and, as in the paper, 1 833 atoms."""


@dataclasses.dataclass(frozen=True)
class Size:
    """What a preset measures."""

    models: tuple[str, ...] = MODELS
    layers: tuple[int, ...] = (1, 2, 3, 4)
    n_features: int = 128
    seconds: float = 10.0
    """For each time."""
    share: float = 1.0
    """Of the paper's batch."""
    solutes: tuple[str, ...] = tuple(SOLUTES)
    mm_particles: tuple[int, ...] = (10, 100, 1000)
    chain: tuple[int, ...] = (4, 8, 12, 16, 24, 32, 48, 64)
    """Atoms of the molecules of Figure 4."""


PRESETS = {
    "smoke": Size(("GNN", "AMP(1)"), (1, 2), 8, 0.05, 0.05, ("SAM",), (10, 20), (4, 8)),
    "laptop": Size(),
    "paper": Size(seconds=60.0),
}


def qm9_like(share: float = 1.0) -> list[System]:
    """A batch of molecules like QM9's, or a share of it."""
    molecules = {smiles: solute_from_smiles(smiles) for smiles in (*MEDIUM, *LARGE)}
    chosen = [MEDIUM[n % len(MEDIUM)] for n in range(N_MEDIUM)] + [LARGE[n % len(LARGE)] for n in range(N_LARGE)]
    systems = [System(molecules[smiles].atomic_numbers, molecules[smiles].positions) for smiles in chosen]
    return systems[:: round(1 / share)]


def solute(name: str) -> System:
    """One of the paper's solutes alone."""
    found = solute_by_name(SOLUTES[name])
    return System(found.atomic_numbers, found.positions, found.charge)


def make_model(name: str, n_layers: int, n_features: int, elements: Sequence[str] = ELEMENTS, **settings: Any) -> Potential:
    """GNN or AMP(k) of the paper's form."""
    shared = {"elements": elements, "n_layers": n_layers, "n_features": n_features} | settings
    return amp_tf.GNN(**shared) if name == "GNN" else amp_tf.AMP(max_order=int(name[4:-1]), **shared)


class Prepared(NamedTuple):
    """An evaluation of one batch."""

    call: Callable[[], Any]
    limit: float
    """Of its matrix products, ms."""


def prepared(potential: Potential, systems: Sequence[System], rate: float, gradients: Sequence[str] = (), xla: bool = False) -> Prepared:
    """Energies, and gradients of these names, of a batch, traced or compiled."""
    fields = [tf.constant(array) for array in potential.build_graph(systems)]

    def evaluation(*fields):
        result = potential.with_gradients(MolecularGraph(*fields), names=gradients) if gradients else potential(MolecularGraph(*fields))
        return [result[name] for name in ("energy", *gradients)]

    operations = matrix_product_operations(tf.function(evaluation).get_concrete_function(*fields))
    compiled = tf.function(evaluation, jit_compile=xla).get_concrete_function(*fields)
    return Prepared(lambda: compiled(*fields)[0].numpy(), 1e3 * operations / rate)


def measured(evaluations: Sequence[Prepared], seconds: float) -> list[dict[str, float]]:
    """Milliseconds of one call of each, and the limit of its matrix products; they are called in turn, ``seconds`` for each."""
    spent = median_times([evaluation.call for evaluation in evaluations], seconds)
    return [{"time": 1e3 * each, "limit": evaluation.limit} for each, evaluation in zip(spent, evaluations, strict=True)]


def measure_all(
    name: str, preset: str, tasks: Callable[[Size, float], list[tuple[dict[str, Any], Callable[[], list[Row]]]]], folder: Path = RESULTS
) -> Path:
    """Run the measurements of a table, with a progress bar, and write its result file.

    Args:
        name: of the table.
        preset: of :data:`PRESETS`.
        tasks: from the size and the rate of matrix products what is measured: its identifiers, and the function that gives its rows.
        folder: where the file goes.
    """
    started, size = time.perf_counter(), PRESETS[preset]
    rate = matrix_product_rate("float32")
    rows: list[Row] = []
    for identifiers, measure in (bar := progress_bar(tasks(size, rate), desc=name, unit="measurement")):
        bar.set_postfix(identifiers, refresh=False)
        rows += measure()
    rows.append(row("matrix_product_rate", "GFLOP/s", 1e-9 * rate))
    return write_result(name, preset, rows, started, folder, seeds=None, data=None, differs=DIFFERS)


def timing_rows(values: dict[str, float], per: int, published: float | None = None, **identifiers: Any) -> list[Row]:
    """Rows of time, limit and ratio, of each of ``per`` systems of a batch."""
    time_, limit = values["time"] / per, values["limit"] / per
    return [
        row("time", "ms", time_, published, **identifiers),
        row("limit", "ms", limit, **identifiers),
        row("ratio", "", time_ / limit, **identifiers),
    ]


def value_of(rows: Sequence[Row], metric: str, **identifiers: Any) -> Row:
    """The row of one metric and these identifiers."""
    return next(entry for entry in rows if entry["metric"] == metric and all(entry.get(key) == value for key, value in identifiers.items()))


def positions_of(systems: Sequence[System]) -> int:
    """Atoms of a batch."""
    return int(np.sum([len(system.positions) for system in systems]))


def cost_app(reproduce: Callable[[str], Path], draw: Callable[[dict[str, Any]], list[Path]], table: Callable) -> typer.Typer:
    """The command of a cost table."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def main(preset: Annotated[str, typer.Option(help="smoke, laptop or paper.")] = "laptop") -> None:
        run_reproduction(preset, reproduce, draw, table)

    return app
