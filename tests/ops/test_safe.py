"""Norms, divisions and segment sums at the places where the plain formulas give NaN."""

import numpy as np
import pytest
import tensorflow as tf

from amp_tf.ops import safe


def second_derivatives(function, value):
    x = tf.constant(value)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            result = function(x)
        first = inner.gradient(result, x)
        total = tf.reduce_sum(first)
    return tuple(np.array(tf.convert_to_tensor(value)) for value in (result, first, outer.gradient(total, x)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [0.0, 1e-18, 1e-6, 1.0])
@pytest.mark.parametrize("function", [safe.norm, lambda v: safe.smooth_norm(v, 1e-4)])
def test_norms_have_finite_first_derivatives(dtype, length, function):
    _, first, _ = second_derivatives(function, np.array([[length, 0.0, 0.0]], dtype=dtype))
    assert np.all(np.isfinite(first))
    assert np.all(np.abs(first) <= 1.0 + 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [0.0, 1e-18, 1e-6, 1.0])
def test_smooth_norm_has_second_derivatives_bounded_by_its_width(dtype, length):
    _, _, second = second_derivatives(lambda v: safe.smooth_norm(v, 1e-4), np.array([[length, 0.0, 0.0]], dtype=dtype))
    assert np.all(np.abs(second) <= 1.0 / 1e-4 * 1.001)


def test_norm_is_exact_and_its_derivatives_vanish_at_zero(random):
    vectors = random.normal(size=(5, 3))
    np.testing.assert_allclose(safe.norm(tf.constant(vectors)), np.linalg.norm(vectors, axis=1), rtol=1e-15)
    value, first, second = second_derivatives(safe.norm, np.zeros((1, 3)))
    assert not value.any()
    assert not first.any()
    assert not second.any()


def test_length_and_direction_and_their_finite_derivatives_at_zero(random):
    vectors = random.normal(size=(5, 3))
    lengths, directions = safe.length_and_direction(tf.constant(vectors))
    np.testing.assert_allclose(lengths, np.linalg.norm(vectors, axis=1), rtol=1e-14)
    np.testing.assert_allclose(directions, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rtol=1e-14)
    for part in range(2):
        value, first, second = second_derivatives(lambda v, part=part: safe.length_and_direction(v)[part], np.zeros((1, 3)))
        assert not value.any()
        assert np.all(np.isfinite(first))
        assert np.all(np.isfinite(second))


def test_segment_sum_keeps_empty_segments():
    sums = safe.segment_sum(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([0, 2, 2]), 4)
    np.testing.assert_array_equal(sums, [[1.0], [0.0], [6.0], [0.0]])


def test_gather_and_segment_sum_are_each_others_derivatives(random):
    """Up to second derivatives, against TensorFlow's own."""
    rows, numbers = tf.constant(random.normal(size=(4, 3))), tf.constant([[0, 3], [3, 1], [2, 3]])
    segments, weights = tf.constant([0, 2, 2]), tf.constant(random.normal(size=(4, 2, 3)))

    def function(gather, segment_sum):
        return lambda values: (
            segment_sum(tf.sin(gather(values, numbers)) * tf.square(gather(values, numbers[:, ::-1])), segments, 4) * weights
        )

    ours = second_derivatives(function(safe.gather, safe.segment_sum), rows)
    theirs = second_derivatives(function(tf.gather, tf.math.unsorted_segment_sum), rows)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)
    assert np.abs(ours[2]).max() > 0.1
