"""Training as PhysNet's authors do: absolute errors in eV with charges and dipoles, AMSGrad, ramped averages, the best weights kept."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import amp_tf
from amp_tf import units
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.pipeline import Frames, GraphBatches
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import InputError, TrainingError
from amp_tf.systems import System
from amp_tf.training import callbacks, make_config, train
from amp_tf.training.baselines import charges_of_ions
from amp_tf.training.losses import RampedAdam, loss_weights
from amp_tf.training.run import compile_potential, make_potential

MODEL = {"type": "PhysNet", "n_layers": 2, "n_features": 8, "n_radial": 6, "cutoff": 6.0, "dtype": "float64", "charges": True}
SETTINGS = {
    "model": MODEL, "split": {"kind": "random"}, "loss": "absolute", "steps": 12, "interval": 3, "batch_size": 4, "epsilon": 1e-3,
    "clip_norm": 1000.0, "amsgrad": True, "beta_2": 0.99, "ema_momentum": 0.9, "ema_ramp": True, "keep_best": True,
}  # fmt: skip


@pytest.fixture
def write(tmp_path, random):
    """Diatomics O-H of a total charge, with made-up dipoles about the origin, far from it."""

    def file(total_charge=1.0, with_dipoles=True):
        bonds = random.uniform(0.8, 1.3, size=20)
        positions = np.zeros((20, 2, 3)) + [3.0, -2.0, 1.0]
        positions[:, 1, 2] += bonds
        gradients = np.zeros_like(positions)
        gradients[:, 1, 2], gradients[:, 0, 2] = 100.0 * (bonds - 1.0), -100.0 * (bonds - 1.0)
        about_centroid = np.stack([np.zeros(20), np.zeros(20), 0.4 * bonds], axis=1)
        dipoles = about_centroid + total_charge * positions.mean(axis=1)
        group = FrameGroup(
            "oh", np.array([8, 1]), positions, -500.0 + 50.0 * (bonds - 1.0) ** 2, gradients, total_charge=total_charge,
            dipoles=dipoles if with_dipoles else None,
        )  # fmt: skip
        provenance = Provenance(
            engine="formula", engine_version="1", level_of_theory="harmonic", builder_command="pytest", random_seed=0, energy_reference="0"
        )
        path = tmp_path / f"oh{total_charge:g}{with_dipoles}.h5"
        write_reference_data(path, provenance, (group,))
        return path, about_centroid

    return file


def test_dipoles_of_ions_are_about_the_centroid(write):
    path, about_centroid = write()
    frames = Frames.from_reference_data(amp_tf.read_reference_data(path))
    np.testing.assert_allclose(np.array(list(frames.dipole)), about_centroid, atol=1e-12)


@pytest.mark.parametrize("kind", ["code", "paper"])
def test_the_loss_is_that_of_the_authors(kind, random):
    """Eq. 17 in eV with the weights of the program or the paper, by hand; raw charges in both last terms."""
    keras.utils.set_random_seed(2)
    potential = amp_tf.PhysNet(("H", "O"), **{key: value for key, value in MODEL.items() if key != "type"})
    potential.set_weights([weight + 0.3 * random.normal(size=weight.shape) for weight in potential.get_weights()])
    positions = [np.array([[0.0, 0, 0], [0.9, 0.1, 0], [-0.3, 0.9, 0]]), np.array([[0.0, 0, 0], [0, 0, 1.1]])]
    systems = [System([8, 1, 1], positions[0], 0.0), System([8, 1], positions[1], -1.0)]
    energies, dipoles = random.normal(size=2), [random.normal(size=3) for _ in systems]
    gradients = [random.normal(size=system.positions.shape) for system in systems]
    labels = ("energy", "qm_gradients", "total_charge", "dipole", "nonhierarchicality")
    batches = GraphBatches(potential, Frames(systems, energies, gradients, dipole=dipoles), labels)
    config = make_config({"data": "none.h5", **SETTINGS, "loss_weights": kind})
    compile_potential(potential, config, labels)
    graph, of_batch = batches.batch(np.arange(2))
    predicted = {name: tf.reshape(value, (-1, 1)) if name in ("energy", "total_charge") else value
                 for name, value in potential.predict_labels(graph, of_batch).items()}  # fmt: skip
    of_batch = {name: tf.reshape(value, (-1, 1)) if name in ("energy", "total_charge") else value for name, value in of_batch.items()}
    found = float(potential.compute_loss(graph, of_batch, predicted))

    result = potential.compute_systems(systems)
    raw = result["raw_charges"]
    charges = [abs(values.sum() - system.total_charge) for values, system in zip(raw, systems, strict=True)]
    moments = [
        np.abs(values @ (system.positions - system.positions.mean(axis=0)) - dipole)
        for values, system, dipole in zip(raw, systems, dipoles, strict=True)
    ]
    force = np.abs(np.concatenate(result["qm_gradients"]) - np.concatenate(gradients)).mean() / 96.48533212
    hierarchy = np.concatenate(result["nonhierarchicality"]).mean()
    of_charge, of_dipole = {"code": (14.399645, 27.211386), "paper": (27.211386, 51.422067)}[kind]
    expected = (
        np.abs(result["energy"] - energies).mean() / 96.48533212 + 52.9177211 * force + of_charge * np.mean(charges)
        + of_dipole * np.mean(moments) + 0.01 * hierarchy
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_step_of_amsgrad_is_numpys():
    """The largest second moment so far divides; without it the third step, after a small gradient, would be longer."""
    variable = keras.Variable(np.array([1.0]), dtype="float64")
    config = make_config({"data": "none.h5", **SETTINGS, "clip_norm": 1e9})
    optimizer = RampedAdam(1e-2, beta_2=config.beta_2, epsilon=config.epsilon, amsgrad=config.amsgrad, use_ema=True, ema_momentum=0.999)
    optimizer.build([variable])
    x, m, v, largest, average = 1.0, 0.0, 0.0, 0.0, 1.0
    for step, gradient in enumerate((2.0, 0.1, -0.3), 1):
        optimizer.apply([tf.constant([gradient], tf.float64)])
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        largest = max(largest, v)
        x -= 1e-2 * np.sqrt(1 - 0.99**step) / (1 - 0.9**step) * m / (np.sqrt(largest) + 1e-3)
        assert float(variable[0]) == pytest.approx(x, rel=1e-5)
        momentum = min(0.999, step / (9.0 + step)) if step > 1 else 0.0
        average = momentum * average + (1.0 - momentum) * x
        assert float(optimizer._model_variables_moving_average[0][0]) == pytest.approx(average, rel=1e-3)


def test_weights_in_the_units_of_the_package():
    config = make_config({"data": "none.h5", **SETTINGS})
    weights = loss_weights(config, ("energy", "qm_gradients", "nonhierarchicality"))
    assert weights == pytest.approx({"energy": 1 / 96.48533, "qm_gradients": 0.548453, "nonhierarchicality": 0.01}, rel=1e-5)
    of_mm = loss_weights(make_config({"data": "none.h5", **SETTINGS, "mm_gradient_factor": 7.0}), ("mm_gradients",))
    assert of_mm == pytest.approx({"mm_gradients": 7.0 * 0.548453}, rel=1e-5)


@pytest.mark.slow
def test_it_trains_and_an_interrupted_run_ends_where_an_uninterrupted_one_does(write, tmp_path, monkeypatch):
    """The weights of the lowest validation loss are saved; charges wake up from dipoles."""
    path, _ = write(0.0)
    settings = make_config({"data": str(path), **SETTINGS})
    whole = train(settings, tmp_path / "whole", progress=False)
    assert {row["metric"] for row in whole.metrics} == {"energy_mae", "qm_gradients_mae", "dipole_mae"}
    assert np.abs(whole.potential.compute([8, 1], [[0.0, 0, 0], [0, 0, 1.0]])["raw_charges"]).max() > 0.0
    best = min(whole.history, key=lambda row: row["val_loss"])
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    stop = callbacks.StopOnNaN.on_epoch_end

    def interrupt(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        stop(self, epoch, logs)

    monkeypatch.setattr(callbacks.StopOnNaN, "on_epoch_end", interrupt)
    with pytest.raises(TrainingError, match="interrupted"):
        train(settings, tmp_path / "killed", progress=False)
    monkeypatch.setattr(callbacks.StopOnNaN, "on_epoch_end", stop)
    gone_on = train(settings, tmp_path / "killed", progress=False)
    for ours, wanted in zip(gone_on.potential.get_weights(), whole.potential.get_weights(), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-10)
    (energy,) = (row["value"] for row in whole.metrics if row["split"] == "validation" and row["metric"] == "energy_mae")
    assert energy == pytest.approx(best["val_energy_mae"], rel=1e-9)


def test_the_scale_of_energies_is_their_deviation_an_atom(write):
    path, _ = write()
    config, data = make_config({"data": str(path), **SETTINGS}), amp_tf.read_reference_data(path)
    potential = make_potential(config, data, Frames.from_reference_data(data))
    assert np.array(potential.scale)[0, 0] == pytest.approx(np.std(data.groups[0].energies) / 2 / units.EV, rel=1e-9)
    assert np.array(potential.scale)[0, 1] == 1.0


def group_of(numbers, total_charge):
    """Two frames of no meaning but their composition and charge."""
    n = len(numbers)
    positions = np.zeros((2, n, 3)) + 1.5 * np.arange(n)[:, None]
    shapes = (positions, np.zeros(2), np.zeros((2, n, 3)))
    name = "_".join(map(str, numbers))
    return FrameGroup(name, np.array(numbers), *shapes, total_charge=total_charge, dipoles=np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("molecules", "expected"),
    [
        ({(8, 1, 1): 0.0, (8, 1, 1, 1): 1.0}, (0.0, 0.0, 0.0)),  # a proton that moves is no ion of the data
        ({(17,): -1.0, (17, 8, 1, 1): -1.0, (8, 1, 1): 0.0}, (0.0, 0.0, -1.0)),
        ({(8, 1, 1): 0.0, (8, 1, 1, 1): 1.0, (17,): -1.0}, (0.0, 0.0, -1.0)),  # oxygen would get -2 e
        ({(8, 1): 0.0, (8, 1, 17): 0.0, (17,): 0.0}, (0.0, 0.0, 0.0)),
    ],
)
def test_charges_of_ions(molecules, expected):
    """Of H, O and Cl."""
    groups = [group_of(numbers, charge) for numbers, charge in molecules.items()]
    assert charges_of_ions(groups, ("H", "O", "Cl")) == pytest.approx(dict(zip(("H", "O", "Cl"), expected, strict=True)), abs=1e-12)


def test_an_element_alone_with_two_charges_has_none():
    groups = [group_of([26], 2.0), replace(group_of([26], 3.0), name="other"), group_of([26, 17], 2.0), group_of([17], -1.0)]
    assert charges_of_ions(groups, ("Fe", "Cl")) == {"Fe": 0.0, "Cl": -1.0}


def test_charges_start_where_ions_have_theirs_alone_and_with_others(write, tmp_path):
    """Spread evenly, the charge of a pair would have another Coulomb energy in its molecule than in the molecule alone."""
    molecule = amp_tf.read_reference_data(write(0.0)[0]).groups[0]
    ion = group_of([1], 1.0)
    write_reference_data(tmp_path / "both.h5", amp_tf.read_reference_data(write()[0]).provenance, (molecule, ion))
    config, data = make_config({"data": str(tmp_path / "both.h5"), **SETTINGS}), amp_tf.read_reference_data(tmp_path / "both.h5")
    potential = make_potential(config, data, Frames.from_reference_data(data))
    pair = System([8, 1, 1], [[0.0, 0, 0], [0, 0, 1], [0, 0, 9]], 1.0)
    (raw,) = potential.compute_systems([pair], gradients=False)["raw_charges"]
    np.testing.assert_allclose(raw, [-1.0, 1.0, 1.0], atol=1e-12)
    from_zero = make_potential(config.model_copy(update={"start_at_zero": True}), data, Frames.from_reference_data(data))
    assert not np.any(np.array(from_zero.shift))


def test_charges_that_would_never_wake_are_refused(write, tmp_path):
    neutral, _ = write(0.0, with_dipoles=False)
    with pytest.raises(InputError, match=r"model\.charges: the data are neutral and have no dipoles"):
        train(make_config({"data": str(neutral), **SETTINGS}), tmp_path / "run", progress=False)
    with_dipoles, _ = write(0.0)
    with pytest.raises(InputError, match=r"model\.charges"):
        train(make_config({"data": str(with_dipoles), **SETTINGS, "loss": "squared"}), tmp_path / "squared", progress=False)


def test_two_charges_of_one_molecule_need_a_model_with_charges(write, tmp_path):
    groups = [replace(amp_tf.read_reference_data(write(charge)[0]).groups[0], name=f"oh{charge:g}") for charge in (-1.0, 1.0)]
    provenance = amp_tf.read_reference_data(write()[0]).provenance
    write_reference_data(tmp_path / "both.h5", provenance, tuple(groups))
    blind = SETTINGS | {"model": MODEL | {"charges": False}, "steps": 3}
    with pytest.raises(InputError, match=r"has HO with total charges of -1 and \+1 e, which a model without charges cannot tell apart"):
        train(make_config({"data": str(tmp_path / "both.h5"), **blind}), tmp_path / "run", progress=False)
    assert train(make_config({"data": str(write()[0]), **blind}), tmp_path / "run", progress=False).metrics


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ema_momentum": None}, "ema_ramp is of the moving average"),
        ({"target": "homo"}, "absolute errors are those of energies"),
        ({"loss": "huber"}, "loss"),
    ],
)
def test_settings_that_contradict(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        make_config({"data": "none.h5", **SETTINGS, **changes})


def test_best_weights_need_validation_frames(write, tmp_path):
    path, _ = write()
    split = {"kind": "random", "validation": 0.0}
    with pytest.raises(InputError, match="no validation frames"):
        train(make_config({"data": str(path), **SETTINGS, "split": split}), tmp_path / "run", progress=False)
