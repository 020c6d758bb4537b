"""Message passing on distances alone (Eq. 1), the baseline."""

import keras
from keras import ops

from amp_tf.layers.dense import REGISTERED, PairPerceptron, Perceptron
from amp_tf.layers.edges import weighted
from amp_tf.ops import safe


@REGISTERED
class MessagePassing(keras.layers.Layer):
    """h_i ← h_i + φ_h(h_i, Σ_j φ_e(h_i, h_j, u_ij), one-hot_i) (Eq. 1 with the residual update of A.2).

    Args:
        n_features: size of h and of every hidden layer.
        n_elements: size of the one-hot element vector.
        n_radial: size of u_ij, the radial basis.

    Call arguments:
        features: h [n_atoms, n_features].
        one_hot: [n_atoms, n_elements].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        The new h [n_atoms, n_features].
    """

    def __init__(self, n_features: int, n_elements: int, n_radial: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features, self.n_elements, self.n_radial = n_features, n_elements, n_radial
        hidden = (n_features, n_features)
        self.message = PairPerceptron(n_features, n_radial, hidden, dtype=self.dtype_policy, name="message")
        self.update = Perceptron(2 * n_features + n_elements, hidden, dtype=self.dtype_policy, name="update")
        self.built = True

    def call(self, features, one_hot, edges):
        messages = weighted(self.message(features, edges.radial_basis, edges), edges)
        received = safe.segment_sum(messages, edges.receivers, ops.shape(features)[0])
        return features + self.update(ops.concatenate([features, received, one_hot], axis=-1))

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features, "n_elements": self.n_elements, "n_radial": self.n_radial}
