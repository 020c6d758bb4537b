"""Coulomb energies and the conservation of charge against plain sums."""

import numpy as np
import pytest
import tensorflow as tf

from amp_tf.ops import electrostatics
from amp_tf.ops.field import field_tensors
from amp_tf.ops.multipoles import pack
from tests import numpy_reference as reference


def test_potentials_are_coulombs_with_constants_from_codata(random):
    charges, distances, receivers = random.normal(size=4), random.uniform(1, 9, size=4), np.array([0, 2, 2, 0])
    expected = np.zeros(3)
    for charge, distance, receiver in zip(charges, distances, receivers, strict=True):
        expected[receiver] += reference.COULOMB_CONSTANT_KJ_MOL_ANGSTROM * charge / distance
    np.testing.assert_allclose(electrostatics.potentials(charges, distances, receivers, 3), expected, rtol=1e-9)


def test_potentials_in_single_precision_do_not_depend_on_the_order_of_the_charges(random):
    charges = np.tile(np.float32([-0.82, 0.41, 0.41]), 1000)
    distances = np.repeat(random.uniform(5.0, 15.0, size=1000), 3) + random.uniform(0.0, 0.3, size=3000)
    distances, receivers = distances.astype(np.float32), np.zeros(3000, np.int32)
    found = [electrostatics.potentials(charges[order], distances[order], receivers, 1) for order in (slice(None), np.argsort(charges))]
    assert found[0].dtype == tf.float32
    np.testing.assert_allclose(found[1], found[0], rtol=3e-7)


def test_conserve_charge_shifts_each_system_to_its_total(random):
    charges, system, total = random.normal(size=5), np.array([0, 0, 0, 1, 1]), np.array([-1.0, 2.0])
    found = np.array(electrostatics.conserve_charge(tf.constant(charges), tf.constant(system), tf.constant(total)))
    for number in range(2):
        members = system == number
        np.testing.assert_allclose(found[members].sum(), total[number], atol=1e-14)
        shift = (charges[members].sum() - total[number]) / members.sum()
        np.testing.assert_allclose(found[members], charges[members] - shift, atol=1e-14)


@pytest.mark.parametrize("cutoff", [9.0, 14.0])
def test_the_reaction_field_is_its_formula_and_ends_smoothly(cutoff):
    distances, permittivity = np.array([0.5, 1.5, 0.999 * cutoff, cutoff - 1e-3, cutoff, 2 * cutoff]), 78.4

    def unshifted(r):
        medium = 1 + 2 * permittivity
        fourth = 3 * cutoff**-5 / (4 * (6 - 4)) * (2 * permittivity + 6 - 1) / medium
        sixth = 3 * cutoff**-7 / (6 * (4 - 6)) * (2 * permittivity + 4 - 1) / medium
        return 1 / r + (permittivity - 1) / (medium * cutoff**3) * r**2 + fourth * r**4 + sixth * r**6

    expected = np.where(distances < cutoff, unshifted(distances) - unshifted(cutoff), 0.0)
    x = tf.constant(distances)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = electrostatics.reaction_field(x, cutoff)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(tape.gradient(found, x)[3:], 0.0, atol=1e-8)  # falls as the square of 1e-3: the third derivative remains
    assert float(electrostatics.reaction_field(tf.constant(1e7), cutoff)) == pytest.approx(0.0, abs=1e-7)  # of particles that fill up


def test_multipoles_in_charges_by_pairs_and_by_their_field(random):
    positions, mm_positions = random.normal(size=(3, 3)), random.normal(size=(4, 3)) + [6.0, 0.0, 0.0]
    mm_charges = random.normal(size=4)
    moments = [random.normal(size=3), random.normal(size=(3, 3)), reference.random_traceless(random, 2, 3)]
    expected = np.zeros(3)
    for atom in range(3):
        particles = [(charge,) for charge in mm_charges]
        fields = [reference.field_tensor(positions[atom], mm_positions, particles, order) for order in range(3)]
        energy = sum(np.sum(moment[atom] * field) for moment, field in zip(moments, fields, strict=True))
        expected[atom] = reference.COULOMB_CONSTANT_KJ_MOL_ANGSTROM * energy
    receivers, senders = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    vectors = mm_positions[senders] - positions[receivers]
    distances = np.linalg.norm(vectors, axis=1)
    packed = pack(tuple(map(tf.constant, moments)))
    of_pairs = electrostatics.multipole_charge_energies(
        packed, tf.constant(mm_charges[senders]), tf.constant(1 / distances), tf.constant(distances),
        tf.constant(vectors / distances[:, None]), tf.constant(receivers),
    )  # fmt: skip
    tensors = field_tensors(*map(tf.constant, (positions[None], mm_positions[None], mm_charges[None, :, None])), 2)
    np.testing.assert_allclose(np.bincount(receivers, of_pairs), expected, rtol=1e-9)
    np.testing.assert_allclose(electrostatics.multipole_field_energies(packed, tensors[0]), expected, rtol=1e-9)
