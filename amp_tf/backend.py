"""Importing this module chooses TensorFlow for Keras, before Keras is imported, which would import another backend.

Raises:
    InputError: if ``KERAS_BACKEND``, or Keras where it is imported already, says otherwise.
"""

import os
import sys

from amp_tf.errors import InputError

_keras = sys.modules.get("keras")
_backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow") if _keras is None else _keras.config.backend()
if _backend != "tensorflow":
    raise InputError(f"amp_tf needs TensorFlow, but Keras runs on {_backend}; set KERAS_BACKEND=tensorflow.")
