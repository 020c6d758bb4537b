"""Loss, schedules, the experiment configuration, and training runs with checkpoints."""

import amp_tf.backend  # noqa: F401
from amp_tf.training.baselines import fit_atomic_energies
from amp_tf.training.config import TrainingConfig, make_config, read_config
from amp_tf.training.evaluation import evaluate
from amp_tf.training.run import TrainingResult, compile_potential, train

__all__ = [
    "TrainingConfig",
    "TrainingResult",
    "compile_potential",
    "evaluate",
    "fit_atomic_energies",
    "make_config",
    "read_config",
    "train",
]
