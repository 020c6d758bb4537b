"""Dispersion and repulsion of pairs against their formulas, number by number."""

import math

import numpy as np
import pytest
import tensorflow as tf

from amp_tf import units
from amp_tf.ops.dispersion import SQRT_R4R2, dispersion_energies, dispersion_radius
from amp_tf.ops.repulsion import zbl_energies
from tests.numpy_reference import COULOMB_CONSTANT_KJ_MOL_ANGSTROM


@pytest.mark.parametrize("distance", [0.0, 1.2, 3.7, 13.9])
def test_dispersion(distance):
    r, c6, radii = distance / units.BOHR, 46.6, dispersion_radius("C") * dispersion_radius("O")
    r_0 = 0.75 * radii + 2.7
    c8 = 3 * c6 * SQRT_R4R2["C"] * SQRT_R4R2["O"]
    expected = -units.HARTREE * (c6 / (r**6 + r_0**6) + 0.8 * c8 / (r**8 + r_0**8))
    found = dispersion_energies(*(tf.constant([value], tf.float64) for value in (distance, c6, radii)), 0.8, 0.75, 2.7)
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


@pytest.mark.parametrize(("distance", "z_i", "z_j"), [(0.3, 1, 1), (1.1, 6, 8), (3.5, 53, 17)])
def test_repulsion(distance, z_i, z_j):
    scaled = distance / (0.8854 * units.BOHR / (z_i**0.23 + z_j**0.23))
    screening = (
        0.18180 * math.exp(-3.2 * scaled) + 0.50990 * math.exp(-0.9423 * scaled)
        + 0.28020 * math.exp(-0.4028 * scaled) + 0.02817 * math.exp(-0.2016 * scaled)
    )  # fmt: skip
    found = zbl_energies(*(tf.constant([value], tf.float64) for value in (distance, z_i, z_j)))
    np.testing.assert_allclose(found, [COULOMB_CONSTANT_KJ_MOL_ANGSTROM * z_i * z_j * screening / distance], rtol=1e-9)
