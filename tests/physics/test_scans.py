"""Extrema of curves, and how geometries are made."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from amp_tf.physics.cosan import turned_ligand
from amp_tf.physics.molecules import (
    bent,
    cyclobutadiene,
    heavy_bonds,
    of_collection,
    probes,
    shipped,
    side_of_bond,
    stretched,
    turned,
    water,
)
from amp_tf.physics.noise import measured_noise
from amp_tf.physics.references import reference
from amp_tf.physics.scans import extrema, vertex, without_lone
from amp_tf.physics.subject import Subject
from amp_tf.physics.verdicts import judged
from tests.physics import toys


def test_extrema_have_walls_on_both_sides():
    x = np.linspace(0.0, 6.0, 61)
    minima, maxima = extrema(np.cos(np.pi * x), 0.1)
    assert (x[minima].round(3).tolist(), x[maxima].round(3).tolist()) == ([1.0, 3.0, 5.0], [2.0, 4.0])
    ripple = np.cos(np.pi * x) + 1e-3 * np.cos(50.0 * x)
    assert extrema(ripple, 0.1)[0] == minima
    assert extrema(x, 0.1) == ([], [])


def test_a_full_turn_has_no_ends():
    angles = np.arange(0.0, 360.0, 5.0)
    minima, maxima = extrema(np.cos(3.0 * np.radians(angles)), 0.1, is_closed=True)
    assert (angles[minima].tolist(), angles[maxima].tolist()) == ([60.0, 180.0, 300.0], [0.0, 120.0, 240.0])
    lost = np.where(angles == 90.0, np.nan, -np.cos(3.0 * np.radians(angles)))
    assert angles[extrema(lost, 0.1, is_closed=True)[0]].tolist() == [0.0, 120.0, 240.0]


def test_a_minimum_between_points_is_found():
    x = np.arange(0.5, 2.0, 0.05)
    values = (x - 1.013) ** 2
    assert vertex(x, values, int(np.argmin(values))) == pytest.approx(1.013, abs=1e-9)


def test_verdicts_and_noise():
    def verdict(value, noise=0.0):
        return judged("t", "m", "", "", value, (0.1, 1.0), noise).verdict

    assert [verdict(value) for value in (0.1, 0.11, 1.0, 1.01, np.nan)] == ["pass", "warn", "warn", "fail", "error"]
    assert [verdict(value, 0.1) for value in (0.5, 0.51)] == ["pass", "warn"]
    assert [verdict(value, 0.3) for value in (1.4, 1.6)] == ["inconclusive", "fail"]


@pytest.mark.parametrize(
    ("toy", "low", "high"), [(toys.Smooth, 0.0, 1e-10), (toys.Rounded, 1e-4, 1e-1), (toys.RoundedBehindAFloat, 1e-4, 1e-1)]
)
def test_noise_is_measured(toy, low, high):
    noise = measured_noise(Subject(toy(), "toy"), probes(0)[1], np.random.default_rng(0))
    assert low <= noise.energy <= high


def test_parts_of_molecules_move_rigidly():
    ethane = of_collection("C2H6", "ethane")
    for moved in (stretched(ethane, 0, 1, 0.5), turned(ethane, 0, 1, 40.0)):
        side = side_of_bond(ethane, 0, 1)
        np.testing.assert_allclose(pdist(moved.positions[side]), pdist(ethane.positions[side]), atol=1e-12)
    assert np.linalg.norm(np.diff(stretched(ethane, 0, 1, 0.5).positions[:2], axis=0)) == pytest.approx(1.0223 + 0.5036, abs=0.6)
    np.testing.assert_allclose(turned(ethane, 0, 1, 360.0).positions, ethane.positions, atol=1e-12)
    assert side_of_bond(shipped("biphenyl"), 0, 1) is None
    assert len(heavy_bonds(shipped("biphenyl"), inner=True)) == 1


def test_angles_are_what_they_say():
    def angle(molecule, first, middle, last):
        one, other = (molecule.positions[end] - molecule.positions[middle] for end in (first, last))
        return np.degrees(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))

    assert angle(water(104.5), 1, 0, 2) == pytest.approx(104.5)
    np.testing.assert_allclose(np.sort(pdist(water(255.5).positions)), np.sort(pdist(water(104.5).positions)), atol=1e-12)
    start = water(100.0)
    assert angle(bent(start, 1, 0, 2, 10.0), 1, 0, 2) == pytest.approx(110.0)


def test_swapping_the_sides_of_cyclobutadiene_is_a_turn():
    np.testing.assert_allclose(
        np.sort(pdist(cyclobutadiene(1.5, 1.3).positions)), np.sort(pdist(cyclobutadiene(1.3, 1.5).positions)), atol=1e-12
    )


@pytest.mark.parametrize("name", ["biphenyl", "2-phenylpyridine"])
def test_biaryls_ship_planar(name):
    molecule = shipped(name)
    assert np.ptp(molecule.positions[:, 2]) < 1e-6
    (ends,) = heavy_bonds(molecule, inner=True)
    left, right = (np.sort(pdist(turned(molecule, *ends, sign * 35.0).positions)) for sign in (1, -1))
    np.testing.assert_allclose(left, right, atol=1e-10)


def test_ligands_of_cosan_are_mirror_symmetric():
    molecule = shipped("cosan")
    assert (len(molecule.numbers), molecule.charge) == (45, -1)
    left, right = (np.sort(pdist(turned_ligand(molecule, sign * 48.0).positions)) for sign in (1, -1))
    np.testing.assert_allclose(left, right, atol=1e-4)


def test_references_are_those_of_the_methods_that_they_name():
    """Within a few percent of nature, where it is known: 4.75, 1.50 and 0.125 eV."""
    assert reference("diatomics", "H2")["depth"] == pytest.approx(4.75, rel=0.03)
    assert reference("bend", "water")["height"] == pytest.approx(1.50, rel=0.03)
    assert reference("torsion", "ethane")["height"] == pytest.approx(0.125, rel=0.15)
    assert reference("stretch", "ethane")["depth"] == pytest.approx(5.0, rel=0.05)


def test_a_point_off_the_curve_is_no_minimum():
    x = np.arange(0.5, 8.0, 0.05)
    values = 5.0 * (np.exp(-4.0 * (x - 1.2)) - 2.0 * np.exp(-2.0 * (x - 1.2)))
    jumped = values.copy()
    jumped[60] -= 0.2
    for curve in (values, jumped):
        assert without_lone(curve, extrema(curve, 5e-3)[0]) == extrema(values, 5e-3)[0]
    beside_a_lost_one = np.where(np.arange(len(x)) == np.argmin(values) + 1, np.nan, values)
    assert len(without_lone(beside_a_lost_one, extrema(beside_a_lost_one, 5e-3)[0])) == 1
    second = values - 0.1 * np.exp(-(((x - 4.0) / 0.2) ** 2))
    assert len(without_lone(second, extrema(second, 5e-3)[0])) == 2
