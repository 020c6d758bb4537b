"""The reference curves that ship with the physical tests, and how they are made."""

import json

import numpy as np
import pytest

from amp_tf.physics.references import BOND_LENGTHS, reference
from datasets import physics_references
from datasets.physics_references import ACTIVE, DATA, as_curve, curves


def test_every_curve_ships_with_its_provenance():
    record = json.loads((DATA / "references.json").read_text())
    assert set(record["curves"]) == set(curves())
    assert record["provenance"]["command"] == "python -m datasets.physics_references curves"


@pytest.mark.parametrize("symbols", [*ACTIVE, "H2"])
def test_a_diatomic_has_one_smooth_minimum_at_its_bond_length(symbols):
    """A point in another electronic state would stand out: beyond a wall and a minimum there is neither barrier nor step."""
    known = reference("diatomics", symbols)
    x, y = np.array(known["x"]), np.array(known["y"])
    lowest = int(np.argmin(y))
    assert x[lowest] == pytest.approx(BOND_LENGTHS[symbols], abs=0.13)
    assert np.all(np.diff(y[: lowest + 1]) < 0.0)
    assert np.all(np.diff(y[lowest:]) > -0.005)
    bends = np.diff(np.diff(y) / np.diff(x)) / (0.5 * (x[2:] - x[:-2]))  # second derivatives
    assert np.count_nonzero(np.diff(np.sign(bends[np.abs(bends) > 0.05]))) <= 1  # a well, then a tail


def test_where_a_curve_is_measured_from():
    found = as_curve(np.array([1.0, 0.5, np.nan, 0.9]), {"x": [1.0, 2.0, 3.0, 4.0], "source": "S", "ends": True})
    assert found["x"] == [1.0, 2.0, 4.0]
    assert found["y"] == pytest.approx([0.1 * physics_references.EV, -0.4 * physics_references.EV, 0.0], abs=1e-5)
    assert found["depth"] == pytest.approx(0.4 * physics_references.EV, abs=1e-4)


@pytest.mark.slow
def test_a_curve_of_nitrogen():
    pytest.importorskip("pyscf")
    energies = physics_references.multireference_diatomic("N2", np.array([1.1, 2.0, 6.0]))
    assert physics_references.EV * (energies[2] - energies[0]) == pytest.approx(9.36, abs=0.05)
    assert energies[0] < energies[1] < energies[2]
