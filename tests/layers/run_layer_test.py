"""One test that every layer passes; see ``test_layers.py`` for the layers and ``test_broken_layers.py`` for the proof that it bites."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

PRECISIONS = {"float32": 2e-5, "float64": 1e-12}


@keras.saving.register_keras_serializable(package="amp_tf_tests")
class Holder(keras.Model):
    """A model of one layer, so that the layer can be saved and trained by itself."""

    def __init__(self, layer):
        super().__init__(dtype=layer.dtype_policy)
        self.layer = layer
        self.built = True

    def call(self, inputs):
        return self.layer(*inputs)

    def get_config(self):
        return {"layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["layer"]))


def run_layer_test(make_layer: Callable, make_inputs: Callable, n_parameters: int, folder: Path) -> None:
    """Configuration and ``.keras`` round trip, parameter count, eager equals graph, float32 equals float64, one training step.

    Args:
        make_layer: dtype -> layer.
        make_inputs: dtype -> tuple of the positional arguments of ``call``.
        n_parameters: number of trainable parameters, counted by hand.
        folder: for the saved model.
    """
    layer = make_layer("float64")
    inputs = make_inputs("float64")
    expected = flat(layer(*inputs))
    assert layer.count_params() == n_parameters, f"{layer.count_params()} parameters, expected {n_parameters}"

    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config(), "the configuration does not survive its round trip"
    twin.set_weights(layer.get_weights())
    assert_close(flat(twin(*inputs)), expected, 0.0, "a layer made from the configuration computes something else")

    holder = Holder(layer)
    holder.save(folder / "layer.keras")
    loaded = keras.saving.load_model(folder / "layer.keras")
    assert_close(flat(loaded(inputs)), expected, 0.0, "the saved layer computes something else")

    assert_close(flat(tf.function(lambda: layer(*inputs))()), expected, PRECISIONS["float64"], "graph mode computes something else")

    single = make_layer("float32")
    assert all(variable.dtype == "float32" for variable in single.variables), "a weight does not follow the dtype of the layer"
    single.set_weights(layer.get_weights())
    results = flat(single(*make_inputs("float32")))
    assert all(result.dtype == np.float32 for result in results), "a result does not follow the dtype of the layer"
    assert_close(results, expected, PRECISIONS["float32"], "float32 computes something else")

    check_training_step(layer, inputs)


def check_training_step(layer, inputs) -> None:
    """Every weight has a finite gradient that is not all zero, and a small step along it lowers the loss."""

    def loss():
        return sum(tf.reduce_sum(tf.square(tensor - 1.0)) for tensor in tf.nest.flatten(layer(*inputs)))

    with tf.GradientTape() as tape:
        before = loss()
    gradients = tape.gradient(before, layer.trainable_variables)
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert gradient is not None, f"{variable.path} does not take part"
        assert np.all(np.isfinite(gradient)), f"the gradient of {variable.path} is not finite"
        assert np.any(np.array(gradient) != 0.0), f"the gradient of {variable.path} is zero"
    rate = 1e-4 / np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients))
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
    assert loss() < before, "a small step along the gradient does not lower the loss"


def flat(result) -> list[np.ndarray]:
    return [np.array(tensor) for tensor in tf.nest.flatten(result)]


def assert_close(found, expected, tolerance: float, message: str) -> None:
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance * max(1.0, np.max(np.abs(right))), err_msg=message)
