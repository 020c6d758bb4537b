"""Splits of a data set into training, validation and test frames."""

from typing import Literal

import numpy as np
import pydantic

from amp_tf.errors import InputError

Indices = dict[str, np.ndarray]


class Split(pydantic.BaseModel):
    """How frames are assigned; unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: Literal["alternating", "random", "ordered"] = "random"
    """``alternating``: even frames train, odd frames test, which validate too (paper, A.3). ``random``: shuffled (the paper's "shuffled").
    ``ordered``: in generation order, first training, then validation, then test ("unshuffled")."""
    train: float = pydantic.Field(0.7, gt=0, lt=1)
    """Fraction of the frames for training; not used by ``alternating``."""
    validation: float = pydantic.Field(0.2, ge=0, lt=1)
    """Fraction for validation; the rest is the test set."""
    seed: int = 0
    """Of ``random``."""

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.kind != "alternating" and self.train + self.validation >= 1:
            raise ValueError(f"train + validation must leave frames for the test set, got {self.train} + {self.validation}")
        return self

    def assign(self, n_frames: int) -> Indices:
        """Frame numbers of ``train``, ``validation`` and ``test``.

        Raises:
            InputError: if training or test set would be empty.
        """
        numbers = np.arange(n_frames)
        if self.kind == "alternating":
            parts = {"train": numbers[::2], "validation": numbers[1::2], "test": numbers[1::2]}
        else:
            if self.kind == "random":
                numbers = np.random.default_rng(self.seed).permutation(n_frames)
            first, second = round(self.train * n_frames), round((self.train + self.validation) * n_frames)
            parts = {"train": numbers[:first], "validation": numbers[first:second], "test": numbers[second:]}
        if not (len(parts["train"]) and len(parts["test"])):
            raise InputError(f"{n_frames} frames are too few for this split ({self}): training or test set would be empty.")
        return parts
