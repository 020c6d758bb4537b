"""The layers of PhysNet (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019); σ is the shifted softplus throughout."""

import math

import keras
import numpy as np
from keras import ops

from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.schnet import shifted_softplus
from amp_tf.ops import radial, safe


def _dense(layer: keras.layers.Layer, size: int, name: str, units: int | None = None, **settings) -> keras.layers.Dense:
    """A built dense layer with orthogonal rows at the start."""
    settings = {"kernel_initializer": keras.initializers.Orthogonal()} | settings
    dense = keras.layers.Dense(units or size, dtype=layer.dtype_policy, name=name, **settings)
    dense.build((None, size))
    return dense


@REGISTERED
class ExponentialRadialBasis(keras.layers.Layer):
    """:func:`amp_tf.ops.radial.exponential_gaussians` whose centers and widths are learnt, and stay positive as softplus of free weights.

    At the start the centers are equally spaced from exp(−cutoff) to 1, and all widths are (2 (1 − exp(−cutoff)) / n)⁻².

    Args:
        n_radial: number of functions n.
        cutoff: angstrom.

    Call arguments:
        distances: [n_edges], angstrom.

    Returns:
        [n_edges, n_radial]
    """

    def __init__(self, n_radial: int, cutoff: float, **kwargs):
        super().__init__(**kwargs)
        self.n_radial, self.cutoff = n_radial, cutoff
        end = math.exp(-cutoff)
        start = {"centers": np.linspace(end, 1.0, n_radial), "widths": np.full(n_radial, (2.0 * (1.0 - end) / n_radial) ** -2)}
        self._free = {
            name: self.add_weight(shape=(n_radial,), name=name, initializer=_Values(inverse_softplus(values)))
            for name, values in start.items()
        }
        self.built = True

    def call(self, distances):
        centers, widths = (ops.softplus(self._free[name]) for name in ("centers", "widths"))
        return radial.exponential_gaussians(distances, self.cutoff, centers, widths)

    def get_config(self):
        return super().get_config() | {"n_radial": self.n_radial, "cutoff": self.cutoff}


class _Values(keras.initializers.Initializer):
    """Given values."""

    def __init__(self, values: np.ndarray):
        self.values = values

    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(self.values, dtype=dtype)


def inverse_softplus(values: np.ndarray) -> np.ndarray:
    """x of softplus(x) = values > 0, without overflow."""
    return values + np.log(-np.expm1(-values))


@REGISTERED
class ResidualBlock(keras.layers.Layer):
    r"""Eq. 4: :math:`x \leftarrow x + W_2 \, \sigma(W_1 \sigma(x) + b_1) + b_2`.

    Args:
        n_features: size of x.

    Call arguments:
        features: x [n_atoms, n_features].
    """

    def __init__(self, n_features: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features = n_features
        self.first, self.second = (_dense(self, n_features, name) for name in ("first", "second"))
        self.built = True

    def call(self, features):
        return features + self.second(shifted_softplus(self.first(shifted_softplus(features))))

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features}


@REGISTERED
class PhysNetInteraction(keras.layers.Layer):
    r"""Eqs. 5 and 6, with :math:`a = \sigma(x)` and the attention mask G g of each pair:

    .. math:: v_i = \sigma(W_I a_i + b_I) + \sum_j (G g(r_{ij})) \circ \sigma(W_J a_j + b_J), \qquad
        x_i \leftarrow u \circ x_i + W \sigma(v_i') + b

    where v' is v after ``n_residual`` residual blocks. The gate u multiplies x, not σ(x), as in the authors' program.

    Args:
        n_features: size of x.
        n_radial: size of the radial basis g.
        n_residual: residual blocks on v.

    Call arguments:
        features: x [n_atoms, n_features].
        radial_basis: g [n_edges, n_radial].
        receivers, senders: i and j [n_edges].
    """

    def __init__(self, n_features: int, n_radial: int, n_residual: int, **kwargs):
        super().__init__(**kwargs)
        self.n_features, self.n_radial, self.n_residual = n_features, n_radial, n_residual
        self.to_mask = _dense(self, n_radial, "to_mask", n_features, use_bias=False, kernel_initializer="zeros")
        self.dense_i, self.dense_j, self.dense = (_dense(self, n_features, name) for name in ("dense_i", "dense_j", "dense"))
        self.gate = self.add_weight(shape=(n_features,), initializer="ones", name="gate")
        self.residual = [ResidualBlock(n_features, dtype=self.dtype_policy, name=f"residual_{number}") for number in range(n_residual)]
        self.built = True

    def call(self, features, radial_basis, receivers, senders):
        active = shifted_softplus(features)
        messages = self.to_mask(radial_basis) * safe.gather(shifted_softplus(self.dense_j(active)), senders)
        proto = shifted_softplus(self.dense_i(active)) + safe.segment_sum(messages, receivers, ops.shape(features)[0])
        for block in self.residual:
            proto = block(proto)
        return self.gate * features + self.dense(shifted_softplus(proto))

    def get_config(self):
        return super().get_config() | {"n_features": self.n_features, "n_radial": self.n_radial, "n_residual": self.n_residual}


@REGISTERED
class PhysNetModule(keras.layers.Layer):
    """An interaction, residual blocks, and beside them residual blocks and the output y = W σ(h), which starts at zero (Eq. 9).

    The paper's bias of the output does what the shift of each element does, and is left out, as in the authors' program.

    Args:
        n_features, n_radial: as in :class:`PhysNetInteraction`.
        n_outputs: 1, the energy, or 2, the charge too.
        n_interaction, n_atomic, n_output: residual blocks of the interaction, after it, and before the output.

    Call arguments: as in :class:`PhysNetInteraction`.

    Returns:
        The new x for the next module, and y [n_atoms, n_outputs].
    """

    def __init__(
        self, n_features: int, n_radial: int, n_outputs: int, n_interaction: int, n_atomic: int, n_output: int, **kwargs
    ):  # fmt: skip
        super().__init__(**kwargs)
        self._settings = {
            "n_features": n_features, "n_radial": n_radial, "n_outputs": n_outputs, "n_interaction": n_interaction, "n_atomic": n_atomic,
            "n_output": n_output,
        }  # fmt: skip
        self.interaction = PhysNetInteraction(n_features, n_radial, n_interaction, dtype=self.dtype_policy, name="interaction")
        self.atomic, self.before_output = (
            [ResidualBlock(n_features, dtype=self.dtype_policy, name=f"{name}_{number}") for number in range(n)]
            for name, n in (("atomic", n_atomic), ("before_output", n_output))
        )
        self.output_layer = _dense(self, n_features, "output_layer", n_outputs, use_bias=False, kernel_initializer="zeros")
        self.built = True

    def call(self, features, radial_basis, receivers, senders):
        features = self.interaction(features, radial_basis, receivers, senders)
        for block in self.atomic:
            features = block(features)
        side = features
        for block in self.before_output:
            side = block(side)
        return features, self.output_layer(shifted_softplus(side))

    def get_config(self):
        return super().get_config() | self._settings
