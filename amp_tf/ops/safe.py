"""Norms, divisions and segment sums whose first and second derivatives stay finite; gathering of rows."""

import keras
from keras import ops

if keras.backend.backend() == "tensorflow":
    from tensorflow import gather
else:

    def gather(values, indices):
        """Rows of ``values`` by their numbers; ``keras.ops.take`` on TensorFlow tests every number for being negative first."""
        return ops.take(values, indices, axis=0)


def norm(vectors, axis: int = -1):
    """Euclidean norm over ``axis``, exact, with zero derivatives where the vector is zero.

    The unused branch is evaluated at 1, not at 0: the derivative of ``where`` is a sum over both branches, and 0 times infinity is NaN.
    """
    squared = ops.sum(ops.square(vectors), axis=axis)
    is_zero = ops.equal(squared, 0.0)
    return ops.where(is_zero, ops.zeros_like(squared), ops.sqrt(ops.where(is_zero, ops.ones_like(squared), squared)))


def smooth_norm(vectors, width: float, axis: int = -1):
    """sqrt(|v|² + width²) − width: the norm without its kink at zero.

    All derivatives are continuous; the second is at most 1/width. Deviates from |v| by less than ``width``.
    """
    return ops.sqrt(ops.sum(ops.square(vectors), axis=axis) + width**2) - width


def divide(numerator, denominator):
    """numerator / denominator, and zero with zero derivatives where the denominator is zero."""
    is_zero = ops.equal(denominator, 0.0)
    quotient = numerator / ops.where(is_zero, ops.ones_like(denominator), denominator)
    return ops.where(is_zero, ops.zeros_like(quotient), quotient)


def segment_sum(values, segments, n_segments):
    """Sum of the rows of ``values`` [n, ...] by ``segments`` [n]: [n_segments, ...], zero for a segment without rows."""
    return ops.segment_sum(values, segments, num_segments=n_segments)
