"""Norms, divisions and segment sums whose first and second derivatives stay finite; gathering of rows, splitting."""

import tensorflow as tf
from keras import ops


def gather(values, indices):
    """Rows of ``values`` [n, ...] by their numbers ``indices`` [...], which must be within 0 and n − 1.

    The derivative is :func:`segment_sum`, and that of :func:`segment_sum` is this function: TensorFlow's own derivatives test every number
    for being negative and work out shapes at run time, some ten operations each.
    """

    @tf.custom_gradient
    def rows(values):
        return tf.gather(values, indices), lambda upstream: segment_sum(upstream, indices, tf.shape(values)[0])

    return rows(values)


def segment_sum(values, segments, n_segments):
    """Sum of the rows of ``values`` [n, ...] by ``segments`` [n]: [n_segments, ...], zero for a segment without rows."""

    @tf.custom_gradient
    def sums(values):
        return tf.math.unsorted_segment_sum(values, segments, n_segments), lambda upstream: gather(upstream, segments)

    return sums(values)


def split(values, sizes, axis: int = 0):
    """The parts of ``values``, cut along ``axis``, a list.

    Keras's own split takes places to cut at, and works the sizes out in the graph, by a dozen operations.
    """
    return tf.split(values, sizes, axis)


def sum_in_chunks(function, n_rows, chunk: int, *inputs):
    """The sum of ``function(start, stop, *inputs)`` over the chunks [start, stop) of ``n_rows`` rows, with the memory of one chunk.

    Nothing of a chunk is kept: the first derivatives by ``inputs`` compute it once more. There are no derivatives by variables, and no
    second ones: this is for inference.

    Args:
        function: gives one tensor, whose shape does not depend on the chunk.
        n_rows: number of rows.
        chunk: rows of a chunk.
        inputs: tensors that the sum can be differentiated by.
    """

    def loop(body, start):
        def step(row, *sums):
            more = body(row, tf.minimum(row + chunk, n_rows))
            return row + chunk, *(old + new for old, new in zip(sums, more, strict=True))

        return tf.while_loop(lambda row, *_: row < n_rows, step, (tf.constant(0), *start), parallel_iterations=1)[1:]

    @tf.custom_gradient
    def total(*inputs):
        empty = function(tf.constant(0), tf.constant(0), *inputs)
        (result,) = loop(lambda start, stop: (function(start, stop, *inputs),), (tf.zeros_like(empty),))

        def gradients(upstream, variables=()):
            def of_chunk(start, stop):
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(inputs)
                    values = function(start, stop, *inputs)
                found = tape.gradient(values, inputs, output_gradients=upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                return tuple(map(tf.convert_to_tensor, found))

            by_inputs = loop(of_chunk, tuple(map(tf.zeros_like, inputs)))
            return (by_inputs, [None] * len(variables)) if variables else by_inputs

        return result, gradients

    return total(*inputs)


def in_chunks(function, rows, *inputs):
    """``function`` of ``inputs`` [n, m, ...], cut into chunks of at most ``rows`` of the m rows, with the memory of one chunk.

    The last chunk is filled up with zeros. No derivatives are taken through it: it is for the inside of functions that bring their own.

    Args:
        function: gives one tensor.
        rows: a number or a tensor of one.
        inputs: at least one.

    Returns:
        The results of the chunks, stacked.
    """
    parts = _cut(rows, inputs)
    return tf.map_fn(lambda part: function(*part), parts, fn_output_signature=inputs[0].dtype, parallel_iterations=1)


def sum_of_chunks(function, shape, rows, *inputs):
    """The sum of the results that :func:`in_chunks` stacks, of this ``shape`` and float64, added up one by one."""
    empty = tf.zeros(shape, tf.float64)
    return tf.foldl(lambda total, part: total + function(*part), _cut(rows, inputs), initializer=empty, parallel_iterations=1)


def _cut(rows, inputs) -> tuple:
    """The chunks of each of ``inputs``: [n_chunks, n, rows, ...]."""
    n_rows = tf.shape(inputs[0])[1]
    size = tf.clip_by_value(rows, 1, tf.maximum(n_rows, 1))
    n_chunks = tf.maximum((n_rows + size - 1) // size, 1)
    parts = []
    for values in inputs:
        shape = tf.shape(values)
        filled = tf.pad(values, [[0, 0], [0, n_chunks * size - n_rows]] + [[0, 0]] * (len(values.shape) - 2))
        parts.append(tf.reshape(filled, tf.concat([shape[:1], [n_chunks, size], shape[2:]], axis=0)))
    return tuple(tf.transpose(part, [1, 0, *range(2, len(part.shape))]) for part in parts)


def norm(vectors, axis: int = -1):
    """Euclidean norm over ``axis``, exact, with zero derivatives where the vector is zero.

    The unused branch is evaluated at 1, not at 0: the derivative of ``where`` is a sum over both branches, and 0 times infinity is NaN.
    """
    squared = ops.sum(ops.square(vectors), axis=axis)
    is_zero = ops.equal(squared, 0.0)
    return ops.where(is_zero, ops.zeros_like(squared), ops.sqrt(ops.where(is_zero, ops.ones_like(squared), squared)))


def smooth_norm(vectors, width: float, axis: int = -1):
    """√(‖v‖² + width²) − width: the norm without its kink at zero.

    All derivatives are continuous; the second is at most 1/width. Deviates from ‖v‖ by less than ``width``.
    """
    return ops.sqrt(ops.sum(ops.square(vectors), axis=axis) + width**2) - width


def length_and_direction(vectors):
    """Length [n] of vectors [n, 3] and the unit vectors along them [n, 3]; zero length and zero vector where the vector is zero.

    All derivatives are finite; those of a zero vector are meant for nothing but that.
    """
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)  # keepdims: a cheaper derivative
    inverse = 1.0 / ops.sqrt(ops.where(ops.equal(squared, 0.0), ops.ones_like(squared), squared))
    return ops.squeeze(squared * inverse, axis=-1), vectors * inverse
