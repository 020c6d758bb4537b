"""Anisotropic message passing potentials for TensorFlow and Keras.

    >>> import amp_tf
    >>> potential = amp_tf.AMP(elements=("H", "O"), max_order=2)

Names are imported on first use, so that reading data or asking for the version does not start TensorFlow.
"""

from importlib import import_module
from importlib.metadata import version

_HOME = {
    "AMP": "amp_tf.models",
    "AMPBMS": "amp_tf.models",
    "Ensemble": "amp_tf.models",
    "GNN": "amp_tf.models",
    "PaiNN": "amp_tf.models",
    "PhysNet": "amp_tf.models",
    "Potential": "amp_tf.models",
    "SchNet": "amp_tf.models",
    "load_potential": "amp_tf.models",
    "MolecularGraph": "amp_tf.graph",
    "System": "amp_tf.systems",
    "read_reference_data": "amp_tf.data",
    "train": "amp_tf.training",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name == "__version__":
        return version("amp_tf")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'amp_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
