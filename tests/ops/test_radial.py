"""Radial functions: values, smoothness at the cut-off, derivatives at zero and at tiny distances."""

import numpy as np
import pytest
import tensorflow as tf

from amp_tf.ops import radial
from tests import numpy_reference as reference

CUTOFF = 5.0


def derivatives(function, distances):
    """Value, first and second derivative of a function of distances, summed over its columns."""
    x = tf.constant(distances)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = function(x)
        first = inner.gradient(value, x)
    return value, first, outer.gradient(first, x)


@pytest.mark.parametrize("distance", [1e-7, 0.3, 0.9572, 4.0, 4.999, 5.0, 7.0])
def test_bessel_basis_equals_its_formula(distance):
    found = np.array(radial.bessel_basis(tf.constant([distance], tf.float64), CUTOFF))[0]
    np.testing.assert_allclose(found, reference.bessel_basis(distance, CUTOFF, 20, 5), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-4, CUTOFF, CUTOFF + 1.0])
@pytest.mark.parametrize("function", [lambda d: radial.bessel_basis(d, CUTOFF), lambda d: radial.cutoff_function(d, CUTOFF)])
def test_derivatives_are_finite(dtype, distance, function):
    for tensor in derivatives(function, np.array([distance], dtype=dtype)):
        assert np.all(np.isfinite(tensor))


@pytest.mark.parametrize("function", [lambda d: radial.bessel_basis(d, CUTOFF), lambda d: radial.cutoff_function(d, CUTOFF)])
def test_value_and_two_derivatives_vanish_continuously_at_the_cutoff(function):
    just_inside = derivatives(function, np.array([CUTOFF - 1e-6]))
    beyond = derivatives(function, np.array([CUTOFF]))
    for inside, outside, bound in zip(just_inside, beyond, (1e-12, 1e-8, 1e-2), strict=True):
        np.testing.assert_allclose(outside, 0.0, atol=1e-12)
        np.testing.assert_allclose(inside, 0.0, atol=bound)


@pytest.mark.parametrize("x", [0.05, 0.3, 0.77, 0.999, 1.0, 1.4])
def test_message_weight_is_the_envelope_over_the_distance(x):
    expected = 1 / x - 28 * x**5 + 48 * x**6 - 21 * x**7 if x < 1 else 0.0
    np.testing.assert_allclose(radial.message_weight(tf.constant([x * CUTOFF], tf.float64), CUTOFF, 6), [expected], rtol=1e-12, atol=1e-13)


def test_message_weight_is_held_where_particles_meet():
    for tensor in derivatives(lambda d: radial.message_weight(d, CUTOFF), np.array([0.0, 1e-6])):
        assert np.all(np.isfinite(tensor))


def test_sines_of_any_frequency():
    found = np.array(radial.enveloped_sines(tf.constant([2.0], tf.float64), CUTOFF, tf.constant([0.7, 3.21], tf.float64)))[0]
    expected = reference.cutoff_function(0.4, 5) / 0.4 * np.sin(np.pi * np.array([0.7, 3.21]) * 0.4)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_smooth_step_rises_with_two_continuous_derivatives():
    value, first, second = map(np.array, derivatives(radial.smooth_step, np.array([-0.5, 0.0, 1e-9, 0.5, 1 - 1e-9, 1.0, 3.0])))
    np.testing.assert_allclose(value, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(first, [0, 0, 0, 1.875, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(second, 0.0, atol=1e-6)


def test_cutoff_function_falls_from_one_to_zero():
    values = np.array(radial.cutoff_function(tf.constant(np.linspace(0, CUTOFF, 50)), CUTOFF))
    assert values[0] == 1.0
    assert values[-1] == 0.0
    assert np.all(np.diff(values) <= 0)
    np.testing.assert_allclose(values[20], reference.cutoff_function(20 / 49, 5), rtol=1e-13)


@pytest.mark.parametrize("number", [0.5, 3.5])
def test_series_around_neighbouring_zeros_meet_without_a_step(number):
    seam = number * CUTOFF / 4  # of the fourth function
    results = [derivatives(lambda d: radial.bessel_basis(d, CUTOFF, 4)[:, 3], np.array([seam + step])) for step in (-1e-13, 1e-13)]
    for below, above in zip(*results, strict=True):
        np.testing.assert_allclose(below, above, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dtype", "bounds"), [("float32", (2e-5, 8e-4, 1e-2)), ("float64", (1e-13, 1e-11, 3e-10))])
def test_bessel_functions_and_two_derivatives_equal_those_of_sines(dtype, bounds):
    """Of all distances and twenty functions; the largest are 60, 2 300 and 17 000 in size."""
    distances = np.linspace(0.05, CUTOFF - 0.01, 400)

    def sines(d):
        angles = d[:, None] * (np.pi / CUTOFF * np.arange(1.0, 21.0))
        return radial.cutoff_function(d, CUTOFF)[:, None] * CUTOFF / d[:, None] * tf.sin(angles)

    found = derivatives(lambda d: radial.bessel_basis(d, CUTOFF), distances.astype(dtype))
    for ours, wanted, bound in zip(found, derivatives(sines, distances), bounds, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=bound)
