"""Speed measurements that print ratios to what the machine can do."""

import amp_tf.backend  # noqa: F401  # before what imports TensorFlow
