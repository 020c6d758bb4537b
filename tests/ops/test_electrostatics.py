"""Coulomb energies and the conservation of charge against plain sums."""

import numpy as np
import tensorflow as tf

from amp_tf.ops import electrostatics
from tests import numpy_reference as reference


def test_potentials_are_coulombs_with_constants_from_codata(random):
    charges, distances, receivers = random.normal(size=4), random.uniform(1, 9, size=4), np.array([0, 2, 2, 0])
    expected = np.zeros(3)
    for charge, distance, receiver in zip(charges, distances, receivers, strict=True):
        expected[receiver] += reference.COULOMB_CONSTANT_KJ_MOL_ANGSTROM * charge / distance
    np.testing.assert_allclose(electrostatics.potentials(charges, distances, receivers, 3), expected, rtol=1e-9)


def test_conserve_charge_shifts_each_system_to_its_total(random):
    charges, system, total = random.normal(size=5), np.array([0, 0, 0, 1, 1]), np.array([-1.0, 2.0])
    found = np.array(electrostatics.conserve_charge(tf.constant(charges), tf.constant(system), tf.constant(total)))
    for number in range(2):
        members = system == number
        np.testing.assert_allclose(found[members].sum(), total[number], atol=1e-14)
        shift = (charges[members].sum() - total[number]) / members.sum()
        np.testing.assert_allclose(found[members], charges[members] - shift, atol=1e-14)
