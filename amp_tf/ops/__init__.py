"""Pure functions on tensors, one equation each; no state and no Keras layers. Written with ``keras.ops``."""

import amp_tf.backend  # noqa: F401
