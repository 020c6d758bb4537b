"""A radial basis whose frequencies are learnt, and the pairs that it describes."""

import math

import keras
import numpy as np

from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.edges import Edges, pair_vectors
from amp_tf.ops import radial, safe


@REGISTERED
class SineBasis(keras.layers.Layer):
    """w(x) sin(f_n x) of distances, x = distance/cutoff, with the weight w(x) = u(x)/x of :func:`amp_tf.ops.radial.message_weight`.

    The frequencies f_n, radian, start at nπ, where the functions are those of :func:`amp_tf.ops.radial.bessel_basis`.

    Args:
        n_functions: of the basis.
        cutoff: angstrom.
        exponent: p of the envelope.

    Call arguments:
        distances: [n_pairs], angstrom.

    Returns:
        [n_pairs, n_functions]
    """

    def __init__(self, n_functions: int, cutoff: float, exponent: int = radial.ENVELOPE_EXPONENT, **kwargs):
        super().__init__(**kwargs)
        self.n_functions, self.cutoff, self.exponent = n_functions, cutoff, exponent
        start = keras.initializers.Constant(math.pi * np.arange(1, n_functions + 1))
        self.frequencies = self.add_weight(shape=(n_functions,), initializer=start, name="frequencies")
        self.built = True

    def call(self, distances):
        return radial.enveloped_sines(distances, self.cutoff, self.frequencies / math.pi, self.exponent)

    def edges(self, receiver_positions, sender_positions, receivers, senders) -> Edges:
        """Pairs with this radial basis, weighted by w; arguments as in :func:`amp_tf.layers.edges.make_edges`."""
        distances, unit_vectors = safe.length_and_direction(pair_vectors(receiver_positions, sender_positions, receivers, senders))
        weights = radial.message_weight(distances, self.cutoff, self.exponent)
        return Edges(receivers, senders, distances, unit_vectors, self(distances), weights[:, None])

    def get_config(self):
        return super().get_config() | {"n_functions": self.n_functions, "cutoff": self.cutoff, "exponent": self.exponent}
