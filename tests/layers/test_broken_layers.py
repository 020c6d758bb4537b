"""The layer test bites: layers broken on purpose fail it, each for its reason."""

import keras
import pytest
import tensorflow as tf

from tests.layers.run_layer_test import run_layer_test

REGISTERED = keras.saving.register_keras_serializable(package="amp_tf_tests")


class Scale(keras.layers.Layer):
    """A correct layer: inputs times one weight times a setting."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.weight = self.add_weight(shape=(1,), initializer="ones", name="weight")
        self.built = True

    def call(self, inputs):
        return self.factor * self.weight * inputs

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


@REGISTERED
class Correct(Scale):
    pass


@REGISTERED
class DropsAnArgument(Scale):
    def get_config(self):
        config = super().get_config()
        del config["factor"]
        return config


@REGISTERED
class IgnoresDtype(Scale):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(factor, **kwargs | {"dtype": "float64", "autocast": False})


@REGISTERED
class DiffersInGraphMode(Scale):
    def call(self, inputs):
        return super().call(inputs) * (1.0 if tf.executing_eagerly() else 1.1)


@REGISTERED
class UnusedWeight(Scale):
    def call(self, inputs):
        return self.factor * inputs


@REGISTERED
class NaNGradient(Scale):
    def call(self, inputs):
        return super().call(inputs) + tf.where(inputs > 1e9, tf.math.log(self.weight - 1.0), 0.0)


def run(layer_class, folder, n_parameters=1):
    run_layer_test(lambda dtype: layer_class(0.5, dtype=dtype), lambda dtype: (tf.constant([[0.3, -0.2]], dtype),), n_parameters, folder)


def test_a_correct_layer_passes(tmp_path):
    run(Correct, tmp_path)


def test_a_wrong_parameter_count_fails(tmp_path):
    with pytest.raises(AssertionError, match="parameters, expected"):
        run(Correct, tmp_path, n_parameters=2)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (DropsAnArgument, "computes something else"),
        (IgnoresDtype, "does not follow the dtype"),
        (DiffersInGraphMode, "graph mode computes something else"),
        (UnusedWeight, "does not take part"),
        (NaNGradient, "is not finite"),
    ],
)
def test_a_broken_layer_fails(broken, complaint, tmp_path):
    with pytest.raises(AssertionError, match=complaint):
        run(broken, tmp_path)
