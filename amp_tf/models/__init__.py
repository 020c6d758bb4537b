"""Whole potentials and their shared base."""

from amp_tf.models.amp import AMP
from amp_tf.models.gnn import GNN
from amp_tf.models.potential import Potential, load_potential

__all__ = ["AMP", "GNN", "Potential", "load_potential"]
