"""Training: Eq. 12, learning on real data, kill and resume, NaN, Keras's own fit, evaluate and predict."""

import gc
import weakref

import h5py
import keras
import numpy as np
import pytest
import yaml

import amp_tf
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.pipeline import Frames, GraphBatches
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.data.splits import Split
from amp_tf.errors import DataFileError, InputError, TrainingError
from amp_tf.models import load_potential
from amp_tf.systems import System
from amp_tf.training import callbacks, evaluate, make_config, read_config, train
from amp_tf.training.baselines import fit_atomic_energies, lowest_frames
from amp_tf.training.run import compile_potential, make_potential
from tests.training.killed import train_and_kill

MODEL = {"type": "GNN", "cutoff": 8.0, "n_layers": 1, "n_features": 8, "dtype": "float64", "message_cutoff": "none"}


@pytest.fixture
def config(water_dimer_file):
    def make(**changes):
        values = {
            "data": str(water_dimer_file), "model": MODEL, "split": {"kind": "alternating"}, "steps": 60, "batch_size": 5, "interval": 10,
            "ema_momentum": 0.9,
        }  # fmt: skip
        return make_config(values | changes)

    return make


@pytest.fixture
def springs(tmp_path, random):
    """Diatomics H-O with a harmonic energy, gradients included: data whose answer is known."""
    bonds = random.uniform(0.8, 1.3, size=40)
    positions = np.zeros((40, 2, 3))
    positions[:, 1, 2] = bonds
    gradients = np.zeros_like(positions)
    gradients[:, 1, 2], gradients[:, 0, 2] = 100.0 * (bonds - 1.0), -100.0 * (bonds - 1.0)
    group = FrameGroup("spring", np.array([8, 1]), positions, -500.0 + 50.0 * (bonds - 1.0) ** 2, gradients)
    provenance = Provenance(
        engine="formula", engine_version="1", level_of_theory="harmonic", builder_command="pytest", random_seed=0, energy_reference="zero"
    )
    path = tmp_path / "springs.h5"
    write_reference_data(path, provenance, (group,))
    return path


def test_the_loss_is_equation_12(config, random):
    systems = [System(np.array([8, 1]), np.array([[0.0, 0, 0], [0, 0, length]])) for length in (0.9, 1.1)]
    frames = Frames(systems, random.normal(size=2), [random.normal(size=(2, 3)) for _ in systems])
    potential = amp_tf.AMP(("H", "O"), 1, n_layers=1, n_features=4, dtype="float64")
    compile_potential(potential, config(gradient_weight=0.8, interval=1), ("energy", "qm_gradients"))
    result = potential.compute_systems(systems)
    energy_term = np.sum((result["energy"] - frames.energies) ** 2) / 2
    gradient_term = sum(
        np.sum((found - wanted) ** 2) for found, wanted in zip(result["qm_gradients"], frames.qm_gradients, strict=True)
    ) / (3 * 2 * 2)
    loss = potential.evaluate(GraphBatches(potential, frames, ("energy", "qm_gradients")).evaluation(2), verbose=0, return_dict=True)[
        "loss"
    ]
    assert loss == pytest.approx(0.2 * energy_term + 0.8 * gradient_term, rel=1e-6)  # Keras adds losses in float32


def test_a_step_is_traced_once(springs, tmp_path, config, monkeypatch):
    """Variables made while it is traced would have it traced again, which is most of the time of a short run."""
    traced, step = [], amp_tf.GNN.train_step
    monkeypatch.setattr(amp_tf.GNN, "train_step", lambda self, data: traced.append(1) or step(self, data))
    train(config(data=str(springs), split={"kind": "random"}, steps=4, interval=2), tmp_path, progress=False)
    assert len(traced) == 1


def test_training_on_gradients_learns_a_spring(springs, tmp_path):
    model = {"type": "AMP", "max_order": 1, "cutoff": 3.0, "n_layers": 1, "n_features": 16, "dtype": "float32"}
    settings = {"data": str(springs), "model": model, "steps": 400, "batch_size": 8, "interval": 100, "learning_rate": 5e-3}
    result = train(make_config(settings), tmp_path / "run", progress=False)
    test = {row["metric"]: row for row in result.metrics if row["split"] == "test"}
    assert set(test) == {"energy_mae", "qm_gradients_mae"}
    for row in test.values():
        assert row["value"] < 0.2 * row["null_model"]
    assert {"val_energy_mae", "val_qm_gradients_mae", "loss"} <= set(result.history[-1])
    validation = {row["metric"]: row["value"] for row in evaluate(result.potential, validation_frames(springs))}
    for metric, value in validation.items():
        assert result.history[-1][f"val_{metric}"] == pytest.approx(value, rel=1e-4)
    assert result.potential.atomic_energies["H"] + result.potential.atomic_energies["O"] == pytest.approx(-500.0, abs=2.0)
    assert result.potential.provenance["data_sha256"]
    assert load_potential(tmp_path / "run" / "potential.keras").provenance["errors"] == result.metrics


def test_training_and_validation_with_xla_give_the_same(springs, tmp_path):
    model = {"type": "AMP", "max_order": 1, "cutoff": 3.0, "n_layers": 1, "n_features": 4, "dtype": "float64"}
    settings = {"data": str(springs), "model": model, "steps": 4, "batch_size": 8, "interval": 4}
    plain, compiled = (train(make_config(settings | {"xla": xla}), tmp_path / str(xla), progress=False) for xla in (False, True))
    for key in ("loss", "val_energy_mae", "val_qm_gradients_mae"):
        assert compiled.history[-1][key] == pytest.approx(plain.history[-1][key], rel=1e-4)
    assert [row["value"] for row in compiled.metrics] == pytest.approx([row["value"] for row in plain.metrics], rel=1e-4)


def validation_frames(path):
    """The validation part of the default split."""
    frames = Frames.from_reference_data(amp_tf.read_reference_data(path))
    return frames[Split().assign(["all"] * len(frames))["validation"]]


def test_validation_during_training_is_the_final_evaluation(config, tmp_path):
    """Averaged weights included: the last validation and the test metrics are of the same frames and the same weights."""
    result = train(config(steps=20), tmp_path / "run", progress=False)
    test = next(row["value"] for row in result.metrics if row["split"] == "test")
    assert result.history[-1]["val_energy_mae"] == pytest.approx(test, rel=1e-9)
    raw = result.history[-1]["energy_mae"]
    assert abs(raw - test) > 1e-6 * test, "the errors on the training batches are those of the weights that are trained"


def test_gradient_weight_zero_trains_on_energies_alone(springs, tmp_path):
    model = {"type": "GNN", "cutoff": 3.0, "n_layers": 1, "n_features": 4}
    result = train(
        make_config({"data": str(springs), "model": model, "steps": 2, "interval": 1, "gradient_weight": 0.0}),
        tmp_path / "run",
        progress=False,
    )
    assert "val_qm_gradients_mae" not in result.history[-1]


class Stop(Exception):
    pass


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(config, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = train(config(), tmp_path / "whole", progress=False)

    validate = callbacks.Validation.on_epoch_end

    def stop_in_the_middle(self, epoch, logs=None):
        if epoch == 3:
            raise Stop
        validate(self, epoch, logs)

    monkeypatch.setattr(callbacks.Validation, "on_epoch_end", stop_in_the_middle)
    with pytest.raises(Stop):
        train(config(), tmp_path / "parts", progress=False)
    monkeypatch.setattr(callbacks.Validation, "on_epoch_end", validate)
    parts = train(config(), tmp_path / "parts", progress=False)

    assert [row["step"] for row in parts.history] == [10, 20, 30, 40, 50, 60]
    for found, wanted in zip(parts.history, whole.history, strict=True):
        assert found["val_energy_mae"] == pytest.approx(wanted["val_energy_mae"], rel=1e-6)
    for found, wanted in zip(parts.potential.get_weights(), whole.potential.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


def test_kill_9_and_the_same_command_goes_on(config, tmp_path):
    """A real process is killed as soon as its first checkpoint is there; the rerun reports no step twice and ends like a fresh run."""
    settings = tmp_path / "config.yaml"
    settings.write_text(yaml.safe_dump(config(steps=240, interval=20).as_json()))
    killed_at = train_and_kill(settings, tmp_path / "run")
    assert 1 <= killed_at < 12
    resumed = train(read_config(settings), tmp_path / "run", progress=False)
    fresh = train(read_config(settings), tmp_path / "fresh", progress=False)
    assert [row["step"] for row in resumed.history] == list(range(20, 241, 20))
    assert resumed.metrics[1]["value"] == pytest.approx(fresh.metrics[1]["value"], rel=1e-3)


def test_a_finished_run_is_loaded_and_not_trained_again(config, tmp_path, monkeypatch):
    first = train(config(steps=10), tmp_path / "run", progress=False)
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    second = train(config(steps=10), tmp_path / "run", progress=False)
    assert second.metrics == first.metrics
    assert second.history == first.history


def test_a_folder_of_another_configuration_is_refused(config, tmp_path):
    train(config(steps=10), tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="another configuration"):
        train(config(steps=20), tmp_path / "run", progress=False)


def test_a_run_of_an_earlier_version_goes_on_where_new_keys_are_at_their_defaults(config, tmp_path):
    train(config(steps=10), tmp_path / "run", progress=False)
    path = tmp_path / "run" / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("start_at_zero")))
    assert "start_at_zero" not in yaml.safe_load(path.read_text())
    train(config(steps=10), tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="another configuration"):
        train(config(steps=10, start_at_zero=True), tmp_path / "run", progress=False)


def test_weights_that_turn_nan_in_the_last_step_are_not_saved(config, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    checkpoint = tmp_path / "run" / "checkpoint.weights.h5"
    validate, contents = callbacks.Validation.on_epoch_end, []

    def poison(self, epoch, logs=None):
        validate(self, epoch, logs)
        if epoch == 1:
            contents.append(checkpoint.read_bytes())
            self.model.trainable_variables[0].assign(np.nan * self.model.trainable_variables[0])

    monkeypatch.setattr(callbacks.Validation, "on_epoch_end", poison)
    with pytest.raises(TrainingError, match="the weights became NaN"):
        train(config(), tmp_path / "run", progress=False)
    assert checkpoint.read_bytes() == contents[0]
    monkeypatch.setattr(callbacks.Validation, "on_epoch_end", validate)
    assert train(config(), tmp_path / "run", progress=False).history[-1]["step"] == 60


def test_ctrl_c_says_where_the_run_goes_on(config, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def interrupt(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.StopOnNaN, "on_epoch_end", interrupt)
    with pytest.raises(TrainingError, match="interrupted; run the same command to go on from step 20"):
        train(config(), tmp_path / "run", progress=False)


def test_a_configuration_that_the_model_refuses_does_not_claim_the_folder(config, tmp_path):
    with pytest.raises(InputError, match="cutoff must be positive and finite, got 'five'"):
        train(config(model=MODEL | {"cutoff": "five"}), tmp_path / "run", progress=False)
    assert train(config(steps=10), tmp_path / "run", progress=False).history


def test_a_run_folder_that_is_a_file(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; give a folder"):
        train(config(steps=10), tmp_path / "file", progress=False)


def test_tensorboard_logs_are_written_where_it_is_installed(config, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'amp_tf[tensorboard]')")
    train(config(steps=10, tensorboard=True), tmp_path / "run", progress=False)
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.*"))


def test_mm_gradients_enter_the_loss_with_their_factor(config, random):
    mm = {"mm_positions": np.array([[0.0, 3.0, 0.0]]), "mm_charges": np.array([0.5])}
    systems = [System(np.array([8, 1]), np.array([[0.0, 0, 0], [0, 0, length]]), 0.0, **mm) for length in (0.9, 1.1)]
    gradients = [[random.normal(size=(n, 3)) for _ in systems] for n in (2, 1)]
    frames = Frames(systems, random.normal(size=2), *gradients)
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, pairwise_coulomb=True, dtype="float64")
    labels = ("energy", "qm_gradients", "mm_gradients")
    compile_potential(potential, config(interval=1), labels)
    graph, values = GraphBatches(potential, frames, labels).batch([0, 1])
    result = potential.compute_systems(systems)
    terms = [np.mean((result["energy"] - frames.energies) ** 2)]
    terms += [np.mean((np.stack(result[key]) - np.stack(wanted)) ** 2) for key, wanted in zip(labels[1:], gradients, strict=True)]
    loss = potential.evaluate(GraphBatches(potential, frames, labels).evaluation(2), verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(0.2 * terms[0] + 0.8 * terms[1] + 80.0 * terms[2], rel=1e-5)
    assert set(values) == set(labels)
    assert graph.mm_positions.shape == (2, 3)


@pytest.mark.slow
def test_validation_with_xla_leaves_out_the_particles_that_fill_up(random):
    numbers, labels = np.array([8, 1, 1]), ("energy", "qm_gradients", "mm_gradients")
    positions = np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    systems = [System(numbers, positions, 0.0, random.normal(size=(n, 3)) + 6.0, random.normal(size=n)) for n in (1, 4, 2, 3, 1)]
    qm_gradients = [random.normal(size=system.positions.shape) for system in systems]
    mm_gradients = [random.normal(size=system.mm_positions.shape) for system in systems]
    frames = Frames(systems, random.normal(size=5), qm_gradients, mm_gradients)
    potential = amp_tf.AMP(("H", "O"), 1, n_layers=1, n_features=4, direct_polarization=True, pairwise_coulomb=True)
    potential.compile(keras.optimizers.Adam())
    plain = evaluate(potential, frames)
    for one_shape in (False, True):
        validation, logs = callbacks.Validation(GraphBatches(potential, frames, labels, one_shape), 2, {}), {}
        validation.set_model(potential)
        validation.on_epoch_end(0, logs)
        assert logs == {"val_loss": 0.0} | {f"val_{row['metric']}": pytest.approx(row["value"], rel=1e-4) for row in plain}


def test_evaluation_takes_frames_with_and_without_mm_particles(random):
    mm = {"mm_positions": np.array([[0.0, 3.0, 0.0]]), "mm_charges": np.array([0.5])}
    numbers, positions = np.array([8, 1]), np.array([[0.0, 0, 0], [0, 0, 1.0]])
    systems = [System(numbers, positions, 0.0, **mm), System(numbers, positions)]
    frames = Frames(systems, np.zeros(2), None, [random.normal(size=(1, 3)), np.zeros((0, 3))])
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, pairwise_coulomb=True)
    for order in ([0, 1], [1, 0]):
        rows = evaluate(potential, frames[np.array(order)])
        assert [row["metric"] for row in rows] == ["energy_mae", "mm_gradients_mae"]
    potential.compile(keras.optimizers.Adam())
    without = frames[np.array([1])]
    assert [row["metric"] for row in evaluate(potential, without)] == ["energy_mae"]
    validation, logs = callbacks.Validation(GraphBatches(potential, without, ("energy", "mm_gradients")), 2, {}), {}
    validation.set_model(potential)
    validation.on_epoch_end(0, logs)
    assert list(logs) == ["val_energy_mae", "val_loss"]


def test_nan_stops_with_a_sentence_and_keeps_the_checkpoint(config, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    checkpoint = tmp_path / "run" / "checkpoint.weights.h5"

    def poison(self, epoch, logs=None):
        if epoch == 0:
            return
        self.content = checkpoint.read_bytes()
        self.model.trainable_variables[0].assign(np.nan * self.model.trainable_variables[0])
        contents.append(self.content)

    contents = []
    monkeypatch.setattr(callbacks.Checkpoint, "on_epoch_begin", poison, raising=False)
    with pytest.raises(TrainingError, match="the loss became NaN or infinite before step 20: lower learning_rate"):
        train(config(), tmp_path / "run", progress=False)
    assert checkpoint.read_bytes() == contents[0]


def test_progress_shows_loss_errors_with_units_and_time_left(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("amp_tf.progress.SECONDS_BETWEEN_LINES", 0.0)
    train(config(steps=20), tmp_path / "run")
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "loss=" in shown
    assert "MAE energy=" in shown
    assert "validation MAE energy=" in shown
    assert "kJ/mol" in shown


def test_keras_fit_evaluate_and_predict_keep_their_meaning(springs):
    frames = Frames.from_reference_data(amp_tf.read_reference_data(springs))
    keras.utils.set_random_seed(0)
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=8, atomic_energies={"O": -500.0})
    potential.compile(optimizer=keras.optimizers.Adam(1e-3), loss={"energy": "mse", "qm_gradients": "mse"}, metrics={"energy": ["mae"]})
    batches = GraphBatches(potential, frames, ("energy", "qm_gradients"))
    before = potential.evaluate(batches.evaluation(10), return_dict=True, verbose=0)
    potential.fit(batches.training(10, seed=0, steps=60), epochs=1, verbose=0, shuffle=False)
    after = potential.evaluate(batches.evaluation(10), return_dict=True, verbose=0)
    assert after["loss"] < before["loss"]
    potential.save(springs.with_suffix(".keras"))
    loaded = keras.saving.load_model(springs.with_suffix(".keras"))
    assert loaded.evaluate(batches.evaluation(10), return_dict=True, verbose=0)["loss"] == pytest.approx(after["loss"], rel=1e-5)
    for batch_size in (40, 11, 39):  # the last batch of 11 or 1 weighs as much as its systems
        errors = potential.evaluate(batches.evaluation(batch_size), return_dict=True, verbose=0)
        assert errors["energy_mae"] == pytest.approx(after["energy_mae"], rel=1e-4)
    predicted = potential.predict(batches.evaluation(7), verbose=0)
    expected = potential.compute_systems(frames.systems)
    np.testing.assert_allclose(predicted["energy"] - 500.0, expected["energy"], atol=1e-4)
    np.testing.assert_allclose(predicted["qm_gradients"], np.concatenate(expected["qm_gradients"]), atol=1e-3)
    mae = np.mean(np.abs(expected["energy"] - frames.energies))
    assert after["energy_mae"] == pytest.approx(mae, abs=1e-4)
    assert evaluate(potential, frames)[0]["value"] == pytest.approx(mae, abs=1e-9)


def test_changing_sizes_do_not_retrace_training(random):
    systems = [System(np.array([8, *[1] * n]), random.uniform(0, 4, size=(n + 1, 3))) for n in range(1, 9)]
    frames = Frames(systems, random.normal(size=8), [random.normal(size=system.positions.shape) for system in systems])
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4)
    potential.compile(optimizer="adam", loss={"energy": "mse", "qm_gradients": "mse"})
    traces = []
    original = potential.train_step
    potential.train_step = lambda data: (traces.append(1), original(data))[1]
    dataset = GraphBatches(potential, frames, ("energy", "qm_gradients")).training(3, seed=0, steps=12)
    potential.fit(dataset.take(2), verbose=0, shuffle=False)
    n_traces = len(traces)
    potential.fit(dataset, verbose=0, shuffle=False)
    assert len(traces) == n_traces


def test_the_null_model_is_where_training_starts(random):
    """Two compositions: the sums of the atomic energies; without these the mean energy, or the one that is given."""
    systems = [System(np.array([8, *[1] * n]), np.eye(3)[: n + 1] + 0.1 * random.normal(size=(n + 1, 3))) for n in (1, 2, 1, 2)]
    frames = Frames(systems, np.array([-100.0, -101.5, -100.2, -101.0]))
    for energies, expected in (({"O": -99.0, "H": -1.0}, (0.0 + 0.5 + 0.2 + 0.0) / 4), (None, np.mean(np.abs(frames.energies + 100.675)))):
        potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, atomic_energies=energies)
        assert evaluate(potential, frames)[0]["null_model"] == pytest.approx(expected)
        assert evaluate(potential, frames, -100.0)[0]["null_model"] == pytest.approx((0.0 + 1.5 + 0.2 + 1.0) / 4)


def test_atomic_energies_are_fitted_by_least_squares():
    systems = [
        System(np.array([8] * n_o + [1] * n_h), np.arange(3.0 * (n_o + n_h)).reshape(-1, 3)) for n_o, n_h in ((1, 2), (1, 4), (2, 1))
    ]
    energies = fit_atomic_energies(
        Frames(systems, np.array([-10.0 * n_o - 0.5 * n_h for n_o, n_h in ((1, 2), (1, 4), (2, 1))])), ("H", "O")
    )
    assert energies["O"] == pytest.approx(-10.0)
    assert energies["H"] == pytest.approx(-0.5)


def test_the_heat_of_some_frames_is_not_counted_among_the_energies_of_atoms():
    """A complex whose frames are hot, and its parts, cold: fitted to the lowest frames their energies add up."""
    complex_, ion, molecule = np.array([17, 17, 6]), np.array([17]), np.array([17, 6])
    of_frames = [(complex_, -70.0 + heat) for heat in (30.0, 0.0, 10.0)] + [(ion, -20.0), (molecule, -50.0), (molecule, -49.0)]
    systems = [System(numbers, 3.0 * np.eye(3)[: len(numbers)]) for numbers, _ in of_frames]
    frames = Frames(systems, np.array([energy for _, energy in of_frames]))
    lowest = lowest_frames(frames)
    assert lowest.energies.tolist() == [-70.0, -20.0, -50.0]
    energies = fit_atomic_energies(lowest, ("C", "Cl"))
    assert energies["Cl"] == pytest.approx(-20.0)
    assert energies["C"] == pytest.approx(-30.0)


def two_groups(path, numbers=(8, 1), charge=0.0, with_mm=False, with_dipoles=False):
    """Diatomics 'train', O-H, and 'other', which differ."""
    positions = np.array([[[0.0, 0, 0], [0, 0, 0.9 + 0.02 * number]] for number in range(6)])
    around = (np.arange(7), np.full((6, 3), 5.0), np.ones(6)) if with_mm else (None, None, None)
    first = FrameGroup("train", np.array([8, 1]), positions, np.arange(6.0))
    other = FrameGroup(
        "other", np.array(numbers), positions, np.arange(6.0), None, *around, total_charge=charge,
        dipoles=np.ones((6, 3)) if with_dipoles else None,
    )  # fmt: skip
    words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")
    write_reference_data(path, Provenance(**words, random_seed=0), (first, other))
    return path


BY_GROUP = {"split": {"kind": "groups", "train_groups": ["train"]}}


@pytest.mark.parametrize(
    ("data", "changes", "sentence"),
    [
        ({"numbers": (7, 1)}, BY_GROUP, "no training frame has N of group 'other'; choose a split"),
        ({"charge": 1.0}, BY_GROUP, r"no training frame has total charge \+1 e of group 'other'"),
        ({"with_mm": True}, BY_GROUP, "group 'other': this model has no term for MM particles"),
        ({}, {"model": MODEL | {"elements": ["H"]}}, "model.elements lacks O, which the data have; add it, or leave elements out"),
    ],
)
def test_what_the_evaluation_would_refuse_is_refused_before_the_training(config, tmp_path, data, changes, sentence):
    file = two_groups(tmp_path / "two.h5", **data)
    with pytest.raises(InputError, match=sentence):
        train(config(data=str(file), **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_xla_tells_where_it_would_compile_many_shapes(config, tmp_path, random):
    positions = random.uniform(-2.0, 2.0, size=(8, 5, 3))
    group = FrameGroup("cloud", np.array([8, 1, 1, 1, 1]), positions, np.arange(8.0))
    words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")
    write_reference_data(tmp_path / "cloud.h5", Provenance(**words, random_seed=0), (group,))
    settings = config(data=str(tmp_path / "cloud.h5"), model=MODEL | {"cutoff": 2.0}, xla=True, steps=1, interval=1, batch_size=1)
    with pytest.warns(UserWarning, match=r"xla: the training frames have \d shapes, and XLA compiles each"):
        train(settings, tmp_path / "run", progress=False)


def test_logs_for_tensorboard_change_no_run(config, tmp_path):
    train(config(steps=10), tmp_path / "run", progress=False)
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'amp_tf[tensorboard]')")
    assert train(config(steps=10, tensorboard=True), tmp_path / "run", progress=False).metrics


def test_the_best_weights_know_their_loss(tmp_path):
    """A run that goes on does not take worse ones for the best, whatever its history says; a damaged file is told at once."""
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4)
    potential.compile(keras.optimizers.Adam())

    def keep(value):
        best = callbacks.KeepBest(tmp_path / "best.npz")
        best.set_model(potential)
        best.on_epoch_end(0, {"val_loss": value})
        return best

    with pytest.raises(DataFileError, match="no validation loss was finite"):
        keep(np.nan).restore()
    keep(0.1)
    first = potential.get_weights()
    potential.set_weights([1.0 + weights for weights in first])
    keep(5.0).restore()
    for found, wanted in zip(potential.get_weights(), first, strict=True):
        np.testing.assert_array_equal(found, wanted)
    (tmp_path / "best.npz").write_bytes(b"PK")
    with pytest.raises(DataFileError, match=r"best\.npz: damaged; remove the run folder"):
        keep(0.05)


def test_a_near_cutoff_that_cannot_be_is_refused_before_data_are_read(config, tmp_path):
    for model, words in (({"near_cutoff": -1.0}, "must be positive"), ({"near_cutoff": 9.0, "long_range_cutoff": 8.0}, "not be above")):
        with pytest.raises(InputError, match=f"near_cutoff .*{words}"):
            config(data=tmp_path / "none.h5", model={"type": "AMP", "direct_polarization": True, **model})


def test_a_near_cutoff_is_refused_for_data_without_mm_particles(config, tmp_path):
    model = {"type": "AMP", "direct_polarization": True, "near_cutoff": 4.0}
    with pytest.raises(InputError, match=r"near_cutoff: .*water_dimer.h5 has no MM particles; leave it out"):
        train(config(model=model), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_data_without_the_label_that_is_asked_for(water_dimer_file):
    data = amp_tf.read_reference_data(water_dimer_file)
    with pytest.raises(DataFileError, match="lack the label"):
        GraphBatches(amp_tf.GNN(("H", "O"), n_features=4), Frames.from_reference_data(data), ("mm_gradients",))


class TestConfiguration:
    """Unknown and impossible keys are refused."""

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"lerning_rate": 1.0}, "lerning_rate: Extra inputs are not permitted"),
            ({"steps": 0}, "steps: Input should be greater than or equal to 1"),
            ({"gradient_weight": 1.5}, "gradient_weight"),
            ({"model": {"type": "AMP", "max_ordr": 2}}, r"unknown keys 'max_ordr' for AMP"),
            ({"model": {"type": "PaiNN9"}}, "type must be one of AMP, GNN"),
            ({"steps": 15, "interval": 10}, "must be a multiple of interval"),
            ({"split": {"kind": "alphabetic"}}, "split.kind"),
            ({"keep_best": True}, "keep_best would choose by the test frames"),
            ({"loss": "absolute", "gradient_weight": 0.9}, "gradient_weight is of squared errors"),
            ({"nonhierarchicality_weight": 0.1}, "are of loss: absolute; leave them out"),
            ({"split": {"train": 0.9, "validation": 0.5}}, "must leave frames for the test set"),
        ],
    )
    def test_refusals(self, config, changes, sentence):
        with pytest.raises(InputError, match=sentence):
            config(**changes)

    def test_a_missing_key(self):
        with pytest.raises(InputError, match="data: Field required"):
            make_config({"model": {"type": "AMP"}})

    def test_overrides_reach_nested_keys(self, tmp_path, config):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config().as_json()))
        changed = read_config(path, ("model.n_features=3", "learning_rate=1e-3", "ema_momentum=null"))
        assert (changed.model["n_features"], changed.learning_rate, changed.ema_momentum) == (3, 1e-3, None)
        for text, number in (("1e-3", 1e-3), ("-2.5E+1", -25.0), ("2", 2), ("1e", "1e")):
            assert read_config(path, (f"model.cutoff={text}",)).model["cutoff"] == number
        for override, sentence in (("steps", "has the form key=value"), ("steps.x=1", "not an override"), ("steps=[", "not an override")):
            with pytest.raises(InputError, match=sentence):
                read_config(path, (override,))
        with pytest.raises(InputError, match=r"a folder, no file; see examples/water_dimer.yaml"):
            read_config(tmp_path)

    @pytest.mark.parametrize(("text", "sentence"), [("a: [", "not valid YAML"), ("- 1", "a mapping of keys")])
    def test_files_that_are_no_configuration(self, tmp_path, text, sentence):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_config(tmp_path / "bad.yaml")
        with pytest.raises(InputError, match="no such file"):
            read_config(tmp_path / "none.yaml")


@pytest.fixture
def embedded(tmp_path, random):
    """Diatomics in the field of two charges: random labels."""
    n = 12
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 0.02 * random.normal(size=(n, 2, 3))
    group = FrameGroup(
        "diatomic", np.array([8, 1]), positions, random.normal(size=n), random.normal(size=(n, 2, 3)), 2 * np.arange(n + 1),
        random.uniform(3.0, 6.0, size=(2 * n, 3)), random.normal(size=2 * n), random.normal(size=(2 * n, 3)),
    )  # fmt: skip
    words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")
    write_reference_data(tmp_path / "embedded.h5", Provenance(**words, random_seed=0), (group,))
    return tmp_path / "embedded.h5"


GNN_P = {"type": "GNN", "n_layers": 1, "n_features": 4, "pairwise_coulomb": True}
NEAR_AND_FAR = {**GNN_P, "type": "AMP", "max_order": 1, "direct_polarization": True, "near_cutoff": 4.5}


def embedded_config(config, file, model=None, **settings):
    return config(data=str(file), model=model or GNN_P, split={"kind": "ordered"}, steps=20, interval=10, batch_size=2, **settings)


def stream(monkeypatch):
    monkeypatch.setattr("amp_tf.data.hdf5.HELD_PARTICLES", 0)
    monkeypatch.setattr("amp_tf.data.pipeline.HELD_PARTICLES", 0)


@pytest.mark.parametrize("model", [GNN_P, pytest.param(NEAR_AND_FAR, marks=pytest.mark.slow)])
def test_training_on_data_read_from_the_file_gives_the_same_potential(config, embedded, tmp_path, monkeypatch, model):
    held = train(embedded_config(config, embedded, model), tmp_path / "held", progress=False)
    stream(monkeypatch)
    streamed = train(embedded_config(config, embedded, model), tmp_path / "streamed", progress=False)
    for left, right in zip(held.potential.get_weights(), streamed.potential.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
    assert [row["value"] for row in held.metrics] == pytest.approx([row["value"] for row in streamed.metrics], rel=1e-5)
    assert {row["metric"] for row in held.metrics} == {"energy_mae", "qm_gradients_mae", "mm_gradients_mae"}


@pytest.mark.parametrize("error", [OSError, DataFileError])
def test_frames_that_cannot_be_read_end_the_training_with_one_sentence(config, embedded, tmp_path, monkeypatch, error):
    stream(monkeypatch)

    def fail(batches, frame):
        raise error("the disk is gone")

    monkeypatch.setattr(GraphBatches, "_read", fail)
    with pytest.raises(DataFileError, match=r"embedded.h5: frames could not be read \(the disk is gone\); mend that"):
        train(embedded_config(config, embedded), tmp_path / "run", progress=False)


def test_batches_read_from_a_file_let_go_of_it(embedded, monkeypatch):
    stream(monkeypatch)
    potential = amp_tf.GNN(("H", "O"), n_layers=1, n_features=4, pairwise_coulomb=True)
    batches = GraphBatches(potential, Frames.from_reference_data(amp_tf.read_reference_data(embedded)))
    dataset = batches.evaluation(5)
    alive = weakref.ref(batches)
    del batches
    assert len(list(dataset)) == 3  # the batches live as long as a dataset reads from them
    del dataset
    gc.collect()
    assert alive() is None
    with h5py.File(embedded, "r+"):
        pass


@pytest.mark.parametrize("at_zero", [False, True])
def test_a_start_at_zero_is_the_null_model(at_zero, random):
    numbers, positions = np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    group = FrameGroup(
        "water", numbers, positions + 0.1 * random.normal(size=(4, 3, 3)), random.normal(size=4), total_charge=0.3,
        mm_offsets=np.arange(5), mm_positions=random.normal(size=(4, 3)) + 5.0, mm_charges=random.normal(size=4),
    )  # fmt: skip
    words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "none")
    data = ReferenceData(Provenance(**words, random_seed=0), (group,))
    model = {"type": "AMP", "max_order": 1, "n_layers": 1, "n_features": 4, "direct_polarization": True, "pairwise_coulomb": True}
    config = make_config({"data": "water.h5", "model": model, "start_at_zero": at_zero})
    potential = make_potential(config, data, Frames.from_reference_data(data))
    result = potential.compute_systems([group.system(frame) for frame in range(4)])
    assert np.allclose(result["charges"], 0.1, rtol=1e-6) == at_zero
    assert np.all(result["energy_terms"]["atomic"] == 0.0) == at_zero
