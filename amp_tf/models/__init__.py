"""Whole potentials and their shared base."""

import amp_tf.backend  # noqa: F401
from amp_tf.models.amp import AMP
from amp_tf.models.amp_bms import AMPBMS
from amp_tf.models.ensemble import Ensemble
from amp_tf.models.gnn import GNN
from amp_tf.models.loading import load_potential
from amp_tf.models.painn import PaiNN
from amp_tf.models.physnet import PhysNet
from amp_tf.models.potential import Potential
from amp_tf.models.schnet import SchNet

__all__ = ["AMP", "AMPBMS", "GNN", "Ensemble", "PaiNN", "PhysNet", "Potential", "SchNet", "load_potential"]
