"""An engine whose results are kept on disk, so that work which is killed does not ask for them again."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from datasets.engines.base import Calculation
from datasets.engines.embedding import EmbeddedResult, EmbeddingEngine
from datasets.parts import Parts


class KeptEngine(EmbeddingEngine):
    """Another engine, asked once for each calculation; failures are asked for again.

    Args:
        engine: that computes.
        folder: where its results are kept.

    Raises:
        InputError: if the folder holds results of another engine, version or level of theory.
        EngineError: if the engine is not installed.
    """

    def __init__(self, engine: EmbeddingEngine, folder: Path):
        super().__init__(engine.method, engine.basis, engine.n_threads)
        self.name, self.install, self._engine = engine.name, engine.install, engine
        self._parts = Parts(folder, {"engine": engine.name, "version": engine.version(), "level_of_theory": engine.level_of_theory})

    @property
    def level_of_theory(self) -> str:
        return self._engine.level_of_theory

    def version(self) -> str:
        return self._engine.version()

    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        name = f"embedded_{_digest(calculation)}"
        if name not in self._parts:
            self._parts[name] = {key: np.asarray(value) for key, value in asdict(self._engine.embedded(calculation)).items()}
        kept = self._parts[name]
        return EmbeddedResult(**kept | {"energy": float(kept["energy"])})

    def energy(self, calculation: Calculation) -> float:
        name = f"energy_{_digest(calculation)}"
        if name not in self._parts:
            self._parts[name] = {"energy": np.array(self._engine.energy(calculation))}
        return float(self._parts[name]["energy"])


def _digest(calculation: Calculation) -> str:
    digest = hashlib.sha256(repr(calculation.charge).encode())
    for values in (calculation.atomic_numbers, calculation.positions, calculation.mm_positions, calculation.mm_charges):
        array = np.zeros(0) if values is None else np.ascontiguousarray(values, dtype=float)
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()[:24]
