"""What is minimized: squared errors (Eq. 12 of the paper), or absolute ones with charges and dipoles (PhysNet, Eq. 17)."""

from collections.abc import Sequence

import keras

from amp_tf import units
from amp_tf.layers.dense import REGISTERED
from amp_tf.training.config import TrainingConfig

_HARTREE_EV, _BOHR = units.HARTREE / units.EV, units.BOHR

ABSOLUTE_WEIGHTS = {
    "code": {"energy": 1.0, "qm_gradients": 100.0 * _BOHR, "total_charge": _HARTREE_EV * _BOHR, "dipole": _HARTREE_EV},
    "paper": {"energy": 1.0, "qm_gradients": 100.0 * _BOHR, "total_charge": _HARTREE_EV, "dipole": _HARTREE_EV / _BOHR},
}
"""Of absolute errors in eV, eV/angstrom, e and e*angstrom, so that the loss is in eV. The paper's are 1, 100, 1 and 1 in atomic units; the
authors' program has those of charges and dipoles by the bohr smaller."""


ENERGIES = ("energy", "qm_gradients", "mm_gradients")
"""Labels whose errors are energies, or energies by lengths."""


def loss_weights(config: TrainingConfig, labels: Sequence[str]) -> dict[str, float]:
    """The factor on the error of each label, in the units of the package; with absolute errors the loss is in eV."""
    if config.loss == "squared":
        weight = config.gradient_weight if "qm_gradients" in labels else 0.0
        weights = {"energy": 1.0 - weight, "qm_gradients": weight, "mm_gradients": weight * config.mm_gradient_factor}
        return {label: weights[label] for label in labels}
    in_ev = ABSOLUTE_WEIGHTS[config.loss_weights] | {"nonhierarchicality": config.nonhierarchicality_weight}
    in_ev["mm_gradients"] = config.mm_gradient_factor * in_ev["qm_gradients"]
    return {label: in_ev[label] / (units.EV if label in ENERGIES else 1.0) for label in labels}


def further_labels(config: TrainingConfig, known: Sequence[str], has_dipoles: bool) -> tuple[str, ...]:
    """Which labels besides energies and gradients are trained on, of those that a model knows."""
    if config.loss == "squared":
        return ()
    wanted = {"total_charge": True, "dipole": has_dipoles, "nonhierarchicality": config.nonhierarchicality_weight > 0.0}
    return tuple(label for label in known if wanted[label])


@REGISTERED
class RampedAdam(keras.optimizers.Adam):
    """Adam whose averaged weights follow more closely at the start: momentum min(m, (1 + t)/(10 + t)) at step t, and none at the first.

    A fixed momentum of 0.999 still holds 37 % of the first weights after 1 000 steps.
    """

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        step = keras.ops.cast(self.iterations, "float32")
        momentum = keras.ops.where(step == 0.0, 0.0, keras.ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step)))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            rate = keras.ops.cast(1.0 - momentum, average.dtype)
            average.assign(average + rate * (keras.ops.cast(variable.value, average.dtype) - average))
