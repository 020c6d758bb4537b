"""What is damaged: files and folders of every kind that amp_tf reads, how each is read, and what may come of it.

What carries a checksum is read as it was or refused. Plain texts and arrays carry none: they are refused, or read as an independent, simple
reading of the damaged file says, so that nothing is passed over or altered on the way.
"""

import functools
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from amp_tf import units
from amp_tf.data import convert
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.hdf5_file import LIBVER
from amp_tf.errors import AmpTFError
from amp_tf.training import callbacks, make_config, read_config, train
from datasets.parts import Parts
from datasets.water_dimer import SHIPPED_FILE
from tests import state_dicts
from tests.data.test_hdf5 import PROVENANCE, make_group
from tests.fuzz.damage import damage_bytes, damage_text, edit_hdf5
from tests.models.test_potentials import make

SEED = 2024

Reading = Callable[[Path], Any]


@dataclass(frozen=True)
class Subject:
    """Files of one kind.

    Attributes:
        make: writes them into a folder.
        read: reads the folder; the same files give equal results.
        files: patterns of those that are damaged.
        is_text: they are damaged as texts, too.
        says: reads the folder as simply as can be, where no checksum guards the content: another result of ``read`` must be this.
        also: further results of ``read`` that are right, by the undamaged folder.
        edits: the part of the damages that are made inside HDF5 files.
    """

    make: Callable[[Path], None]
    read: Reading
    files: tuple[str, ...] = ("*",)
    is_text: bool = False
    says: Reading | None = None
    also: Reading = lambda folder: ()
    edits: float = 0.0


def as_json(value: Any) -> Any:
    """``value`` of plain types and lists, with arrays by their digests; equal texts are equal values to the last bit."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value, np.asarray(value).dtype.newbyteorder("<"), order="C")
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in sorted(value.items())}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


# Reference data --------------------------------------------------------------------------------------------------------------------------


def _write_data(folder: Path) -> None:
    write_reference_data(folder / "data.h5", PROVENANCE, (make_group(np.random.default_rng(SEED)),))


def _read_data(folder: Path) -> Any:
    data = read_reference_data(folder / "data.h5")
    return [data.sha256, data.provenance.model_dump(), [group.arrays() | {"charge": group.total_charge} for group in data.groups]]


# Potentials and runs ---------------------------------------------------------------------------------------------------------------------


def _write_potential(folder: Path) -> None:
    make("AMP(2)-DP", "float32").save(folder / "potential.keras")


def _read_potential(folder: Path) -> Any:
    from amp_tf import load_potential

    potential = load_potential(folder / "potential.keras")
    return [potential.get_config(), potential.get_weights()]


def run_settings(data: Path, **changes) -> dict[str, Any]:
    """The configuration of a run of a second."""
    model = {"type": "GNN", "cutoff": 8.0, "n_layers": 1, "n_features": 4, "n_radial": 4}
    settings = {"data": str(data), "model": model, "split": {"kind": "alternating"}, "steps": 4, "interval": 2, "batch_size": 2}
    return settings | changes


def write_dimer(path: Path) -> None:
    """Twelve frames of the water dimer."""
    data = read_reference_data(SHIPPED_FILE)
    write_reference_data(path, data.provenance, (data.groups[0].subset(np.arange(0, 360, 30)),))


@functools.cache
def _run_config():
    path = Path(tempfile.mkdtemp(), "dimer.h5")
    write_dimer(path)
    return make_config(run_settings(path))


def _write_run(folder: Path) -> None:
    callbacks.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    train(_run_config(), folder, progress=False)


def _read_run(folder: Path) -> Any:
    result = train(_run_config(), folder, progress=False)
    return [result.metrics, result.potential.get_config(), result.potential.get_weights()]


@functools.cache
def _trained():
    """The potential of the run before its first step."""
    from amp_tf.data.pipeline import Frames
    from amp_tf.training.run import compile_potential, make_potential

    data = read_reference_data(_run_config().data)
    potential = make_potential(_run_config(), data, Frames.from_reference_data(data))
    compile_potential(potential, _run_config(), ("energy",))
    return potential


def _read_checkpoint(folder: Path) -> Any:
    checkpoint = callbacks.Checkpoint(folder, 2, 4)
    checkpoint.set_model(_trained())
    step = checkpoint.restore()
    return [step, [variable.numpy() for variable in checkpoint._variables()]]


def _previous_checkpoint(folder: Path) -> Any:
    """What a run goes on from when the last checkpoint is damaged."""
    (folder / "checkpoint.weights.h5").unlink()
    return (_read_checkpoint(folder),)


# Dynamics --------------------------------------------------------------------------------------------------------------------------------


def _simulate(folder: Path) -> Any:
    from tests.simulation.test_dynamics import WEIGHTS, run

    return run(folder, WEIGHTS / "laptop" / "AMP(2).keras", gas=True)


# Parts of a build, arrays, weights of PyTorch --------------------------------------------------------------------------------------------


def _write_parts(folder: Path) -> None:
    random, parts = np.random.default_rng(SEED), Parts(folder, {"a": 1})
    for name in ("1", "2"):
        parts[name] = {"energy": np.array(random.normal()), "gradients": random.normal(size=(6, 3))}


def _read_parts(folder: Path) -> Any:
    parts = Parts(folder, {"a": 1})
    return [parts[name] for name in ("1", "2")]


def _write_arrays(folder: Path) -> None:
    random, n_frames = np.random.default_rng(SEED), 4
    shapes = {"coordinates": (3, 3), "energies": (), "engrad": (3, 3), "pc_coordinates": (5, 3), "pc_charges": (5,), "pcgrad": (5, 3)}
    for name, shape in shapes.items():
        np.save(folder / f"orca_{name}.npy", random.normal(loc=10.0 if name == "pc_coordinates" else 0.0, size=(n_frames, *shape)))
    np.save(folder / "orca_species.npy", np.array([8, 1, 1]))


def _read_arrays(folder: Path) -> Any:
    frames = convert.read_amp_qmmm(folder)
    convert.as_reference_data(frames, "arrays", "none", "")
    return [[frame.positions, frame.energy, frame.qm_gradients, frame.mm_charges] for frame in frames]


def _arrays_say(folder: Path) -> Any:
    arrays = {name: np.load(folder / f"orca_{name}.npy") for name in ("coordinates", "energies", "engrad", "pc_coordinates", "pc_charges")}
    coordinates, energies, gradients, places, charges = (array.astype(float) for array in arrays.values())
    kept = (charges != 0.0) | np.any(places != 0.0, axis=-1)
    columns = (coordinates, energies * units.HARTREE, gradients * (units.HARTREE / units.BOHR))
    return [[x, float(energy), g, q[real]] for x, energy, g, q, real in zip(*columns, charges, kept, strict=True)]


def _write_hdf5(folder: Path) -> None:
    random = np.random.default_rng(SEED)
    with h5py.File(folder / "foreign.h5", "w", libver=LIBVER) as file:
        file["run/Z"] = np.array([8, 1, 1])
        for name, shape in {"R": (4, 3, 3), "E": (4,), "G": (4, 3, 3)}.items():
            file[f"run/{name}"] = random.normal(size=shape)


def _read_hdf5(folder: Path) -> Any:
    keys = {"atomic_numbers": "run/Z", "positions": "run/R", "energies": "run/E", "qm_gradients": "run/G"}
    frames = convert.read_hdf5(folder / "foreign.h5", keys, "angstrom", "kJ/mol")
    convert.as_reference_data(frames, "arrays", "none", "")
    return [[frame.atomic_numbers.tolist(), frame.positions, frame.energy, frame.qm_gradients] for frame in frames]


def _hdf5_says(folder: Path) -> Any:
    with h5py.File(folder / "foreign.h5", "r") as file:
        numbers, *columns = (np.asarray(file[f"run/{name}"][()], dtype=float) for name in "ZREG")
    return [[numbers.astype(int).tolist(), x, float(energy.squeeze()), g] for x, energy, g in zip(*columns, strict=True)]


def _write_state_dict(folder: Path) -> None:
    random = np.random.default_rng(SEED)
    state_dicts.write(folder / "weights", {name: random.normal(size=(3, 4)).astype(np.float32) for name in ("a.weight", "b.weight")})


def _read_state_dict(folder: Path) -> Any:
    from amp_tf.state_dict import read_state_dict

    return read_state_dict(folder / "weights")


# Texts -----------------------------------------------------------------------------------------------------------------------------------

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def _write_xyz(folder: Path) -> None:
    random, lines = np.random.default_rng(SEED), []
    for number in range(4):
        lines += ["3", f'Properties=species:S:1:pos:R:3:forces:R:3 energy={-2000 - number}.25 step={number} pbc="F F F"']
        numbers = np.hstack([WATER + random.normal(size=(3, 3), scale=0.05), random.normal(size=(3, 3))])
        lines += [f"{symbol} " + " ".join(f"{value:.6f}" for value in row) for symbol, row in zip("OHH", numbers, strict=True)]
    (folder / "frames.xyz").write_text("\n".join(lines) + "\n")


def _read_xyz(folder: Path) -> Any:
    frames = convert.read_xyz(folder / "frames.xyz")
    convert.as_reference_data(frames, "frames", "none", "")
    return [[frame.energy, frame.positions] for frame in frames]


def _xyz_says(folder: Path) -> Any:
    lines = (folder / "frames.xyz").read_text(encoding="utf-8-sig").split("\n")
    frames = []
    while lines:
        if not lines[0].strip():
            del lines[0]
            continue
        count = int(lines[0])
        energy = re.search(r"""(?:^|\s)energy\s*=\s*["']?([^\s"']+)""", lines[1])
        rows = [[float(word) for word in line.split()[1:4]] for line in lines[2 : 2 + count]]
        frames.append([float(energy.group(1)) * units.EV, np.array(rows)])
        del lines[: 2 + count]
    return frames


def _write_charges(folder: Path) -> None:
    random, text = np.random.default_rng(SEED), ""
    for n_molecules in (2, 0, 1, 3):
        rows = [f"{charge} {x:.4f} {y:.4f} {z:.4f}\n" for _ in range(n_molecules) for charge in (-0.834, 0.417, 0.417)
                for x, y, z in [random.normal(size=3, scale=5)]]  # fmt: skip
        text += f"{3 * n_molecules}\n" + "".join(rows)
    (folder / "pc.xyz").write_text(text)


def _read_charges(folder: Path) -> Any:
    return [[len(frame), *frame.ravel().tolist()] for frame in convert.read_point_charges(folder / "pc.xyz")]


def _charges_say(folder: Path) -> Any:
    words = [float(word) for word in (folder / "pc.xyz").read_text(encoding="utf-8-sig").split()]
    frames = []
    while words:
        end = 1 + 4 * int(words[0])
        frames.append([int(words[0]), *words[1:end]])
        del words[:end]
    return frames


YAML = """# a run
data: data/water.h5
model:
  type: AMP
  max_order: 2
  cutoff: 5.0        # angstrom
  coefficient_scale: 1.0e-3
  elements: [H, O]
split: {kind: random, train: 0.7, seed: 3}
steps: 2000
batch_size: 5
learning_rate: 5.0e-4
xla: true
interval: 100
"""


def _write_yaml(folder: Path) -> None:
    (folder / "config.yaml").write_text(YAML)


def _read_yaml(folder: Path) -> Any:
    """The values that the file gives, and, as a check on those that it does not give, how many differ from their defaults."""
    return [sorted(map(str, _leaves(_given(read_config(folder / "config.yaml").as_json(), _texts(folder)))))]


def _yaml_says(folder: Path) -> Any:
    return [sorted(map(str, _leaves(_texts(folder))))]


def _texts(folder: Path) -> Any:
    """The file with all values as texts, in the reading of another loader."""
    return yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), yaml.BaseLoader)


def _given(values: dict, texts: dict) -> dict:
    """The part of ``values`` that ``texts`` gives too; a model is taken whole."""
    return {key: _given(value, texts[key]) if key == "split" and isinstance(value, dict) else value for key, value in values.items()
            if key in texts}  # fmt: skip


def _leaves(tree: Any, path: tuple = ()):
    """Each value with its place; numbers, truth values and nothing as one spelling."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, item in items:
            yield from _leaves(item, (*path, key))
        return
    text = str(tree).lower() if tree in (None, True, False) or str(tree).lower() in ("true", "false") else str(tree)
    text = "none" if text.lower() in ("~", "null", "") else text
    try:
        text = repr(float(int(text, 0) if re.fullmatch("0[xo][0-9a-fA-F]+", text) else text))
    except ValueError:
        text = str(Path(text)) if path == ("data",) else text
    yield (*path, text)


SUBJECTS = {
    "reference data": Subject(_write_data, _read_data),
    "reference data, inside": Subject(_write_data, _read_data, edits=1.0),
    "potential": Subject(_write_potential, _read_potential),
    "checkpoint": Subject(_write_run, _read_checkpoint, ("*.weights.h5", "checkpoint.sha256"), also=_previous_checkpoint, edits=0.3),
    "finished run": Subject(_write_run, _read_run, ("config.yaml", "potential.keras", "metrics.json"), is_text=True),
    "dynamics": Subject(_simulate, _simulate, ("settings.json", "*.npz")),
    "parts": Subject(_write_parts, _read_parts),
    "arrays": Subject(_write_arrays, _read_arrays, says=_arrays_say),
    "foreign HDF5": Subject(_write_hdf5, _read_hdf5, says=_hdf5_says, edits=0.5),
    "weights of PyTorch": Subject(_write_state_dict, _read_state_dict),
    "extended xyz": Subject(_write_xyz, _read_xyz, is_text=True, says=_xyz_says),
    "point charges": Subject(_write_charges, _read_charges, is_text=True, says=_charges_say),
    "YAML": Subject(_write_yaml, _read_yaml, is_text=True, says=_yaml_says),
}

SAME, ANOTHER, AS_IT_SAYS, ALTERED = "as before", "another right one", "as it says", "ALTERED without a word"


@functools.cache
def _good(kind: str) -> tuple[Path, str, list[str]]:
    """A folder of undamaged files, what is read from it, and what else may be, as texts."""
    subject, folder = SUBJECTS[kind], Path(tempfile.mkdtemp())
    good, copy = folder / "good", folder / "copy"
    good.mkdir()
    try:
        subject.make(good)
        others = [json.dumps(as_json(other)) for other in subject.also(shutil.copytree(good, copy))]
        shutil.rmtree(copy)
        return good, json.dumps(as_json(subject.read(shutil.copytree(good, copy)))), others
    except AmpTFError as error:
        raise RuntimeError(f"{kind}: the undamaged files are refused") from error


def try_damaged(kind: str, number: int) -> tuple[str, str]:
    """Damage files of a kind and read them: the verdict and the damage in words. The number decides which damage."""
    subject, random = SUBJECTS[kind], np.random.default_rng([SEED, *kind.encode(), number])
    good, expected, others = _good(kind)
    with tempfile.TemporaryDirectory() as scratch:
        folder = shutil.copytree(good, Path(scratch, "damaged"))
        files = sorted(path for pattern in subject.files for path in folder.glob(pattern))
        path = files[int(random.integers(len(files)))]
        if path.suffix == ".h5" and random.random() < subject.edits:
            words = edit_hdf5(path, random)
        else:
            is_text = subject.is_text and path.suffix != ".keras"
            words, content = (damage_text if is_text else damage_bytes)(path.read_bytes(), random)
            path.write_bytes(content)
        words = f"{path.name}: {words}"
        try:
            found = json.dumps(as_json(subject.read(folder)))
        except Exception as error:
            error.damage = words  # for whoever tells of it
            raise
        if found == expected:
            return SAME, words
        if found in others:
            return ANOTHER, words
        if subject.says is None:
            return ALTERED, words
        try:
            said = json.dumps(as_json(subject.says(folder)))
        except Exception as error:
            return ALTERED, f"{words}; a simple reading fails: {error!r}"
        return (AS_IT_SAYS if found == said else ALTERED), f"{words}; {found[:300]} and {said[:300]}"
