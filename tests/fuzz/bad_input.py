"""Bad input of many kinds, each of which must end with one sentence: arguments, configurations, texts, files, command lines."""

import contextlib
import functools
import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import h5py
import numpy as np
import yaml

import amp_tf
from amp_tf.command import run_command
from amp_tf.data import convert
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import FrameGroup
from amp_tf.training import make_config, read_config
from datasets.parts import Parts
from tests import state_dicts
from tests.data.test_hdf5 import make_group
from tests.fuzz.subjects import run_settings, write_dimer
from tests.fuzz.worker import REFUSED, is_one_sentence
from tests.models.test_potentials import make

NUMBERS, WATER = np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
MM = {"mm_positions": np.array([[0.0, 0.0, 5.0], [1.0, 0.0, 6.0]]), "mm_charges": np.array([0.4, -0.4])}
FRAME = "3\n{}\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


def _alias_bomb() -> str:
    return "a: &a [1, 1]\n" + "".join(f"{new}: &{new} [*{old}, *{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))


class Strange:
    """What no package expects: an object whose conversion fails in its own way."""

    def __array__(self, dtype=None, copy=None):
        raise ZeroDivisionError("strange")


COMPUTE: list[dict[str, Any]] = [
    {"positions": WATER * np.nan}, {"positions": WATER[:2]}, {"positions": WATER.T[:2].T}, {"positions": np.zeros((3, 3))},
    {"positions": WATER + 1j}, {"positions": WATER.astype(str)}, {"positions": WATER.astype("timedelta64[s]")}, {"positions": Strange()},
    {"positions": ase.Atoms("OH2", WATER)}, {"positions": None}, {"positions": b"O 0 0 0"}, {"positions": {1, 2}}, {"positions": [[]]},
    {"positions": [WATER, WATER[:2]]}, {"positions": np.ma.masked_greater(WATER, 0.9)}, {"positions": np.array([[0, 0, None]] * 3)},
    {"positions": iter(WATER)}, {"positions": WATER + 1e300},
    {"atomic_numbers": [8, 1, 0]}, {"atomic_numbers": [8, 1, -1]}, {"atomic_numbers": [8, 1, 200]}, {"atomic_numbers": [8.0, 1.0, 1.5]},
    {"atomic_numbers": "OHH"}, {"atomic_numbers": [8, 1]}, {"atomic_numbers": [8, 1, 79]}, {"atomic_numbers": [True, True, False]},
    {"atomic_numbers": 10**30}, {"atomic_numbers": [8, 1, 10**30]}, {"atomic_numbers": {}},
    {"mm_charges": None}, {"mm_charges": [0.4]}, {"mm_charges": [0.4, "x"]}, {"mm_charges": [np.nan, 0.0]}, {"mm_charges": [1e25, 0.0]},
    {"mm_charges": [[0.4], [-0.4]]}, {"mm_positions": None}, {"mm_positions": WATER}, {"mm_positions": WATER[:2]},
    {"mm_positions": [[1e12, 0, 0], [3, 0, 0]]}, {"mm_positions": [[3, 0], [4, 0]]},
    {"total_charge": np.nan}, {"total_charge": "one"}, {"total_charge": [1, 2]}, {"total_charge": 1j}, {"total_charge": -1e9},
    {"cell": [10.0, 10.0]}, {"cell": [10.0, 10.0, -np.inf]}, {"cell": "cubic"}, {"cell": np.ones((3, 3))},
]  # fmt: skip

SETTINGS: list[dict[str, Any]] = [
    {"n_layers": -1}, {"n_layers": True}, {"n_layers": 1e9}, {"n_features": "32"}, {"n_features": 2**40}, {"max_order": None},
    {"max_order": 10**6}, {"cutoff": -np.inf}, {"cutoff": [5.0]}, {"cutoff": 1j}, {"elements": "HO"}, {"elements": ("H", 8)},
    {"elements": (None,)}, {"elements": {}}, {"dtype": "int32"}, {"dtype": 64}, {"atomic_energies": "fit"},
    {"atomic_energies": {"H": None}},
    {"atomic_energies": {8: 1.0}}, {"direct_polarization": 1}, {"provenance": {"a": {1, 2}}}, {"provenance": ["a"]}, {"message_cutoff": 5},
]  # fmt: skip

GROUPS: list[dict[str, Any]] = [
    {"energies": np.zeros(4)}, {"energies": [0.0, np.inf, 0.0]}, {"energies": ["a", "b", "c"]}, {"energies": None}, {"energies": 1.0},
    {"qm_positions": np.zeros((3, 2, 3))}, {"qm_positions": []}, {"qm_atomic_numbers": [8.5, 1]}, {"qm_atomic_numbers": [8, 0]},
    {"mm_offsets": [0, 5, 2, 5]}, {"mm_offsets": [0, 2, 2, 6]}, {"mm_offsets": [0.5, 2, 2, 5]}, {"mm_charges": None},
    {"mm_gradients": np.zeros((4, 3))}, {"charges": np.zeros(3)}, {"dipoles": np.zeros((3, 3)) * np.nan}, {"qm_gradients": Strange()},
]  # fmt: skip

CONFIGURATIONS: list[str] = [
    "", "3", "[1, 2]", "data: a.h5", "model: {type: AMP}", "data: a.h5\nmodel: AMP", "data: a.h5\nmodel: {type: amp}",
    "data: a.h5\nmodel: {type: AMP, cut_off: 5}", "data: a.h5\nmodel: {type: AMP, type: GNN}", "data: a.h5\nmodel: {type: AMP}\nsteps: 0",
    "data: a.h5\nmodel: {type: AMP}\nsteps: -5", "data: a.h5\nmodel: {type: AMP}\nsteps: 1e4",
    "data: a.h5\nmodel: {type: AMP}\nsteps: 1500",
    "data: a.h5\nmodel: {type: AMP}\nlearning_rate: fast", "data: a.h5\nmodel: {type: AMP}\nlearning_rate: -1.0",
    "data: a.h5\nmodel: {type: AMP}\nclip_norm: .nan", "data: a.h5\nmodel: {type: AMP}\nema_momentum: 1.0",
    "data: a.h5\nmodel: {type: AMP}\nseed: -1", "data: a.h5\nmodel: {type: AMP}\nseed: 0x1FFFFFFFF", "data: 5\nmodel: {type: AMP}",
    "data: a.h5\nmodel: {type: AMP}\nsplit: {kind: half}", "data: a.h5\nmodel: {type: AMP}\nsplit: {train: 0.9, validation: 0.3}",
    "data: a.h5\nmodel: {type: AMP}\nsplit: {kind: groups}", "data: a.h5\nmodel: {type: AMP}\nxla: 0", _alias_bomb(), "data: &a {b: *a}",
    "? {a: b}\n: c", "data: !!python/name:os.system", "data: a.h5\n\tmodel: x", "{" * 500, "%YAML 9.9\n---\ndata: a.h5", "data: 'a",
    "a: b: c",
    "data: a.h5\nmodel: {type: AMP}\nenergy_reference: 5", "start_from: a.keras\ndata: a.h5\nstart_at_zero: true", "yes: no", "~: ~",
]  # fmt: skip

FRAMES: list[str] = [
    "", "\n \n", "x", "-1\n\n", "0\n\n", "9" * 30 + "\n\nO 0 0 0\n", "1 1\n\nO 0 0 0\n", "2\n\nO 0 0 0\n", "1\n\nO 0 0\n",
    "1\n\nO 0 0 nan\n",
    "1\n\nO 0 0 1_0\n", "1\n\nO 0 0 0x1\n", "1\n\nBq 0 0 0\n", "1\n\nO1 0 0 0\n", "1\n\n300 0 0 0\n", FRAME.format(""),
    FRAME.format("energy=x"),
    FRAME.format("energy=1 energy=2"), FRAME.format("energy=[1,2]"), FRAME.format("energy=1eV"), FRAME.format("energy=inf"),
    FRAME.format("energy=1 charge=x"), FRAME.format("energy=1 charge=1 total_charge=2"), FRAME.format("energy=1 spin=3"),
    FRAME.format("energy=1 Properties=species:S:1"), FRAME.format("energy=1 Properties=species:S:1:pos:R:9999999999"),
    FRAME.format('energy=1 pbc="T T T"'), FRAME.format('energy=1 Lattice="1 0 0"'), FRAME.format("energy=1 charge=0.5 charge_total=2"),
    FRAME.format("energy=1") + "9\n\nO 0 0 0\n", FRAME.format("energy=1") + "trailing words\n", FRAME.format('energy=1 a="_JSON [[["'),
]  # fmt: skip

CHARGES: list[str] = [
    "x", "1\n", "-1\n", "1\n1 2 3\n", "1\n1 2 3 4 5\n", "1\n1 2 3 x\n", "1\n1e999 0 0 0\n", "1\n7 0 0 0\n",
    "2\n1.1 2 3 0.4\n4.2 5 6 -0.4\n",
    "1\n0.1 0 0 0\n0.2 0 0 0\n", "9" * 12 + "\n0.1 0 0 0\n", "1\n0,1 0 0 0\n",
]  # fmt: skip


def _declares(name: str) -> Callable[[], object]:
    def read():
        with h5py.File(name, "w") as file:
            for key in ("E", "R", "Z"):
                file.create_dataset(key, (10**11,), "f8", chunks=(1024,))
        return convert.read_hdf5(Path(name), {"energies": "E", "positions": "R", "atomic_numbers": "Z"}, "nm", "eV")

    return read


def _npy_bomb() -> object:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    for name in convert.AMP_QMMM_FILES.values():
        Path(f"orca_{name}.npy").write_bytes(header.getvalue() + bytes(64))
    return convert.read_amp_qmmm(Path())


def _zip_bomb(name: str, part: str) -> None:
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(part, "w", force_zip64=True) as file:
        for _ in range(300):
            file.write(bytes(10_000_000))


def _keras_bomb() -> object:
    _zip_bomb("bomb.keras", "config.json")
    return amp_tf.load_potential("bomb.keras")


def _part_bomb() -> object:
    parts = Parts("parts", {})
    _zip_bomb("parts/1.npz", "energy.npy")
    return parts["1"]


def _weights_that_run_code() -> object:
    from amp_tf.state_dict import read_state_dict

    return read_state_dict(state_dicts.write(Path("weights"), {}, b"cos\nsystem\n(S'true'\ntR."))


CALLS: dict[str, Callable[[], object]] = {
    **{f"load_potential({path!r})": functools.partial(amp_tf.load_potential, path) for path in (3, None, b"x.keras", "", ".", "fifo.keras",
       "folder.keras", "data.h5", "text.keras", "a\0.keras", "x" * 300 + ".keras", "/dev/null", Path("none.keras"))},
    **{f"read_reference_data({path!r})": functools.partial(read_reference_data, path) for path in ("", ".", "fifo.h5", "potential.keras",
       "text.h5", "/dev/zero", "a\0.h5", "x" * 300)},
    **{f"read_xyz({path!r})": functools.partial(convert.read_xyz, Path(path))
        for path in ("fifo.xyz", ".", "none.xyz", "data.h5", "/dev/zero")},
    **{f"make_config({value!r})": functools.partial(make_config, value)
        for value in (None, [], {1: 2}, {"data": object()}, {"model": {1: 2}})},
    "an override without =": lambda: read_config("config.yaml", ("steps",)),
    "an override of nothing": lambda: read_config("config.yaml", ("=",)),
    "an override below a number": lambda: read_config("config.yaml", ("steps.more=1",)),
    "an override that is no YAML": lambda: read_config("config.yaml", ("steps=[",)),
    "dtype of loading": lambda: amp_tf.load_potential("potential.keras", dtype="float16"),
    "charge of a group": lambda: FrameGroup("a", NUMBERS, WATER[None], np.zeros(1), total_charge=[1.0]),
    "a group without a name": lambda: FrameGroup("", NUMBERS, WATER[None], np.zeros(1)),
    "a huge data set": _declares("declares.h5"), "huge arrays": _npy_bomb, "a bomb of a potential": _keras_bomb,
    "a bomb of a part": _part_bomb, "weights that run code": _weights_that_run_code,
}  # fmt: skip

COMMANDS: list[list[str]] = [
    ["train"], ["train", "none.yaml", "run"], ["train", "config.yaml", "text.h5"], ["train", "config.yaml", "fifo.h5"], ["train", ".",
    "run"],
    ["train", "config.yaml", "run", "steps"], ["train", "config.yaml", "run", "steps=x"], ["train", "--continue", "config.yaml", "run"],
    ["train", "config.yaml", "foreign"], ["train", "data.h5", "run"], ["train", "config.yaml", "text.h5/below"], ["train", "config.yaml",
    "\udcff"],
    ["train", "config.yaml", "run", "data=none.h5"], ["train", "config.yaml", "run", "model.elements=[H]"],
    ["evaluate", "none.keras", "data.h5"], ["evaluate", "potential.keras", "text.h5"], ["evaluate", "data.h5", "potential.keras"],
    ["info", "none"], ["info", "."], ["info", "text.keras"], ["info", "fifo.h5"], ["info", "water.xyz"], ["info", "x" * 300 + ".h5"],
    ["predict", "potential.keras", "none.xyz", "out.h5"], ["predict", "potential.keras", "water.xyz", "water.xyz"],
    ["predict", "potential.keras", "water.xyz", "out.txt"], ["predict", "potential.keras", "water.xyz", "link.h5"],
    ["predict", "potential.keras", "water.xyz", "none/../text.h5/out.h5"], ["predict", "potential.keras", "water.xyz", "out.h5",
    "--pc=text.h5"],
    ["predict", "potential.keras", "water.xyz", "out.h5", "--cell", "1", "2", "3"], ["predict", "potential.keras", "data.h5", "out.h5",
    "--pc=pc.xyz"],
    ["predict", "potential.keras", "text.h5", "out.h5"], ["predict", "text.keras", "water.xyz", "out.h5"],
    ["convert", "water.xyz", "out.h5", "--format=xyz"], ["convert", "water.xyz", "out.h5", "--format=pdb", "--level-of-theory=x"],
    ["convert", "water.xyz", "out.h5", "--format=xyz", "--level-of-theory=x", "--energy-unit=Ry"],
    ["convert", "water.xyz", "out.h5", "--format=xyz", "--level-of-theory=x", "--length-unit=nm"],
    ["convert", "water.xyz", "out.h5", "--format=xyz", "--level-of-theory=x", "--key=energies"],
    ["convert", "water.xyz", "out.h5", "--format=xyz", "--level-of-theory=x", "--key=energies=E"],
    ["convert", "data.h5", "out.h5", "--format=hdf5", "--level-of-theory=x"],
    ["convert", "data.h5", "out.h5", "--format=hdf5", "--level-of-theory=x", "--length-unit=nm", "--energy-unit=eV", "--key=energies=E"],
    ["convert", ".", "out.h5", "--format=amp_qmmm", "--level-of-theory=x"], ["convert", "none", "out.h5", "--format=emle",
    "--level-of-theory=x"],
    ["convert", "water.xyz", "fifo.h5", "--format=xyz", "--level-of-theory=x"], ["import-weights", "none", "out.keras"],
    ["import-weights", "text.h5", "out.keras"], ["import-weights", "text.h5", "out.h5"], ["import-weights", "text.h5", "o.keras",
    "--mm-cutoff=9"],
    ["md", "none.keras", "O", "run"], ["md", "potential.keras", "no SMILES", "run"], ["md", "potential.keras", "none.xyz", "run"],
    ["md", "potential.keras", "O", "run", "--ensemble=nph"], ["md", "potential.keras", "O", "run", "--time=-1"], ["md", "text.keras", "O",
    "run"],
    ["md", "potential.keras", "O", "run", "--time-step=nan"], ["md", "potential.keras", "O", "run", "--gas", "--ensemble=npt"],
    ["md", "potential.keras", "O", "text.h5", "--gas"], ["nonsense"], ["--nonsense"],
]  # fmt: skip

CORPUS = (
    [f"compute {number}" for number in range(len(COMPUTE))]
    + [f"setting {number}" for number in range(len(SETTINGS))]
    + [f"group {number}" for number in range(len(GROUPS))]
    + [f"configuration {number}" for number in range(len(CONFIGURATIONS))]
    + [f"frame {number}" for number in range(len(FRAMES))]
    + [f"charges {number}" for number in range(len(CHARGES))]
    + [f"call {number}" for number in range(len(CALLS))]
    + [f"command {number}" for number in range(len(COMMANDS))]
)
"""The names of all bad input."""


@functools.cache
def _potential() -> amp_tf.Potential:
    return make("AMP(2)-DP", "float32")


def _write_files() -> None:
    """What the corpus speaks of, into the working directory."""
    write_dimer(Path("data.h5"))
    _potential().save("potential.keras")
    Path("config.yaml").write_text(yaml.safe_dump(run_settings(Path("data.h5"))))
    Path("water.xyz").write_text(FRAME.format("energy=-2000.0"))
    Path("pc.xyz").write_text("1\n1.0 0 0 5\n")
    for ending in ("h5", "keras"):
        Path(f"text.{ending}").write_text("no such thing")
    for ending in ("h5", "keras", "xyz"):
        os.mkfifo(f"fifo.{ending}")
    Path("folder.keras").mkdir()
    Path("foreign").mkdir()
    Path("foreign", "history.jsonl").write_text("of another program")
    Path("link.h5").symlink_to("data.h5")


def _use(kind: str, number: int) -> tuple[object, object]:
    """The bad input, and what comes of it."""
    if kind == "compute":
        change = COMPUTE[number]
        return change, _potential().compute(**{"atomic_numbers": NUMBERS, "positions": WATER, **MM, **change})
    if kind == "setting":
        return SETTINGS[number], amp_tf.AMP(**{"elements": ("H", "O"), "n_features": 4, **SETTINGS[number]})
    if kind == "group":
        return GROUPS[number], make_group(np.random.default_rng(0), **GROUPS[number])
    if kind == "call":
        name, call = list(CALLS.items())[number]
        return name, call()
    text = {"configuration": CONFIGURATIONS, "frame": FRAMES, "charges": CHARGES}[kind][number]
    Path("bad").write_text(text)
    read = {"configuration": read_config, "frame": convert.read_xyz, "charges": lambda path: list(convert.read_point_charges(path))}[kind]
    return text, read(Path("bad"))


def try_bad(name: str) -> tuple[str, str]:
    """Use the bad input of a name in a folder of its own: the verdict, and the input and what it gave in words."""
    kind, number = name.split()
    back = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            _write_files()
            if kind == "command":
                return _try_command(COMMANDS[int(number)])
            given, found = _use(kind, int(number))
        finally:
            os.chdir(back)
    return "ACCEPTED", f"{given!r:.300}: {found!r:.300}"


def _try_command(arguments: list[str]) -> tuple[str, str]:
    from amp_tf.cli import app

    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command(lambda: app(arguments))
        except SystemExit as end:
            status = end.code
    said = err.getvalue()
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    words = f"amp-tf {' '.join(arguments)}: status {status}, {said[-600:]}"
    if status == 2:  # of typer, for a command line that has no meaning
        return (REFUSED if "Traceback" not in said else "traceback"), words
    is_right = status == 1 and len(errors) == 1 and said.splitlines()[-1] == errors[0] and is_one_sentence(errors[0])
    return (REFUSED if is_right else "NO SENTENCE"), words
