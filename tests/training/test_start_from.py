"""Training that starts from a trained potential: its weights, the energy reference, the record of it, resuming, and what is refused."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import amp_tf
from amp_tf import cli
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.data.splits import Split
from amp_tf.errors import DataFileError, InputError
from amp_tf.models.ranges import training_ranges
from amp_tf.training import evaluate, make_config, read_config, train
from amp_tf.training.run import make_potential
from amp_tf.training.start import Start, check_data, read_start
from datasets.water_dimer import SHIPPED_FILE
from tests.training.killed import train_and_kill

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = {"type": "GNN", "cutoff": 8.0, "n_layers": 1, "n_features": 8, "dtype": "float64", "message_cutoff": "none"}
WORDS = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")


def config_of(data, **changes):
    """One step that is too small to change anything, unless ``changes`` say otherwise."""
    values = {"data": str(data), "split": {"kind": "alternating"}, "steps": 1, "interval": 1, "batch_size": 5, "learning_rate": 1e-13}
    return make_config(values | {"final_learning_rate": 1e-13} | changes)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    """Forty frames of the water dimer."""
    data = read_reference_data(SHIPPED_FILE)
    path = tmp_path_factory.mktemp("data") / "dimer.h5"
    write_reference_data(path, data.provenance, (data.groups[0].subset(np.arange(0, 360, 9)),))
    return path


@pytest.fixture(scope="module")
def first_run(data_file, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("first") / "run"
    train(config_of(data_file, model=MODEL, steps=20, interval=10, learning_rate=1e-3, final_learning_rate=1e-3), folder, progress=False)
    return folder


@pytest.fixture
def start_file(first_run, tmp_path):
    """A copy of the potential of that run."""
    path = tmp_path / "start.keras"
    path.write_bytes((first_run / "potential.keras").read_bytes())
    return path


def shifted(path, target, shift):
    """A copy of the data at another level of theory, whose energies are those of the data plus ``shift``."""
    data = read_reference_data(path)
    groups = tuple(replace(group, energies=group.energies + shift) for group in data.groups)
    write_reference_data(target, data.provenance.model_copy(update={"level_of_theory": "another level"}), groups)
    return target


def errors(result):
    return {row["split"]: row["value"] for row in result.metrics}


def residuals(potential, path, split):
    """Reference less predicted energies of the frames of a split."""
    frames = Frames.from_reference_data(read_reference_data(path))
    frames = frames[Split(kind="alternating").assign(["all"] * len(frames))[split]]
    return frames.energies - potential.compute_systems(list(frames.systems))["energy"]


def test_the_first_step_is_taken_with_the_weights_of_the_start(start_file, data_file, tmp_path):
    start = amp_tf.load_potential(start_file)
    config = config_of(data_file, start_from=str(start_file), energy_reference="none", seed=7)
    result = train(config, tmp_path / "run", progress=False)
    for split in ("train", "validation", "test"):
        assert errors(result)[split] == pytest.approx(np.mean(np.abs(residuals(start, data_file, split))), rel=1e-8)
    assert result.potential.atomic_energies == start.atomic_energies
    assert result.potential.dtype == "float64"


def test_the_fit_takes_the_mean_of_what_the_start_leaves_over(start_file, data_file, tmp_path):
    start = amp_tf.load_potential(start_file)
    result = train(config_of(data_file, start_from=str(start_file)), tmp_path / "run", progress=False)
    mean = np.mean(residuals(start, data_file, "train"))
    assert abs(mean) > 1e-3, "there is something to take"
    for split in ("train", "test"):
        expected = np.mean(np.abs(residuals(start, data_file, split) - mean))
        assert errors(result)[split] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reference", ["fit", "lowest", "mean", "none"])
def test_the_null_model_is_that_of_the_data_and_not_of_what_is_left_over(reference, start_file, data_file, tmp_path):
    """Of a level of theory whose energies are others."""
    path = shifted(data_file, tmp_path / "other.h5", 40.0)
    result = train(config_of(path, start_from=str(start_file), energy_reference=reference), tmp_path / "run", progress=False)
    frames = Frames.from_reference_data(read_reference_data(path))
    parts = Split(kind="alternating").assign(["all"] * len(frames))
    for row in result.metrics:
        expected = np.mean(np.abs(frames.energies[parts[row["split"]]] - np.mean(frames.energies[parts["train"]])))
        assert row["null_model"] == pytest.approx(expected, rel=1e-6)


def test_the_lowest_frame_is_that_of_the_data_and_not_of_what_is_left_over(start_file, data_file, tmp_path):
    start = amp_tf.load_potential(start_file)
    energies = np.concatenate([group.energies for group in read_reference_data(data_file).groups])
    predicted = (
        energies
        - np.concatenate([residuals(start, data_file, part) for part in ("train", "test")])[
            np.argsort([*range(0, 40, 2), *range(1, 40, 2)])
        ]
    )
    data_file = shifted(data_file, tmp_path / "uneven.h5", predicted + 0.02 * np.sin(np.arange(40.0)) - energies)
    result = train(config_of(data_file, start_from=str(start_file), energy_reference="lowest"), tmp_path / "run", progress=False)
    frames = Frames.from_reference_data(read_reference_data(data_file))
    trains = Split(kind="alternating").assign(["all"] * len(frames))["train"]
    left = residuals(start, data_file, "train")
    shift = left[np.argmin(frames.energies[trains])]
    assert shift != np.min(left), "another frame leaves more"
    assert errors(result)["train"] == pytest.approx(np.mean(np.abs(left - shift)), rel=1e-6)
    null = np.mean(np.abs(frames.energies[trains] - np.mean(frames.energies[trains])))
    assert result.metrics[0]["null_model"] == pytest.approx(null, rel=1e-6), "the mean, not the lowest energy"


def test_shifted_energies_start_with_the_same_errors(start_file, data_file, tmp_path):
    other = shifted(data_file, tmp_path / "shifted.h5", -4e5)
    plain, moved = (train(config_of(path, start_from=str(start_file)), tmp_path / path.stem, progress=False) for path in (data_file, other))
    assert errors(moved) == pytest.approx(errors(plain), abs=1e-7)
    assert moved.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=1e-5)
    total = sum(number * moved.potential.atomic_energies[symbol] for symbol, number in {"H": 4, "O": 2}.items())
    assert total == pytest.approx(-4e5, abs=100.0)


def test_the_fit_changes_the_elements_of_the_data_alone(random):
    """Two molecules whose energies differ from the start's by 3 kJ/mol an O and -2 kJ/mol an H; the start knows C too."""
    keras.utils.set_random_seed(3)
    settings = {"n_layers": 1, "n_features": 4, "dtype": "float64"}
    potential = amp_tf.GNN(("H", "C", "O"), atomic_energies={"H": -1.0, "C": -37.0, "O": -75.0}, **settings)
    groups = []
    for name, numbers in {"oh": [8, 1], "water": [8, 1, 1]}.items():
        positions = 0.7 * np.eye(3)[: len(numbers)] + 0.02 * random.normal(size=(4, len(numbers), 3))
        energies = potential.compute([np.array(numbers)] * 4, positions)["energy"] + 3.0 - 2.0 * numbers.count(1)
        groups.append(FrameGroup(name, np.array(numbers), positions, energies))
    data = ReferenceData(Provenance(**WORDS, random_seed=0), tuple(groups))
    config = make_config({"data": "memory.h5", "start_from": "start.keras"})
    started = make_potential(config, data, Frames.from_reference_data(data), Start(potential, "start.keras", "0"))
    assert started.atomic_energies == pytest.approx({"H": -3.0, "C": -37.0, "O": -72.0}, abs=1e-9)


def test_the_provenance_tells_every_start(start_file, data_file, tmp_path):
    other = shifted(data_file, tmp_path / "other.h5", 10.0)
    second = train(config_of(other, start_from=str(start_file)), tmp_path / "second", progress=False).potential
    third_file = tmp_path / "second" / "potential.keras"
    third = train(config_of(data_file, start_from=str(third_file)), tmp_path / "third", progress=False).potential
    first = {
        "file": "start.keras",
        "sha256": hashlib.sha256(start_file.read_bytes()).hexdigest(),
        "data": "dimer.h5",
        "data_sha256": read_reference_data(data_file).sha256,
        "level_of_theory": read_reference_data(data_file).provenance.level_of_theory,
    }
    assert second.provenance["started_from"] == [first]
    assert second.provenance["level_of_theory"] == "another level"
    assert second.provenance["total_charges"] == [0.0]
    assert second.provenance["training"]["start_from"] == "start.keras"
    assert third.provenance["started_from"][1:] == [first]
    assert third.provenance["started_from"][0] == {
        "file": "potential.keras",
        "sha256": hashlib.sha256(third_file.read_bytes()).hexdigest(),
        "data": "other.h5",
        "data_sha256": read_reference_data(other).sha256,
        "level_of_theory": "another level",
    }
    assert str(tmp_path) not in str(third.get_config()) + (tmp_path / "third" / "config.yaml").read_text()
    shown = CliRunner().invoke(cli.app, ["info", str(tmp_path / "third" / "potential.keras")]).output
    assert "started_from" in shown
    assert first["sha256"] in shown


def test_a_run_from_random_weights_says_nothing_of_a_start(first_run):
    assert "started_from" not in amp_tf.load_potential(first_run / "potential.keras").provenance
    assert "start_from_sha256" not in (first_run / "config.yaml").read_text()


AGREEING = [{}, {"type": "GNN"}, {"n_features": 8, "cutoff": 8}, MODEL, MODEL | {"elements": ["O", "H"]}]


@pytest.mark.parametrize("model", AGREEING, ids=range(len(AGREEING)))
def test_settings_that_agree_with_the_start(model, start_file, tmp_path):
    start = read_start(config_of("data.h5", start_from=str(start_file), model=model), tmp_path / "run")
    assert start.potential.n_features == 8


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"type": "AMP"}, r"in type \('AMP', not 'GNN'\); leave"),
        (MODEL | {"n_layers": 2, "n_features": 4}, r"in n_layers \(2, not 1\), n_features \(4, not 8\); leave these keys out"),
        ({"dtype": "float32"}, r"in dtype \('float32', not 'float64'\)"),
        ({"elements": ["H"]}, r"in elements \(\['H'\], not \['H', 'O'\]\)"),
        ({"max_order": 2}, r"in max_order \(2, not None\)"),
    ],
)
def test_settings_that_differ_from_the_start(model, sentence, start_file, tmp_path):
    """Refused before the data, which are not there, are looked for."""
    with pytest.raises(InputError, match=f"model: not that of start_from, .*start.keras, {sentence}"):
        train(config_of("none.h5", start_from=str(start_file), model=model), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"start_at_zero": True}, "start_from and start_at_zero contradict each other; set start_at_zero to false"),
        ({"model": {"max_ordr": 1}}, r"model: unknown keys 'max_ordr' for any type"),
        ({"model": {"type": "AMP", "mm_types": []}}, r"model: unknown keys 'mm_types' for AMP"),
        ({"model": {"type": None}}, "type must be one of AMP, GNN, PaiNN, SchNet, PhysNet, AMPBMS, got None"),
        ({"start_from": None}, "type must be one of AMP, GNN, PaiNN, SchNet, PhysNet, AMPBMS, got None"),
    ],
)
def test_configurations_that_are_refused(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        config_of("data.h5", **{"start_from": "start.keras"} | changes)


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def other_model(path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.unlink, r"start_from: .*start\.keras: no such file; give"),
        (damage, r"start_from: .*start\.keras: .*damaged"),
        (lambda path: path.write_text("weights"), r"start_from: .*start\.keras: damaged or not a \.keras file"),
        (other_model, r"start_from: .*start\.keras: not a potential of amp_tf"),
    ],
    ids=["missing", "damaged", "text", "another Keras model"],
)
def test_files_that_are_no_start(spoil, sentence, start_file, tmp_path):
    """Refused before the data, which are not there, are looked for."""
    spoil(start_file)
    with pytest.raises(DataFileError, match=sentence):
        train(config_of("none.h5", start_from=str(start_file)), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def diatomics(path, numbers, total_charge=0.0, mm=False):
    """Eight frames of a diatomic molecule, with ``mm`` beside one MM particle each and with gradients of random numbers."""
    random = np.random.default_rng(11)
    positions = np.zeros((8, 2, 3))
    positions[:, 1, 2] = np.linspace(0.9, 1.2, 8)
    particles = {}
    if mm:
        particles = {"mm_offsets": np.arange(9), "mm_positions": np.full((8, 3), 4.0), "mm_charges": np.ones(8)}
        particles |= {"mm_gradients": random.normal(size=(8, 3)), "qm_gradients": random.normal(size=(8, 2, 3))}
    group = FrameGroup("diatomic", np.array(numbers), positions, np.linspace(0, 1, 8), total_charge=total_charge, **particles)
    write_reference_data(path, Provenance(**WORDS, random_seed=0), (group,))
    return path


@pytest.mark.parametrize(
    ("charges", "changes", "sentence"),
    [
        ([0.0], {"numbers": [6, 7]}, "the model knows H, O, not C, N; train one with these elements"),
        ([0.0], {"total_charge": -1.0}, "the model was trained on total charges of 0 e, not -1 e; train a new one"),
        ([0.0, 2.0], {"total_charge": 1.0}, "the model was trained on total charges of 0, 2 e, not 1 e; train a new one"),
        ([0.0], {"mm": True}, "this model has no term for MM particles"),
    ],
)
def test_data_that_the_start_cannot_describe(charges, changes, sentence, tmp_path):
    pairwise_coulomb = "mm" not in changes
    provenance = {"total_charges": charges}
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, pairwise_coulomb=pairwise_coulomb, provenance=provenance)
    potential.save(tmp_path / "start.keras")
    data = diatomics(tmp_path / "data.h5", **{"numbers": [8, 1]} | changes)
    config = config_of(data, start_from=str(tmp_path / "start.keras"))
    with pytest.raises(InputError, match=f"start_from: start.keras does not fit group 'diatomic' of .*data.h5: {sentence}"):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("provenance", [{"total_charges": [0.0, -1.0]}, {}])
def test_data_with_fewer_elements_and_charges_than_the_start(provenance, tmp_path):
    potential = amp_tf.GNN(("C", "H", "O"), n_layers=1, n_features=4, pairwise_coulomb=True, provenance=provenance)
    data = read_reference_data(diatomics(tmp_path / "data.h5", [8, 1], total_charge=-1.0))
    start = Start(potential, "start.keras", "0")
    check_data(start, data)
    started = make_potential(config_of("data.h5", start_from="start.keras"), data, Frames.from_reference_data(data), start)
    assert started.elements == ("C", "H", "O")
    assert started.provenance["total_charges"] == [-1.0]


@pytest.mark.slow
def test_kill_9_goes_on_and_another_start_is_another_run(start_file, data_file, tmp_path):
    """A real process is killed after its first checkpoint; the rerun ends like a fresh run, and not with an altered start."""
    settings = tmp_path / "config.yaml"
    changes = {"steps": 400, "interval": 20, "learning_rate": 1e-3, "final_learning_rate": 1e-4}
    settings.write_text(yaml.safe_dump(config_of(data_file, start_from=str(start_file), **changes).as_json()))
    killed_at = train_and_kill(settings, tmp_path / "run")

    content = start_file.read_bytes()
    altered = amp_tf.load_potential(start_file)
    altered.set_weights([1.1 * weights for weights in altered.get_weights()])
    altered.save(start_file)
    with pytest.raises(InputError, match=r"another configuration or other data \(start_from_sha256\); choose another run folder"):
        train(read_config(settings), tmp_path / "run", progress=False)

    start_file.write_bytes(content)
    resumed = train(read_config(settings), tmp_path / "run", progress=False)
    fresh = train(read_config(settings), tmp_path / "fresh", progress=False)
    assert 1 <= killed_at < 20
    assert [row["step"] for row in resumed.history] == list(range(20, 401, 20))
    assert resumed.metrics[1]["value"] == pytest.approx(fresh.metrics[1]["value"], rel=1e-3)
    assert resumed.potential.atomic_energies == pytest.approx(fresh.potential.atomic_energies, rel=1e-12)
    record = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert record["start_from"] == "start.keras"
    assert record["start_from_sha256"] == hashlib.sha256(content).hexdigest()


def test_a_finished_run_says_how_to_train_longer(first_run, data_file, tmp_path):
    settings = {"model": MODEL, "steps": 20, "interval": 10, "learning_rate": 1e-3, "final_learning_rate": 1e-3}
    longer = settings | {"steps": 40, "learning_rate": 1e-4}
    remedy = f"start a run in another folder with start_from={re.escape(str(first_run / 'potential.keras'))}"
    with pytest.raises(InputError, match=rf"\(learning_rate, steps\); to train longer, {remedy}\.$"):
        train(config_of(data_file, **longer), first_run, progress=False)
    for other in (longer | {"batch_size": 2}, longer | {"start_from": str(tmp_path / "copy.keras")}):
        (tmp_path / "copy.keras").write_bytes((first_run / "potential.keras").read_bytes())
        with pytest.raises(InputError, match="; choose another run folder or remove that one"):
            train(config_of(data_file, **other), first_run, progress=False)
    with pytest.raises(InputError, match=r"start_from: the run would overwrite .*; choose another run folder"):
        train(config_of(data_file, **longer, start_from=str(first_run / "potential.keras")), first_run, progress=False)
    extended = train(config_of(data_file, **longer, start_from=str(first_run / "potential.keras")), tmp_path / "longer", progress=False)
    assert extended.history[-1]["step"] == 40


def test_a_run_that_is_not_finished_has_no_potential_to_start_from(data_file, tmp_path):
    config = config_of(data_file, model=MODEL, start_at_zero=True)
    train(config, tmp_path / "run", progress=False)
    with pytest.raises(InputError, match=r"potential\.keras start_at_zero=false\.$"):
        train(config_of(data_file, model=MODEL, start_at_zero=True, steps=2), tmp_path / "run", progress=False)
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"\(steps\); choose another run folder or remove that one\.$"):
        train(config_of(data_file, model=MODEL, start_at_zero=True, steps=2), tmp_path / "run", progress=False)


def test_a_run_of_the_example_and_one_that_starts_from_its_potential(tmp_path, monkeypatch):
    """As in the tutorials, shortened; both know the ranges and the molecule of their data."""
    monkeypatch.chdir(ROOT)
    first = ["train", "examples/qmmm.yaml", f"{tmp_path}/example"]
    second = ["train", "examples/qmmm.yaml", f"{tmp_path}/longer", f"start_from={tmp_path}/example/potential.keras", "start_at_zero=false"]
    data = read_reference_data(ROOT / "datasets" / "uracil_sample.h5")
    write_reference_data(tmp_path / "few.h5", data.provenance, (data.groups[0].subset(np.arange(5)),))
    short = ["steps=1", "interval=1", "model.n_features=4", "model.max_order=1", "model.n_layers=1", "xla=false"]
    short += [f"data={tmp_path / 'few.h5'}", "split.validation=0.1"]
    for command in (first, [*second, "split.seed=1"]):
        result = CliRunner().invoke(cli.app, [*command, *short], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    found, started = (amp_tf.load_potential(tmp_path / run / "potential.keras") for run in ("example", "longer"))
    assert [start["file"] for start in started.provenance["started_from"]] == ["potential.keras"]
    of_all = training_ranges(Frames.from_reference_data(read_reference_data(tmp_path / "few.h5")).systems)
    assert found.training_ranges.merged(of_all) == of_all != found.training_ranges
    assert started.training_ranges.merged(found.training_ranges) == started.training_ranges != found.training_ranges
    for potential in (found, started):
        assert potential.provenance["molecule"]["atomic_numbers"] == data.groups[0].qm_atomic_numbers.tolist()


@pytest.mark.parametrize(("before", "stays"), [([8, 1], True), ([6, 1], False), (None, False)])
def test_the_molecule_stays_known_where_the_start_knows_the_same(before, stays, tmp_path):
    data = read_reference_data(diatomics(tmp_path / "data.h5", [8, 1]))
    known = (
        {} if before is None else {"molecule": {"atomic_numbers": before, "positions": [[0.0] * 3, [0.0, 0.0, 1.0]], "total_charge": 0.0}}
    )
    start = Start(amp_tf.GNN(("C", "H", "O"), n_layers=1, n_features=4, provenance=known), "start.keras", "0")
    started = make_potential(config_of("data.h5", start_from="start.keras"), data, Frames.from_reference_data(data), start)
    assert ("molecule" in started.provenance) is stays


def test_a_start_keeps_its_gradients(tmp_path):
    """Single precision, MM particles, averaged weights: gradients on the new data are those of the start."""
    path = diatomics(tmp_path / "data.h5", [8, 1], mm=True)
    keras.utils.set_random_seed(5)
    start = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, pairwise_coulomb=True)
    start.save(tmp_path / "start.keras")
    config = config_of(path, start_from=str(tmp_path / "start.keras"), ema_momentum=0.9)
    result = train(config, tmp_path / "run", progress=False)
    assert result.potential.dtype == "float32"
    frames = Frames.from_reference_data(read_reference_data(path))
    expected = {row["metric"]: row["value"] for row in evaluate(start, frames[np.arange(1, 8, 2)])}
    found = {row["metric"]: row["value"] for row in result.metrics if row["split"] == "test"}
    for metric in ("qm_gradients_mae", "mm_gradients_mae"):
        assert found[metric] == pytest.approx(expected[metric], rel=1e-6)
