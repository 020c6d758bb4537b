"""Rotations of molecules onto themselves."""

import numpy as np
import pytest
from ase.build import molecule

from datasets.rotations import axis_of_linear, straightened, symmetry_number

KNOWN = {"H2O": 2, "NH3": 3, "CH4": 12, "C6H6": 12, "C2H6": 6, "C2H4": 4, "CO2": 2, "HCN": 1, "C2H2": 2, "H2O2": 2, "CH3OH": 1, "CH3CHO": 1,
         "cyclobutene": 2, "C3H6_D3h": 6, "HCCl3": 3}  # fmt: skip
"""Of the point groups in textbooks."""


@pytest.mark.parametrize("name", KNOWN)
def test_symmetry_numbers_are_those_of_the_point_groups(name, random):
    atoms = molecule(name)
    turned, _ = np.linalg.qr(random.normal(size=(3, 3)))
    places = atoms.positions @ turned.T + random.normal(size=3) + random.uniform(-1e-3, 1e-3, atoms.positions.shape)
    assert symmetry_number(atoms.numbers, places) == KNOWN[name]


def test_a_mirror_image_is_no_rotation():
    numbers = np.array([6, 1, 9, 17, 35])
    corners = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    assert symmetry_number(numbers, corners) == 1
    assert symmetry_number(np.array([6, 1, 1, 17, 17]), corners) == 2


@pytest.mark.parametrize("off", [0.0, 0.005])
def test_nearly_linear_molecules_are_put_on_their_axis(off):
    atoms = molecule("CO2")
    bent = atoms.positions + [[0, off, 0], [0, -off, 0], [0, -off, 0]]
    straight = straightened(bent)
    assert np.linalg.matrix_rank(straight - straight.mean(axis=0), tol=1e-10) == 1
    np.testing.assert_allclose(straight, bent, atol=0.007)


@pytest.mark.parametrize("name", ["H2O", "CH3CN", "C3H4_C2v", "CH3CHO"])
def test_others_stay_as_they_are(name):
    positions = molecule(name).positions
    assert axis_of_linear(positions) is None
    np.testing.assert_array_equal(straightened(positions), positions)
