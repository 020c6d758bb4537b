"""What models cost: the smoke presets of Tables 4, 5, 6 and Figure 4, and what is measured."""

import json
import time

import numpy as np
import pytest
from ase.data import chemical_symbols

from common import paper, timing
from figures.figure4 import draw
from reproductions import cost, figure4, table4, table5, table6


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cost, "matrix_product_rate", lambda dtype: 1e11)


def result_of(module, folder):
    return json.loads(module.reproduce("smoke", folder).read_text())


def test_the_batch_is_that_of_the_paper():
    """100 molecules and 1 833 atoms (A.1.1), all of QM9's elements."""
    systems = cost.qm9_like()
    assert len(systems) == 100
    assert cost.positions_of(systems) == 1833
    assert {int(number) for system in systems for number in system.atomic_numbers} <= {1, 6, 7, 8, 9}


@pytest.mark.parametrize("name", cost.SOLUTES)
def test_the_solutes_are_those_of_the_paper(name):
    assert len(cost.solute(name).positions) == paper.TABLE_5[name][0]
    assert {chemical_symbols[number] for number in cost.solute(name).atomic_numbers} <= set(cost.SOLUTE_ELEMENTS)


def test_table4(tmp_path):
    result = result_of(table4, tmp_path)
    text = table4.table(result["rows"])
    assert "ours, XLA" in text
    assert "146% (6 ms)" in text  # published, AMP(1), one layer
    relative = {(row["model"], row["layers"], row["form"]): row["value"] for row in result["rows"] if row["metric"] == "relative_cost"}
    assert {model for model, *_ in relative} == {"GNN", "AMP(1)"}
    assert all(relative["GNN", n, form] == 100.0 for n in (1, 2) for form in cost.FORMS)
    assert all(row["value"] > 0 for row in result["rows"])


def test_table5(tmp_path):
    result = result_of(table5, tmp_path)
    text = table5.table(result["rows"])
    assert "1.95 ms (224%)" in text  # published, SAM, AMP(1)
    times = [row for row in result["rows"] if row["metric"] == "time"]
    assert {row["atoms"] for row in times} == {63}
    assert {row["form"] for row in times} == {"graph", "XLA"}


def test_table6(tmp_path):
    result = result_of(table6, tmp_path)
    text = table6.table(result["rows"])
    assert "ours, near and far" in text
    assert "20.5 ms (1.00)" in text  # published, SAM, 10 particles
    growth = [row["value"] for row in result["rows"] if row["metric"] == "growth" and row["mm_particles"] == 10]
    assert growth == [1.0, 1.0]


@pytest.mark.slow
def test_figure4(tmp_path):
    result = result_of(figure4, tmp_path)
    assert "SAM" in figure4.table(result["rows"])
    edges = {row["system"]: row["edges"] for row in result["rows"] if row["metric"] == "time_per_edge"}
    positions = cost.solute("SAM").positions
    assert edges["SAM"] == np.count_nonzero(np.linalg.norm(positions[:, None] - positions, axis=-1) < 5.0) - 63
    paths = draw(result, tmp_path)
    assert all(path.stat().st_size > 5000 for path in paths)


def test_the_time_of_an_edge_is_that_of_the_molecule():
    random = np.random.default_rng(0)
    molecule = figure4.grown(6, random)
    distances = np.linalg.norm(molecule.positions[:, None] - molecule.positions, axis=-1)[np.triu_indices(6, 1)]
    assert distances.min() > 1.1
    rows = figure4._rows(cost.PRESETS["smoke"], 1e11, "6 atoms", molecule)
    for model in figure4.MODELS:
        values = {row["metric"]: row["value"] for row in rows if row["model"] == model}
        assert values["time_per_edge"] == pytest.approx(1e3 * values["time"] / rows[0]["edges"])


def test_functions_timed_in_turn_are_called_equally_often():
    calls = []
    found = timing.median_times([lambda: calls.append("a"), lambda: (calls.append("b"), time.sleep(0.01))], 0.0)
    assert calls[4:] == ["a", "b"] * 5
    assert found[0] < 0.005 < found[1] < 0.1
