"""Keras layers of message passing potentials."""

import amp_tf.backend  # noqa: F401
from amp_tf.layers.anisotropic import AnisotropicMessagePassing, MultipoleExpansion, RadialWeights, anisotropic_features
from amp_tf.layers.channels import ChannelExpansion, ChannelMessagePassing, InducedMultipoles
from amp_tf.layers.dense import PairDense, PairPerceptron, Perceptron
from amp_tf.layers.edges import Edges, make_edges
from amp_tf.layers.message_passing import MessagePassing
from amp_tf.layers.painn import PaiNNMessage, PaiNNMixing
from amp_tf.layers.polarization import DirectPolarization, NearFarPolarization
from amp_tf.layers.schnet import SchNetInteraction
from amp_tf.layers.sines import SineBasis

__all__ = [
    "AnisotropicMessagePassing",
    "ChannelExpansion",
    "ChannelMessagePassing",
    "DirectPolarization",
    "Edges",
    "InducedMultipoles",
    "MessagePassing",
    "MultipoleExpansion",
    "NearFarPolarization",
    "PaiNNMessage",
    "PaiNNMixing",
    "PairDense",
    "PairPerceptron",
    "Perceptron",
    "RadialWeights",
    "SchNetInteraction",
    "SineBasis",
    "anisotropic_features",
    "make_edges",
]
