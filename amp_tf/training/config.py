"""The configuration of a training run: validated, with unit and published value of each key."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
from pydantic import Field

from amp_tf.data.splits import Split
from amp_tf.errors import InputError
from amp_tf.files import no_file
from amp_tf.models import Potential
from amp_tf.models.amp import LONG_RANGE_CUTOFF, check_near_cutoff
from amp_tf.models.loading import MODELS
from amp_tf.models.settings import checked_elements
from amp_tf.systems import naming
from amp_tf.targets import DIPOLE_MOMENT, ENERGY
from amp_tf.training.strict_yaml import read_yaml

LARGEST_BATCH, MOST_SYSTEMS = 10_000, 400_000_000
"""Systems a step and in all steps; the longest runs of the paper, those of QM9, take 220 million."""

LARGEST_SEED = 2**32 - 1


class TrainingConfig(pydantic.BaseModel):
    """Everything that decides the result of a training run. Unknown keys, values of another type and infinite numbers are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    data: Path = Field(strict=False, description="reference data, an HDF5 file of amp_tf")
    model: dict[str, Any] = Field(
        default_factory=dict,
        description="'type' (AMP, GNN, PaiNN, SchNet, PhysNet or AMPBMS) and the arguments of that class; elements default to those of the "
        "data; with start_from all are those of that potential, may be left out, and must agree with it where they are given",
    )
    start_from: Path | None = Field(
        None,
        strict=False,
        description="a trained potential (*.keras) that knows the elements and total charges of the data, whose weights and settings "
        "are those at the start: to train longer, on other data or at another level of theory; the optimizer starts anew (paper: none)",
    )
    target: str = Field(
        ENERGY,
        description="what is predicted: energy, with its gradients where the data have them, or a target of the data such as homo or mu "
        "(paper: the twelve properties of QM9, each by a model of its own)",
    )
    split: Split = Field(default_factory=Split, description="assignment of the frames")
    steps: int = Field(50_000, ge=1, description="optimizer steps (paper: 10 000 dimer, 50 000 clusters, 400 000 solutes)")
    batch_size: int = Field(16, ge=1, le=LARGEST_BATCH, description="systems a step (paper: 5 dimer and uracil, 16 clusters, 100 QM9)")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's at the first step (paper: 5e-4)")
    final_learning_rate: float = Field(1e-5, gt=0, description="at the last step, reached exponentially (paper: 1e-5; 5e-6 QM9)")
    epsilon: float = Field(
        1e-7, gt=0, description="Adam's, against division by zero (paper: 1e-7); must be small beside the gradients of the loss"
    )
    clip_norm: float = Field(1.0, gt=0, description="global norm to which gradients are clipped (paper: 1)")
    gradient_weight: float = Field(
        0.8, ge=0, le=1, description="lambda of Eq. 12 (paper: 0.8); energies alone where the data have no gradients or it is 0"
    )
    mm_gradient_factor: float = Field(100.0, ge=0, description="factor on the MM part of the gradient loss (paper: 100); 0 leaves it out")
    loss: Literal["squared", "absolute"] = Field(
        "squared",
        description="errors that are minimized: squared (paper, Eq. 12), or absolute, with charges and dipoles where the model predicts "
        "them, in eV (PhysNet, Eq. 17); epsilon and clip_norm then are in eV too (PhysNet: 1e-3, 1000)",
    )
    loss_weights: Literal["code", "paper"] = Field(
        "code",
        description="of absolute errors: those of PhysNet's program or paper, which differ by the bohr for charges and dipoles",
    )
    nonhierarchicality_weight: float = Field(
        0.01, ge=0, description="of PhysNet's penalty on modules that contribute more than earlier ones, eV (PhysNet: 0.01)"
    )
    amsgrad: bool = Field(False, description="Adam's second moments never fall (PhysNet: true)")
    beta_2: float = Field(0.999, gt=0, lt=1, description="of Adam's second moments (paper: 0.999; PhysNet: 0.99)")
    ema_ramp: bool = Field(
        False, description="the moving average of weights follows more closely at the start, with momentum (1 + t)/(10 + t) (PhysNet: true)"
    )
    keep_best: bool = Field(
        False,
        description="save the weights of the lowest validation loss, absolute errors with the weights of the loss, instead of the last "
        "ones (PhysNet: true)",
    )
    ema_momentum: float | None = Field(
        None, gt=0, lt=1, description="momentum of the moving average of the weights that is evaluated and saved (paper: none)"
    )
    start_at_zero: bool = Field(
        False,
        description="start with zero readouts of energies and charges (paper: random); random charges among many MM particles err by "
        "1 000 kJ/mol; of PhysNet, charges at zero also where the data have ions alone",
    )
    energy_reference: Literal["fit", "lowest", "mean", "none"] = Field(
        "fit",
        description="what the network's values are added to: fit, atomic energies by a least-squares fit to the training set (for one "
        "composition, its mean); lowest, such a fit to the lowest frame of each composition, for molecules and their fragments, of which "
        "only some were heated; mean, the mean of the training set (paper: QM9); or none, as always for mu; with start_from what its "
        "potential leaves over is fitted by the smallest change of its atomic energies, and none keeps these",
    )
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of initial weights and order of the batches")
    interval: int = Field(
        1_000, ge=1, description="steps between two validations; the first one after 30 seconds, and so on, writes a checkpoint"
    )
    xla: bool = Field(
        False,
        description="compile training and validation with XLA: faster where all frames have one number of atoms and edges end smoothly; "
        "where their numbers of MM particles differ, the mean over MM gradients then counts those that fill the frames up to the largest",
    )
    tensorboard: bool = Field(False, description="also write TensorBoard logs to <run>/tensorboard")

    @pydantic.model_validator(mode="after")
    def _check(self):
        self._check_model()
        default = {name: field.default for name, field in type(self).model_fields.items()}
        if self.loss == "absolute" and self.gradient_weight not in (0.0, default["gradient_weight"]):
            raise ValueError("gradient_weight is of squared errors; with loss: absolute only 0, which leaves gradients out, has a meaning")
        of_absolute = ("loss_weights", "nonhierarchicality_weight")
        if self.loss == "squared" and any(getattr(self, name) != default[name] for name in of_absolute):
            raise ValueError(f"{' and '.join(of_absolute)} are of loss: absolute; leave them out")
        if self.keep_best and self.split.kind == "alternating":
            raise ValueError("keep_best would choose by the test frames, on which split: alternating validates; choose another split")
        if self.start_from is not None and self.start_at_zero:
            raise ValueError("start_from and start_at_zero contradict each other; set start_at_zero to false or leave out start_from")
        if self.target == DIPOLE_MOMENT and self.start_at_zero:
            raise ValueError("start_at_zero: the moment of charges that are zero has no derivative to learn by; leave it out for mu")
        if self.ema_ramp and self.ema_momentum is None:
            raise ValueError("ema_ramp is of the moving average that ema_momentum asks for; set that, or leave ema_ramp out")
        if self.loss == "absolute" and self.target != ENERGY:
            raise ValueError(f"loss: absolute errors are those of energies, not of {self.target}; leave loss out")
        if self.steps % self.interval:
            raise ValueError(f"steps ({self.steps}) must be a multiple of interval ({self.interval})")
        if self.steps * self.batch_size > MOST_SYSTEMS:
            raise ValueError(f"steps ({self.steps}) of batch_size ({self.batch_size}) systems are more than {MOST_SYSTEMS:,} systems")
        return self

    def _check_model(self) -> None:
        kind = self.model.get("type")
        if not (isinstance(kind, str) and kind in MODELS) and ("type" in self.model or self.start_from is None):
            raise ValueError(f"model: type must be one of {', '.join(MODELS)}, got {kind!r}")
        models = [MODELS[kind]] if kind else MODELS.values()
        known = {name for model in (Potential, *models) for name in inspect.signature(model).parameters}
        known -= {"kwargs", "provenance", "atomic_energies", "target", "target_unit", "constant"}
        if unknown := set(self.model) - known - {"type"}:
            named = _first_of(sorted(map(repr, unknown)))
            raise ValueError(f"model: unknown keys {named} for {kind or 'any type'}; known are {sorted(known)}")
        if "elements" in self.model:
            checked_elements(self.model["elements"])
        if self.model.get("near_cutoff") is not None:
            check_near_cutoff(self.model["near_cutoff"], self.model.get("long_range_cutoff", LONG_RANGE_CUTOFF))

    def as_json(self) -> dict[str, Any]:
        """The configuration as plain JSON values."""
        return self.model_dump(mode="json")


def make_config(values: dict[str, Any], source: str = "configuration") -> TrainingConfig:
    """Validate a configuration.

    Raises:
        InputError: naming each unknown, missing or impossible key.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{source}: a configuration is a mapping of keys to values, got {type(values).__name__}.")
    try:
        return TrainingConfig.model_validate(_plain(dict(values)))
    except pydantic.ValidationError as error:
        complaints = [f"{'.'.join(map(str, entry['loc'])) or 'configuration'}: {entry['msg']}" for entry in error.errors()]
        raise InputError(f"{source}: {_first_of(complaints, '; ')}. Known keys: {', '.join(TrainingConfig.model_fields)}.") from error


def _first_of(words: Sequence[str], separator: str = ", ") -> str:
    """The first ten of many, and how many more there are."""
    return separator.join(words[:10]) + (f"{separator}and {len(words) - 10} more" if len(words) > 10 else "")


def _plain(value: Any) -> Any:
    """``value`` with numbers of Python in place of NumPy's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def read_config(path: Path | str, overrides: tuple[str, ...] = ()) -> TrainingConfig:
    """Read a YAML configuration; ``overrides`` are ``key=value`` with dots for nested keys, as in ``model.max_order=3``.

    Raises:
        InputError: as :func:`make_config`, and for a file that is missing or no YAML mapping.
    """
    path = Path(path)
    if stands := no_file(path):
        raise InputError(f"{path}: {stands}; see examples/water_dimer.yaml for a configuration.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a configuration ({error}).") from error
    with naming(str(path)):
        values = read_yaml(text)
    if not isinstance(values, dict):
        raise InputError(f"{path}: a configuration is a mapping of keys to values; see examples/water_dimer.yaml.")
    given: set[str] = set()
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise InputError(f"{override!r}: an override has the form key=value.")
        if key in given:
            raise InputError(f"{override!r}: {key} is given twice.")
        if within := [other for other in given if other.startswith(f"{key}.") or key.startswith(f"{other}.")]:
            raise InputError(f"{override!r}: {within[0]} is given too, of which one is a part of the other; give the parts alone.")
        given.add(key)
        *parents, last = key.split(".")
        try:
            target = values
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = read_yaml(value)
        except (AttributeError, TypeError, InputError) as error:
            raise InputError(f"{override!r}: not an override of this configuration ({' '.join(str(error).split())}).") from error
    return make_config(values, str(path))
