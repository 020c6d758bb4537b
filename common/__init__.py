"""What reproductions and benchmarks share; imports neither."""

import amp_tf.backend  # noqa: F401  # before what imports TensorFlow
