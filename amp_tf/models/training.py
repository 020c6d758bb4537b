"""How Keras trains a potential: the labels decide which derivatives are taken."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from amp_tf.graph import GRADIENTS, MolecularGraph
from amp_tf.models.settings import require


class Trainable(keras.Model):
    """The steps of training and evaluation of a model that has ``with_gradients``."""

    def predict_labels(self, graph: MolecularGraph, labels: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """The predictions for the names in ``labels``, with derivatives only where gradients are among them."""
        names = [name for name in labels if name in GRADIENTS]
        result = self.with_gradients(graph, training, names=names) if names else self(graph, training=training)
        result = {**result, **self.further_labels(graph, result, labels)}
        return {name: result[name] for name in labels}

    def further_labels(self, graph: MolecularGraph, result: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
        """Of ``labels`` those that are made of a result of the model, such as a dipole moment of charges."""
        return {}

    def _track(self, graph, labels, predictions, loss) -> dict[str, Any]:
        loss_tracker = next(metric for metric in self.metrics if metric.name == "loss")
        loss_tracker.update_state(loss, sample_weight=ops.shape(graph.total_charge)[0])
        return self.compute_metrics(graph, labels, predictions)

    def compile(self, *arguments, jit_compile: bool = False, **settings) -> None:
        """Keras's ``compile``; without XLA by default, which would compile anew for every size of a batch."""
        super().compile(*arguments, jit_compile=jit_compile, **settings)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Restore optimizer and loss when Keras loads a saved model with ``compile=True``."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data):
        """One step on ``(graph, labels)``; ``labels`` holds ``energy`` and, where they are known, ``qm_gradients`` and ``mm_gradients``."""
        graph, labels = _graph_and_labels(data)
        with tf.GradientTape() as tape:
            predictions = _as_rows(self.predict_labels(graph, labels, training=True))
            loss = self.compute_loss(graph, labels, predictions)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True))
        return self._track(graph, labels, predictions, loss)

    def test_step(self, data):
        """Loss and metrics of ``(graph, labels)``."""
        graph, labels = _graph_and_labels(data)
        predictions = _as_rows(self.predict_labels(graph, labels))
        return self._track(graph, labels, predictions, self.compute_loss(graph, labels, predictions, training=False))

    def predict_step(self, data):
        """:meth:`with_gradients` of ``(graph,)`` or ``(graph, labels)``: flat over atoms, relative to the atomic energies."""
        return self.with_gradients(data if isinstance(data, MolecularGraph) else data[0])


def _graph_and_labels(data) -> tuple[MolecularGraph, dict[str, Any]]:
    """Of a batch as Keras hands it to a step."""
    graph, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    require(labels is not None and weights is None, "training takes (graph, labels) without sample weights; see amp_tf.data.pipeline.")
    return graph, _as_rows(labels)


def _as_rows(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values [n_systems] as [n_systems, 1], so that Keras averages its losses and metrics over systems and not over batches."""
    return {name: ops.reshape(value, (-1, 1)) if name in ("energy", "total_charge") else value for name, value in values.items()}
