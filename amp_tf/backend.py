"""Importing this module chooses TensorFlow for Keras, before Keras is imported, which would import another backend, and imports it quietly.

TensorFlow tells about processors and drivers while it is imported, when its own setting of what to tell, ``TF_CPP_MIN_LOG_LEVEL``, does not
hold yet. Unless the user has set it, only what ends the process is told and, where there is a graphics processor, errors.

Raises:
    InputError: if ``KERAS_BACKEND``, or Keras where it is imported already, says otherwise.
"""

import contextlib
import os
import sys

from amp_tf.errors import InputError
from amp_tf.silence import silent

_keras = sys.modules.get("keras")
_backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow") if _keras is None else _keras.config.backend()
if _backend != "tensorflow":
    raise InputError(f"amp_tf needs TensorFlow, but Keras runs on {_backend}; set KERAS_BACKEND=tensorflow.")

ERRORS, FATAL = "2", "3"
"""Levels of ``TF_CPP_MIN_LOG_LEVEL``. Without a graphics processor its missing driver is the one error that TensorFlow tells."""

_level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", ERRORS if any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg"))) else FATAL)
with silent(2) if _level in (ERRORS, FATAL) else contextlib.nullcontext():
    import tensorflow  # noqa: F401
