"""Perceptrons on atoms and on pairs of atoms."""

import keras
from keras import ops

from amp_tf.ops import safe

REGISTERED = keras.saving.register_keras_serializable(package="amp_tf")
INITIALIZER = "he_normal"


@REGISTERED
class PairDense(keras.layers.Layer):
    """A dense layer on [receiver features, sender features, pair features] that never makes this concatenation.

    The product of the kernel with the features of an atom is taken once per atom and gathered: the same function and the same parameters as
    a dense layer on the concatenation, with fewer operations.

    Args:
        units: size of the output.
        atom_size: size of the features of an atom.
        pair_size: size of the features of a pair.
        with_sender: False leaves the features of the sender out (Eq. 10, where the sender is an MM particle).
        activation: name of the activation function, or None.

    Call arguments:
        atom_features: [n_atoms, atom_size].
        pair_features: [n_edges, pair_size].
        edges: :class:`amp_tf.layers.edges.Edges`.

    Returns:
        [n_edges, units]
    """

    def __init__(self, units: int, atom_size: int, pair_size: int, with_sender: bool = True, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.atom_size, self.pair_size = units, atom_size, pair_size
        self.with_sender, self.activation = with_sender, activation
        self._activate = keras.activations.get(activation)
        n_parts = 2 if with_sender else 1
        self.kernel = self.add_weight(shape=(n_parts * atom_size + pair_size, units), initializer=INITIALIZER, name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.built = True

    def call(self, atom_features, pair_features, edges):
        size = self.atom_size
        if self.with_sender:
            of_receiver, of_sender, of_pair = safe.split(self.kernel, [size, size, self.pair_size])
        else:
            of_receiver, of_pair = safe.split(self.kernel, [size, self.pair_size])
        result = ops.matmul(pair_features, of_pair) + self.bias
        result += safe.gather(ops.matmul(atom_features, of_receiver), edges.receivers)
        if self.with_sender:
            result += safe.gather(ops.matmul(atom_features, of_sender), edges.senders)
        return self._activate(result)

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "atom_size": self.atom_size,
            "pair_size": self.pair_size,
            "with_sender": self.with_sender,
            "activation": self.activation,
        }


@REGISTERED
class Perceptron(keras.layers.Layer):
    """Dense layers in sequence: swish after each but an optional linear last one.

    Args:
        input_size: size of the input.
        hidden: sizes of the layers with swish.
        output_size: size of the linear last layer, or None for none.
        output_bias: False leaves the bias of the linear last layer out.

    Call arguments:
        inputs: [n, input_size].
        transform: a linear map of the columns of the result, taken on the kernel of the linear last layer, whose rows are fewer.

    Returns:
        [n, output_size or hidden[-1]], or as many columns as ``transform`` gives.
    """

    def __init__(self, input_size: int, hidden: tuple[int, ...], output_size: int | None = None, output_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.input_size, self.hidden, self.output_size, self.output_bias = input_size, tuple(hidden), output_size, output_bias
        linear = () if output_size is None else (output_size,)
        sizes = (input_size, *self.hidden, *linear)
        self.dense = [
            keras.layers.Dense(
                size,
                "swish" if number < len(self.hidden) else None,
                use_bias=output_bias or number < len(self.hidden),
                kernel_initializer=INITIALIZER,
                dtype=self.dtype_policy,
                name=f"dense_{number}",
            )
            for number, size in enumerate(sizes[1:])
        ]
        for layer, size in zip(self.dense, sizes, strict=False):
            layer.build((None, size))
        self.built = True

    def call(self, inputs, transform=None):
        *layers, last = self.dense
        for layer in layers:
            inputs = layer(inputs)
        if transform is None:
            return last(inputs)
        result = ops.matmul(inputs, transform(last.kernel))
        return result + transform(last.bias[None]) if last.use_bias else result

    def get_config(self):
        return super().get_config() | {
            "input_size": self.input_size,
            "hidden": self.hidden,
            "output_size": self.output_size,
            "output_bias": self.output_bias,
        }


@REGISTERED
class PairPerceptron(keras.layers.Layer):
    """A :class:`PairDense` with swish, followed by a :class:`Perceptron`: φ_e, φ_M and their kin.

    Args:
        atom_size, pair_size, with_sender: as in :class:`PairDense`.
        hidden: sizes of the layers with swish; the first is the pair layer's.
        output_size, output_bias: as in :class:`Perceptron`.

    Call arguments and result: as in :class:`PairDense`, and ``transform`` as in :class:`Perceptron`.
    """

    def __init__(
        self, atom_size: int, pair_size: int, hidden: tuple[int, ...], output_size: int | None = None, with_sender: bool = True,
        output_bias: bool = True, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.atom_size, self.pair_size, self.hidden = atom_size, pair_size, tuple(hidden)
        self.output_size, self.with_sender, self.output_bias = output_size, with_sender, output_bias
        self.pair = PairDense(self.hidden[0], atom_size, pair_size, with_sender, "swish", dtype=self.dtype_policy, name="pair")
        self.rest = Perceptron(self.hidden[0], self.hidden[1:], output_size, output_bias, dtype=self.dtype_policy, name="rest")
        self.built = True

    def call(self, atom_features, pair_features, edges, transform=None):
        return self.rest(self.pair(atom_features, pair_features, edges), transform=transform)

    def get_config(self):
        return super().get_config() | {
            "atom_size": self.atom_size,
            "pair_size": self.pair_size,
            "hidden": self.hidden,
            "output_size": self.output_size,
            "with_sender": self.with_sender,
            "output_bias": self.output_bias,
        }
