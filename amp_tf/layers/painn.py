"""The two halves of a PaiNN layer: messages between nodes, mixing within a node (Schütt, Unke and Gastegger, ICML 2021)."""

import keras
from keras import ops

from amp_tf.layers.dense import REGISTERED, Perceptron
from amp_tf.layers.edges import weighted
from amp_tf.ops import safe

NORM_WIDTH = 1e-4
"""Width of the smooth norm of the mixed vectors."""

FILTER_VARIANCE = 1e-3
"""Of the initial filters' kernel, in units of 1/n_radial: the filter of a covalent bond is then about 0.1. Scalars grow with the third
power of vectors from layer to layer, and larger filters start at astronomical energies."""


@REGISTERED
class PaiNNMessage(keras.layers.Layer):
    r"""Messages of scalars s [n_nodes, n_features] and vectors v [n_nodes, 3, n_features] (their Eqs. 7 and 8):

    .. math::
        s_i \leftarrow s_i + \sum_j \phi_s(s_j) \circ W_s(r_{ij}), \qquad
        v_i \leftarrow v_i + \sum_j v_j \circ \phi_{vv}(s_j) \circ W_{vv}(r_{ij})
        + \phi_{vs}(s_j) \circ W_{vs}(r_{ij}) \, \hat{r}_{ij}

    The three φ are one perceptron, the three filters W one dense layer on the radial basis, weighted by the cut-off function.

    Args:
        n_features: size of s and v.
        n_radial: size of the radial basis.

    Call arguments:
        scalars: [n_nodes, n_features].
        vectors: [n_nodes, 3, n_features], or None for zero.
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        The new scalars and vectors.
    """

    def __init__(self, n_features: int, n_radial: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features, self.n_radial = n_features, n_radial
        self.context = Perceptron(n_features, (n_features,), 3 * n_features, dtype=self.dtype_policy, name="context")
        initializer = keras.initializers.VarianceScaling(FILTER_VARIANCE)
        self.filters = keras.layers.Dense(3 * n_features, kernel_initializer=initializer, dtype=self.dtype_policy, name="filters")
        self.filters.build((None, n_radial))
        self.built = True

    def call(self, scalars, vectors, edges):
        filters = weighted(self.filters(edges.radial_basis), edges)
        to_scalars, along_pairs, along_vectors = ops.split(safe.gather(self.context(scalars), edges.senders) * filters, 3, axis=-1)
        added = along_pairs[:, None, :] * edges.unit_vectors[:, :, None]
        if vectors is not None:
            added += along_vectors[:, None, :] * safe.gather(vectors, edges.senders)
        n_nodes = ops.shape(scalars)[0]
        received = safe.segment_sum(added, edges.receivers, n_nodes)
        return scalars + safe.segment_sum(to_scalars, edges.receivers, n_nodes), received if vectors is None else vectors + received

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features, "n_radial": self.n_radial}


@REGISTERED
class PaiNNMixing(keras.layers.Layer):
    r"""Mixing of scalars and vectors of one node (their Eqs. 9 and 10), U and V linear maps of the features of v:

    .. math::
        s \leftarrow s + a_{ss} + a_{sv} \circ \langle Uv, Vv \rangle, \qquad v \leftarrow v + a_{vv} \circ Uv, \qquad
        a = a(s, \lVert Vv \rVert)

    Args:
        n_features: size of s and v.

    Call arguments:
        scalars: [n_nodes, n_features].
        vectors: [n_nodes, 3, n_features].

    Returns:
        The new scalars and vectors.
    """

    def __init__(self, n_features: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features = n_features
        self.linear_maps = keras.layers.Dense(2 * n_features, use_bias=False, dtype=self.dtype_policy, name="linear_maps")
        self.linear_maps.build((None, 3, n_features))
        self.context = Perceptron(2 * n_features, (n_features,), 3 * n_features, dtype=self.dtype_policy, name="context")
        self.built = True

    def call(self, scalars, vectors):
        mapped_u, mapped_v = ops.split(self.linear_maps(vectors), 2, axis=-1)
        norms = safe.smooth_norm(mapped_v, NORM_WIDTH, axis=1)
        to_scalars, to_vectors, of_products = ops.split(self.context(ops.concatenate([scalars, norms], axis=-1)), 3, axis=-1)
        products = ops.sum(mapped_u * mapped_v, axis=1)
        return scalars + to_scalars + of_products * products, vectors + to_vectors[:, None, :] * mapped_u

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features}
