"""The interaction block of SchNet (Schütt et al., J. Chem. Phys. 148, 241722, 2018)."""

import math

import keras
from keras import ops

from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.edges import weighted
from amp_tf.ops import safe


def shifted_softplus(values):
    """ln(eˣ/2 + 1/2), SchNet's activation: smooth, zero at zero."""
    return ops.softplus(values) - math.log(2.0)


@REGISTERED
class SchNetInteraction(keras.layers.Layer):
    r"""A continuous-filter convolution between two dense layers, added to the features:

    .. math:: x_i \leftarrow x_i + D_3 \, \sigma\left(D_2 \sum_j (D_1 x_j) \circ W(r_{ij})\right),
        \qquad W = F_2 \, \sigma(F_1 u_{ij})

    with σ the shifted softplus; D₁ has no bias; W is weighted by the cut-off function.

    Args:
        n_features: size of x.
        n_filters: size of the filters W.
        n_radial: size of the radial basis u.

    Call arguments:
        features: x [n_nodes, n_features].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        The new x.
    """

    def __init__(self, n_features: int, n_filters: int, n_radial: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features, self.n_filters, self.n_radial = n_features, n_filters, n_radial
        self.to_filters = self._dense(n_features, n_filters, "to_filters", use_bias=False)
        self.first_filter = self._dense(n_radial, n_filters, "first_filter")
        self.second_filter = self._dense(n_filters, n_filters, "second_filter")
        self.from_filters = self._dense(n_filters, n_features, "from_filters")
        self.output_layer = self._dense(n_features, n_features, "output_layer")
        self.built = True

    def _dense(self, input_size: int, size: int, name: str, use_bias: bool = True) -> keras.layers.Dense:
        layer = keras.layers.Dense(size, use_bias=use_bias, dtype=self.dtype_policy, name=name)
        layer.build((None, input_size))
        return layer

    def call(self, features, edges):
        filters = weighted(self.second_filter(shifted_softplus(self.first_filter(edges.radial_basis))), edges)
        messages = safe.gather(self.to_filters(features), edges.senders) * filters
        received = safe.segment_sum(messages, edges.receivers, ops.shape(features)[0])
        return features + self.output_layer(shifted_softplus(self.from_filters(received)))

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features, "n_filters": self.n_filters, "n_radial": self.n_radial}
