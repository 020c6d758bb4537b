"""Reproductions of the paper's figures and tables, one script each; ``common/paper.py`` holds the published numbers."""

import amp_tf.backend  # noqa: F401  # before what imports TensorFlow
