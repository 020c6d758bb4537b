"""Splits of a data set into training, validation and test frames."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic

from amp_tf.errors import InputError

Indices = dict[str, np.ndarray]


class Split(pydantic.BaseModel):
    """How frames are assigned; unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    kind: Literal["alternating", "random", "ordered", "groups"] = "random"
    """``alternating``: even frames train, odd frames test, which validate too (paper, A.3). ``random``: shuffled (the paper's "shuffled").
    ``ordered``: each group in generation order, first training, then validation, then test ("unshuffled").
    ``groups``: all frames of ``train_groups`` train, all others test (paper, A.4: one cluster size trains); none validate."""
    train: float = pydantic.Field(0.7, gt=0, lt=1)
    """Fraction of the frames for training; not used by ``alternating`` and ``groups``."""
    validation: float = pydantic.Field(0.2, ge=0, lt=1)
    """Fraction for validation; the rest is the test set."""
    seed: int = pydantic.Field(0, ge=0, le=2**32 - 1)
    """Of ``random``."""
    train_groups: tuple[str, ...] = pydantic.Field((), strict=False)
    """Groups of the file that train, for ``groups``."""

    @pydantic.model_validator(mode="after")
    def _check(self):
        if (self.kind == "groups") != bool(self.train_groups):
            raise ValueError("train_groups and kind: groups come together")
        if self.kind in ("random", "ordered") and self.train + self.validation >= 1:
            raise ValueError(f"train + validation must leave frames for the test set, got {self.train} + {self.validation}")
        return self

    def assign(self, groups: Sequence[str]) -> Indices:
        """Frame numbers of ``train``, ``validation`` and ``test``.

        Args:
            groups: the name of the group of each frame.

        Raises:
            InputError: if training or test set would be empty, or a group is not there.
        """
        n_frames = len(groups)
        numbers = np.arange(n_frames)
        if strangers := sorted(set(self.train_groups) - set(groups)):
            raise InputError(f"split: no group {', '.join(strangers)}; the data have {', '.join(sorted(set(groups)))}.")
        if self.kind == "groups":
            trains = np.isin(groups, self.train_groups)
            parts = {"train": numbers[trains], "validation": numbers[:0], "test": numbers[~trains]}
        elif self.kind == "alternating":
            parts = {"train": numbers[::2], "validation": numbers[1::2], "test": numbers[1::2]}
        elif self.kind == "random":
            parts = self._in_order(np.random.default_rng(self.seed).permutation(n_frames))
        else:
            of_groups = [self._in_order(numbers[np.equal(groups, name)]) for name in dict.fromkeys(groups)]
            parts = {part: np.concatenate([of_group[part] for of_group in of_groups]) for part in of_groups[0]}
        if not (len(parts["train"]) and len(parts["test"])):
            raise InputError(f"{n_frames} frames are too few for this split ({self}): training or test set would be empty.")
        return parts

    def _in_order(self, numbers: np.ndarray) -> Indices:
        first, second = round(self.train * len(numbers)), round((self.train + self.validation) * len(numbers))
        return {"train": numbers[:first], "validation": numbers[first:second], "test": numbers[second:]}
