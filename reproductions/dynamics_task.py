"""What the reproduction of dynamics measures: a potential, shipped or trained, and the QM/MM dynamics that its data come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from amp_tf.files import sha256_of
from amp_tf.models import Potential, load_potential
from amp_tf.shipped import FOLDER
from amp_tf.simulation.solutes import Solute, solute_by_name
from datasets.engines import EmbeddingEngine, XTBEngine
from datasets.parts import Parts
from datasets.qmmm_sampling import Sampling, Trajectory, relaxed, sampling_record
from datasets.qmmm_solutes import make_engine, sample, solute_identity
from reproductions.folders import RUNS, copy_compressed

SHIPPED = FOLDER / "uracil.keras"
SOLUTE = "uracil"


@dataclass(frozen=True)
class Preset:
    """Size of the reproduction.

    Attributes:
        n_frames: snapshots of QM/MM dynamics at 300 K; as many more are distorted.
        steps: of the training.
        lengths: of the stretched bonds, angstrom.
        gas: temperatures (K) by number of seeds, and ps.
        water, conservation: ps of the runs in water, NVT and NVE.
        timed: steps.
        settings: of the training.
        sampling: changes of :class:`datasets.qmmm_sampling.Sampling`.
        dynamics: changes of :class:`amp_tf.simulation.dynamics.Dynamics`.
        most_relaxation_steps: of a stretched molecule.
        xla: compile the potential for simulations.
    """

    n_frames: int
    steps: int
    lengths: Sequence[float]
    gas: dict[float, int]
    gas_time: float
    water: float
    conservation: float
    timed: int
    settings: dict[str, Any]
    sampling: dict[str, Any] = field(default_factory=dict)
    dynamics: dict[str, Any] = field(default_factory=dict)
    most_relaxation_steps: int = 60
    xla: bool = True


MODEL = {
    "type": "AMP", "max_order": 3, "direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": 4.0, "repulsion": True,
    "coefficient_scale": 1e-3, "energy_scale": 10.0, "norm_width": 0.01,
}  # fmt: skip

SETTINGS = {
    "batch_size": 1, "learning_rate": 1e-3, "final_learning_rate": 1e-5, "clip_norm": 1.0, "gradient_weight": 0.8,
    "mm_gradient_factor": 3e3, "ema_momentum": 0.99, "start_at_zero": True, "xla": True, "split": {"kind": "random"},
}  # fmt: skip

PRESETS = {
    "smoke": Preset(
        10, 2, (1.0, 1.9), {300.0: 1}, 0.005, 0.005, 0.005, 2,
        {"model": MODEL | {"max_order": 1, "n_layers": 1, "n_features": 8, "n_radial_weights": 4}, "xla": False},
        {"equilibration": 0.02, "qm_equilibration": 2, "stride": 2, "block": 5, "zone": 4.0},
        {"equilibration": 0.02, "relaxation": 0.002, "interval": 4, "zone": 4.0, "margin": np.inf},
        most_relaxation_steps=2, xla=False,
    ),
    "laptop": Preset(
        2000, 120_000, tuple(np.round(np.arange(0.7, 2.51, 0.1), 2)), {300.0: 10, 500.0: 10}, 50.0, 100.0, 20.0, 200, {"model": MODEL}
    ),
}  # fmt: skip


def _sampling(preset: str) -> Sampling:
    return Sampling(PRESETS[preset].n_frames, **PRESETS[preset].sampling)


def data_file(preset: str, engine: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """Snapshots and distorted frames; built, or gone on with, where they are missing."""
    chosen, path = PRESETS[preset], runs / f"{SOLUTE}-dynamics{'' if preset == 'laptop' else f'-{preset}'}.h5"
    if not path.is_file():
        command = f"python -m datasets.qmmm_solutes sample {SOLUTE} --for-dynamics --frames {chosen.n_frames} --output {path}"
        sample(path, solute_by_name(SOLUTE), engine, _sampling(preset), joblib.cpu_count(), command, for_dynamics=True)
    return path


def trained(preset: str, data: Path, runs: Path = RUNS) -> Path:
    """The potential of the preset's training on the data; finished ones are found, killed ones go on."""
    from amp_tf.training import make_config, train

    chosen = PRESETS[preset]
    values = {"data": data, "steps": chosen.steps, "interval": max(1, chosen.steps // 20), **SETTINGS, **chosen.settings}
    folder = runs / "dynamics" / preset / f"training-{read_reference_data(data).sha256[:8]}"
    train(make_config(values), folder)
    return folder / "potential.keras"


@dataclass(frozen=True)
class Task:
    """What every measurement takes.

    Attributes:
        preset: name of the preset.
        path, potential: the potential that is judged.
        engine: of its labels.
        solute: at its minimum with the engine.
        solute_charges: of its atoms there, e.
        runs: where data and simulations are kept.
    """

    preset: str
    path: Path
    potential: Potential
    engine: EmbeddingEngine
    solute: Solute
    solute_charges: np.ndarray
    runs: Path

    @cached_property
    def data(self) -> Path:
        """Snapshots of the reference, and frames distorted from them; sampled where they are missing."""
        return data_file(self.preset, self.engine, self.runs)

    @cached_property
    def reference(self) -> Trajectory:
        """The QM/MM dynamics that the data come from."""
        data, sampling = self.data, _sampling(self.preset)
        method = {"engine": self.engine.name, "version": self.engine.version(), "level_of_theory": self.engine.level_of_theory}
        record = sampling_record(sampling, None) | method | {"solute": solute_identity(solute_by_name(SOLUTE))}
        driver = XTBEngine(keep_orbitals=True) if isinstance(self.engine, XTBEngine) else self.engine
        parts = Parts(data.with_name(f"{data.name}.trajectory"), record)
        return Trajectory(self.solute, self.solute_charges, driver, sampling, parts)

    @property
    def size(self) -> Preset:
        """The preset's numbers."""
        return PRESETS[self.preset]

    def folder(self, name: str) -> Path:
        """Of a run; another potential has runs of its own."""
        return self.runs / "dynamics" / self.preset / sha256_of(self.path)[:8] / name


def prepared(preset: str, retrain: bool, runs: Path = RUNS, engine: EmbeddingEngine | None = None) -> Task:
    """What the measurements take; the potential is trained where it is to be or does not ship, its data are built where they are missing.

    Raises:
        InputError: for a preset that there is not, and where no potential ships.
        EngineError: without the engine's program.
    """
    if preset not in PRESETS:
        raise InputError(f"there is no PRESET={preset} of the dynamics; choose {' or '.join(PRESETS)}.")
    is_shipped = preset == "laptop" and not retrain
    if is_shipped and not SHIPPED.is_file():
        raise InputError(f"{SHIPPED} is not there; train it with RETRAIN=1, which takes hours.")
    engine = engine or make_engine("xtb", None, None, 1)
    engine.version()  # complains where it is not installed
    path = SHIPPED if is_shipped else trained(preset, data_file(preset, engine, runs), runs)
    if preset == "laptop" and retrain:
        path = ship(path)
    solute, _, charges = relaxed(solute_by_name(SOLUTE), engine)
    return Task(preset, path, load_potential(path), engine, solute, charges, runs)


def ship(path: Path, target: Path = SHIPPED) -> Path:
    """The potential where it ships. A file of the same weights stays as it is: simulations know a potential by the bytes of its file."""
    weights = load_potential(path).get_weights()
    if target.is_file():
        known = load_potential(target).get_weights()
        if len(known) == len(weights) and all(map(np.array_equal, known, weights)):
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_compressed(path, target)
    return target
