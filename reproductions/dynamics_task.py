"""What the reproduction of dynamics measures: a potential, shipped or trained, and the QM/MM dynamics that its data come from.

There is one at each of :data:`THEORIES`: GFN2-xTB, which samples too, and a density functional, whose potential goes on from that one.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import FrameGroup, ReferenceData
from amp_tf.errors import InputError
from amp_tf.files import PARTIAL, sha256_of
from amp_tf.models import Potential, load_potential
from amp_tf.shipped import FOLDER
from amp_tf.simulation.solutes import Solute, solute_by_name
from datasets.engines import EmbeddingEngine, XTBEngine
from datasets.engines.kept import KeptEngine
from datasets.joining import join
from datasets.parts import Parts
from datasets.qmmm_sampling import Sampling, Trajectory, relaxed, sampling_record
from datasets.qmmm_solutes import geometries, make_engine, relabel, sample, solute_identity, spread
from reproductions.dynamics_holes import collect_holes
from reproductions.folders import RUNS, copy_compressed
from reproductions.solutes import DFT_METHOD, FINE_TUNING

SOLUTE = "uracil"


@dataclass(frozen=True)
class Theory:
    """What a potential was trained on, and how much of it is measured.

    Attributes:
        shipped: where the potential ships.
        engine: of the labels, what :func:`datasets.qmmm_solutes.make_engine` takes: name, method, basis.
        relabelled: so many frames of each kind, of those that GFN2-xTB sampled, have these labels; None: all, GFN2-xTB's own.
        relaxes: whether stretched bonds are relaxed too.
        own_frames: of the run in water, which are labelled.
    """

    shipped: Path
    engine: tuple[str, str | None, str | None]
    relabelled: int | None
    relaxes: bool
    own_frames: int

    @property
    def samples(self) -> bool:
        """Whether the QM/MM dynamics that the data come from are of this theory."""
        return self.relabelled is None


GFN2 = "gfn2"
THEORIES = {
    GFN2: Theory(FOLDER / "uracil.keras", ("xtb", None, None), None, True, 200),
    "pbe": Theory(FOLDER / "uracil-pbe.keras", ("pyscf", *DFT_METHOD), 100, False, 20),
}


@dataclass(frozen=True)
class Preset:
    """Size of the reproduction.

    Attributes:
        n_frames: snapshots of QM/MM dynamics at 300 K; as many more are distorted.
        steps, steps_on: of the training, and of one that goes on with other frames or labels.
        n_walks: bonds that are stretched for frames of the holes of the first training's potential, which it is trained on too.
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
    steps_on: int
    n_walks: int
    lengths: Sequence[float]
    gas: dict[float, int]
    gas_time: float
    water: float
    conservation: float
    timed: int
    settings: dict[str, Any]
    sampling: dict[str, Any] = field(default_factory=dict)
    dynamics: dict[str, Any] = field(default_factory=dict)
    most_relaxation_steps: int = 200
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
        10, 2, 2, 1, (1.0, 1.9), {300.0: 1}, 0.005, 0.005, 0.005, 2,
        {"model": MODEL | {"max_order": 1, "n_layers": 1, "n_features": 8, "n_radial_weights": 4}, "xla": False},
        {"equilibration": 0.02, "qm_equilibration": 2, "stride": 2, "block": 5, "zone": 4.0},
        {"equilibration": 0.02, "relaxation": 0.002, "interval": 4, "zone": 4.0, "margin": np.inf},
        most_relaxation_steps=2, xla=False,
    ),
    "laptop": Preset(
        2000, 120_000, 40_000, 160, tuple(np.round(np.arange(0.7, 2.51, 0.1), 2)), {300.0: 10, 500.0: 10}, 50.0, 100.0, 20.0, 200,
        {"model": MODEL},
    ),
}  # fmt: skip


def _sampling(preset: str) -> Sampling:
    return Sampling(PRESETS[preset].n_frames, **PRESETS[preset].sampling)


def sampled_file(preset: str, sampler: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """Snapshots and distorted frames; built, or gone on with, where they are missing."""
    chosen, path = PRESETS[preset], runs / f"{SOLUTE}-dynamics{'' if preset == 'laptop' else f'-{preset}'}.h5"
    if not path.is_file():
        command = f"python -m datasets.qmmm_solutes sample {SOLUTE} --for-dynamics --frames {chosen.n_frames} --output {path}"
        sample(path, solute_by_name(SOLUTE), sampler, _sampling(preset), joblib.cpu_count(), command, for_dynamics=True)
    return path


def data_file(preset: str, theory: str, sampler: EmbeddingEngine, engine: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """The sampled frames, or some of them with the labels of another theory."""
    source = sampled_file(preset, sampler, runs)
    n_frames = THEORIES[theory].relabelled
    if n_frames is None:
        return source
    path, sampled = source.with_name(f"{source.stem}-{theory}.h5"), read_reference_data(source)
    if not path.is_file() or read_reference_data(path).provenance.settings.get("geometries_sha256") != sampled.sha256:
        _, method, basis = THEORIES[theory].engine
        command = f"python -m datasets.qmmm_solutes relabel {source} {path} --frames {n_frames} --method {method} --basis {basis}"
        _, energy, _ = relaxed(solute_by_name(SOLUTE), engine)
        relabel(spread(sampled, n_frames), path, engine, joblib.cpu_count(), command, relaxed_energy=energy)
    return path


def trained(preset: str, theory: str, sampler: EmbeddingEngine, engine: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """The potential of the preset's trainings; finished ones are found, killed ones go on.

    A first potential is trained on what was sampled, the final one goes on from it with frames of its holes. That of other labels than the
    sampling's goes on from this one. Each splits its frames at random: of the sampled ones some that test the second trained the first,
    unless that was trained on another sampling, as for the potential that ships; and geometries that test the one of other labels are not
    new to it.
    """
    data = data_file(preset, theory, sampler, engine, runs)
    if THEORIES[theory].samples:
        first = _train(preset, data, runs)
        return _train(preset, data_with_holes(preset, data, first, engine, runs), runs, first)
    shipped = THEORIES[GFN2].shipped
    start = shipped if preset == "laptop" and shipped.is_file() else trained(preset, GFN2, sampler, sampler, runs)
    return _train(preset, data, runs, start)


def _train(preset: str, data: Path, runs: Path, start: Path | None = None) -> Path:
    """A training from random weights, or one that goes on from ``start``."""
    from amp_tf.training import make_config, train

    chosen, name = PRESETS[preset], f"training-{read_reference_data(data).sha256[:8]}"
    values = {"data": data, "steps": chosen.steps, **SETTINGS, **chosen.settings}
    if start is not None:
        values |= {"steps": chosen.steps_on, "start_from": start, **FINE_TUNING}
        name += f"-from-{sha256_of(start)[:8]}"
    values["interval"] = max(1, values["steps"] // 20)
    folder = runs / "dynamics" / preset / name
    train(make_config(values), folder)
    return folder / "potential.keras"


def data_with_holes(preset: str, data: Path, potential: Path, engine: EmbeddingEngine, runs: Path = RUNS) -> Path:
    """``data`` and frames into which a potential falls where bonds to hydrogen are stretched, labelled; built where they are missing."""
    source, solute = read_reference_data(data), solute_by_name(SOLUTE)
    folder = runs / "dynamics" / preset / f"holes-{sha256_of(potential)[:8]}-{source.sha256[:8]}"
    frames, charges, labelled, joined = (folder / name for name in ("frames.xyz", "frames.pc.xyz", "labelled.h5", "joined.h5"))
    if joined.is_file():
        return joined
    if not folder.is_dir():
        partial = folder.with_name(f"{PARTIAL}{folder.name}")
        shutil.rmtree(partial, ignore_errors=True)  # of a killed run
        collect_holes(partial / frames.name, load_potential(potential), solute, snapshots_of(source)[1], PRESETS[preset].n_walks)
        partial.rename(folder)
    if not labelled.is_file():
        _, energy, _ = relaxed(solute, engine)
        command = f"python -m datasets.qmmm_solutes relabel {frames} {labelled} --pc {charges} --engine {engine.name}"
        relabel(geometries(frames, charges), labelled, engine, joblib.cpu_count(), command, relaxed_energy=energy)
    join([source, read_reference_data(labelled)], joined, f"python -m datasets.qmmm_solutes join {data} {labelled} {joined}")
    return joined


def snapshots_of(data: ReferenceData) -> tuple[FrameGroup, FrameGroup]:
    """The snapshots of the QM/MM dynamics: a first quarter, in which walks are measured, and the others, where they are collected."""
    group = data.groups[0]
    quarter = len(group) // 4
    return group.subset(np.arange(quarter)), group.subset(np.arange(quarter, len(group)))


@dataclass(frozen=True)
class Task:
    """What every measurement takes.

    Attributes:
        preset: name of the preset.
        theory: of :data:`THEORIES`.
        path, potential: the potential that is judged.
        engine: of its labels.
        sampler: the engine of the QM/MM dynamics.
        solute: at its minimum with the engine.
        solute_charges: of its atoms there, e.
        runs: where data and simulations are kept.
    """

    preset: str
    theory: str
    path: Path
    potential: Potential
    engine: EmbeddingEngine
    sampler: EmbeddingEngine
    solute: Solute
    solute_charges: np.ndarray
    runs: Path

    @cached_property
    def data(self) -> Path:
        """Snapshots of the reference, and frames distorted from them; sampled where they are missing."""
        return sampled_file(self.preset, self.sampler, self.runs)

    @cached_property
    def reference(self) -> Trajectory:
        """The QM/MM dynamics that the data come from."""
        data, sampling, sampler = self.data, _sampling(self.preset), self.sampler
        method = {"engine": sampler.name, "version": sampler.version(), "level_of_theory": sampler.level_of_theory}
        record = sampling_record(sampling, None) | method | {"solute": solute_identity(solute_by_name(SOLUTE))}
        driver = XTBEngine(keep_orbitals=True) if isinstance(sampler, XTBEngine) else sampler
        parts = Parts(data.with_name(f"{data.name}.trajectory"), record)
        return Trajectory(self.solute, self.solute_charges, driver, sampling, parts)

    @property
    def size(self) -> Preset:
        """The preset's numbers."""
        return PRESETS[self.preset]

    def folder(self, name: str) -> Path:
        """Of a run; another potential has runs of its own."""
        return self.runs / "dynamics" / self.preset / sha256_of(self.path)[:8] / name


def prepared(
    preset: str, retrain: bool, runs: Path = RUNS, engine: EmbeddingEngine | None = None, theory: str = GFN2,
    sampler: EmbeddingEngine | None = None,
) -> Task:  # fmt: skip
    """What the measurements take; the potential is trained where it is to be or does not ship, its data are built where they are missing.

    Args:
        preset: of :data:`PRESETS`.
        retrain: whether to train the potential that ships.
        runs: where data, trainings and simulations are kept.
        engine: of the labels; None: the theory's.
        theory: of :data:`THEORIES`.
        sampler: the engine of the QM/MM dynamics; None: ``engine`` where its theory samples, GFN2-xTB otherwise.

    Raises:
        InputError: for a preset or theory that there is not, and where no potential ships.
        EngineError: without the engine's program.
    """
    if preset not in PRESETS:
        raise InputError(f"there is no PRESET={preset} of the dynamics; choose {' or '.join(PRESETS)}.")
    if theory not in THEORIES:
        raise InputError(f"there is no theory {theory!r}; choose {' or '.join(THEORIES)}.")
    shipped, is_shipped = THEORIES[theory].shipped, preset == "laptop" and not retrain
    if is_shipped and not shipped.is_file():
        raise InputError(f"{shipped} is not there; train it with RETRAIN=1, which takes hours.")
    engine = engine or make_engine(*THEORIES[theory].engine, 1)
    sampler = sampler or (engine if THEORIES[theory].samples else make_engine(*THEORIES[GFN2].engine, 1))
    for needed in (sampler, engine):
        needed.version()  # complains where it is not installed
    path = shipped if is_shipped else trained(preset, theory, sampler, engine, runs)
    if preset == "laptop" and retrain:
        path = ship(path, shipped)
    if not THEORIES[theory].samples:
        engine = KeptEngine(engine, runs / "dynamics" / preset / f"labels-{theory}")
    solute, _, charges = relaxed(solute_by_name(SOLUTE), engine)
    return Task(preset, theory, path, load_potential(path), engine, sampler, solute, charges, runs)


def ship(path: Path, target: Path) -> Path:
    """The potential where it ships. A file of the same weights stays as it is: simulations know a potential by the bytes of its file."""
    weights = load_potential(path).get_weights()
    if target.is_file():
        known = load_potential(target).get_weights()
        if len(known) == len(weights) and all(map(np.array_equal, known, weights)):
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_compressed(path, target)
    return target
