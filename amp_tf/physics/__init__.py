"""Does a potential obey physics? Tests of any ASE calculator, with neither TensorFlow nor torch of their own."""

from amp_tf.physics.checks import CHECKS, PRESETS, PhysicsResult, check_physics
from amp_tf.physics.report import write_report

__all__ = ["CHECKS", "PRESETS", "PhysicsResult", "check_physics", "write_report"]
