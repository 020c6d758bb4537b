"""Training on, and predicting, properties of molecules other than the energy."""

import numpy as np
import pytest
from ase.io import read

import amp_tf
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import DataFileError, InputError
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.predict import predict_file
from amp_tf.training import make_config, train

NUMBERS = np.array([6, 8, 1, 1])
POSITIONS = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0], [-0.55, 0.94, 0.1], [-0.55, -0.94, 0.0]])
PROVENANCE = Provenance(engine="test", engine_version="1", level_of_theory="test", builder_command="", random_seed=0, energy_reference="0")
SMALL = {"type": "AMP", "max_order": 1, "n_layers": 1, "n_features": 8, "n_radial_weights": 2}
DIPOLES = [("AMP", {}), ("PaiNN", {}), ("SchNet", {"pairwise_coulomb": True}), ("GNN", {"pairwise_coulomb": True})]


def frames_of(random, n_frames=20):
    """Bent formaldehyde whose 'homo' and 'mu' follow the length of its C=O bond."""
    positions = POSITIONS + 0.05 * random.normal(size=(n_frames, 4, 3))
    bond = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
    targets = {"homo": -600.0 + 100.0 * (bond - 1.2), "mu": 0.5 * bond, "logp": bond}
    return FrameGroup("CH2O", NUMBERS, positions, targets=targets, target_units={"logp": "1"})


@pytest.fixture
def data(tmp_path, random):
    path = tmp_path / "data.h5"
    write_reference_data(path, PROVENANCE, (frames_of(random),))
    return path


def config(data, **changes):
    settings = {"data": data, "model": SMALL, "steps": 20, "interval": 10, "batch_size": 4, "learning_rate": 1e-2}
    return make_config(settings | {"split": {"train": 0.6, "validation": 0.2}} | changes)


def test_targets_survive_the_file(data, random):
    group = read_reference_data(data).groups[0]
    assert group.energies is None
    assert group.target_units == {"homo": "kJ/mol", "mu": "e*angstrom", "logp": "1"}
    expected = frames_of(np.random.default_rng(20231))
    for name, values in expected.targets.items():
        np.testing.assert_array_equal(group.targets[name], values)
    np.testing.assert_array_equal(group.subset([3, 1]).targets["mu"], expected.targets["mu"][[3, 1]])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"targets": {"odd": np.zeros(20)}}, "the target 'odd' has no unit"),
        ({"targets": {"homo": np.zeros(20)}, "target_units": {"homo": "eV"}}, "'homo' is in eV, expected kJ/mol"),
        ({"targets": {"homo": np.zeros(20)}, "target_units": {"gap": "kJ/mol"}}, "a unit of 'gap', but no such target"),
        ({"targets": {"homo": np.zeros(3)}}, r"targets/homo has shape \[3\], expected \[20\]"),
        ({"targets": {"homo": np.full(20, np.nan)}}, "targets/homo holds NaN"),
        ({"targets": {"a/b": np.zeros(20)}, "target_units": {"a/b": "1"}}, "must be a word without '/'"),
        ({"targets": {}}, "has no energies"),
    ],
)
def test_targets_that_cannot_be(random, changes, complaint):
    with pytest.raises(DataFileError, match=complaint):
        FrameGroup("CH2O", NUMBERS, frames_of(random).qm_positions, **changes)


def test_training_on_a_target(data, tmp_path):
    """The mean of the training set is taken off, and the errors are those of the target, in its unit."""
    result = train(config(data, target="homo", energy_reference="mean"), tmp_path / "run", progress=False)
    assert {(row["metric"], row["unit"]) for row in result.metrics} == {("homo_mae", "kJ/mol")}
    assert result.potential.constant == pytest.approx(-600, abs=10)
    potential = amp_tf.load_potential(tmp_path / "run" / "potential.keras")
    answer = potential.compute(NUMBERS, POSITIONS)
    assert answer.keys() == {"homo", "unit", "multipoles"}
    assert answer["unit"] == "kJ/mol"
    assert -700 < answer["homo"] < -500
    many = potential.compute(NUMBERS, np.stack([POSITIONS, POSITIONS + 1.0]), gradients=True)
    np.testing.assert_allclose(many["homo"], answer["homo"], atol=1e-3)
    step, direction = 1e-2, np.zeros((4, 3))
    direction[1, 0] = 1.0
    values = potential.compute(NUMBERS, np.stack([POSITIONS - step * direction, POSITIONS + step * direction]))["homo"]
    assert many["qm_gradients"][0][1, 0] == pytest.approx((values[1] - values[0]) / (2 * step), rel=0.02, abs=1e-3)
    with pytest.raises(InputError, match="a calculator takes potentials; this model predicts homo, no energy"):
        AMPCalculator(potential)


def test_atomic_contributions_can_be_fitted(data, tmp_path):
    potential = train(config(data, target="logp"), tmp_path / "run", progress=False).potential
    assert (potential.target, potential.target_unit, potential.constant) == ("logp", "1", 0.0)
    assert sum(potential.atomic_energies.values()) > 0


@pytest.mark.parametrize(("kind", "settings"), DIPOLES)
def test_dipole_moments(kind, settings, random):
    """|Σ q r + μ| does not see where the molecule is, nor how it lies; the charges are neutral together."""
    model = getattr(amp_tf, kind)(("H", "C", "O"), n_layers=2, n_features=8, target="mu", dtype="float64", **settings)
    answer = model.compute(NUMBERS, POSITIONS)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    moved = model.compute(NUMBERS, POSITIONS @ rotation.T + [10.0, -20.0, 30.0])
    assert answer["unit"] == "e*angstrom"
    assert answer["mu"] == pytest.approx(np.linalg.norm(answer["dipole"]))
    assert moved["mu"] == pytest.approx(answer["mu"], rel=1e-9)
    np.testing.assert_allclose(moved["dipole"], rotation @ answer["dipole"], rtol=1e-9, atol=1e-12)
    assert answer["charges"].sum() == pytest.approx(0.0, abs=1e-12)


def test_atomic_dipoles_count():
    """With the charges at zero, those of Eq. 3 alone make the dipole."""
    model = amp_tf.AMP(("H", "C", "O"), target="mu", dtype="float64", max_order=2, n_features=8)
    model.start_at_zero()
    answer = model.compute(NUMBERS, POSITIONS)
    assert answer["mu"] > 0
    np.testing.assert_allclose(answer["dipole"], answer["multipoles"][1].sum(axis=0), rtol=1e-12)


def test_charges_alone_make_a_dipole():
    """AMP(0) has no atomic dipoles."""
    answer = amp_tf.AMP(("H", "C", "O"), target="mu", dtype="float64", max_order=0, n_features=8).compute(NUMBERS, POSITIONS)
    np.testing.assert_allclose(answer["dipole"], answer["charges"] @ POSITIONS, rtol=1e-10)


def test_a_dipole_moment_has_no_coulomb_energy_to_see_charges_with():
    """Charges around would change nothing, without a word."""
    model = amp_tf.SchNet(("H", "C", "O"), n_features=8, target="mu", pairwise_coulomb=True)
    with pytest.raises(InputError, match="MM"):
        model.compute(NUMBERS, POSITIONS, mm_positions=[[0.0, 0.0, 4.0]], mm_charges=[1.0])


@pytest.mark.parametrize(("kind", "settings"), DIPOLES)
def test_the_dipole_moment_of_an_ion_is_refused(kind, settings):
    """It depends on the origin, and the charges would be neutral all the same."""
    model = getattr(amp_tf, kind)(("H", "C", "O"), n_features=8, target="mu", **settings)
    with pytest.raises(InputError, match="does not see the total charge"):
        model.compute(NUMBERS, POSITIONS, total_charge=1.0)


def test_one_target_has_one_unit(random, tmp_path):
    first = frames_of(random)
    second = FrameGroup("other", NUMBERS, first.qm_positions, targets={"logp": np.ones(20)}, target_units={"logp": "percent"})
    write_reference_data(tmp_path / "two.h5", PROVENANCE, (first, second))
    with pytest.raises(DataFileError, match="logp is in 1 and in percent; convert it to one unit"):
        train(config(tmp_path / "two.h5", target="logp"), tmp_path / "run", progress=False)


def test_training_on_dipole_moments(data, tmp_path):
    result = train(config(data, target="mu"), tmp_path / "run", progress=False)
    assert result.potential.constant == 0.0
    assert not any(result.potential.atomic_energies.values())
    errors = [line["val_energy_mae"] for line in result.history]
    assert errors[-1] < 0.7 * errors[0]


def test_the_last_layers_weights_are_those_of_the_paper():
    """A.6 states one number of parameters for all targets; the readout of charges takes the place of that of the sums."""
    sizes = [amp_tf.AMP(("H", "C", "N", "O", "F"), n_layers=4, max_order=3, target=name).count_params() for name in ("u0", "mu")]
    assert sizes == [1_153_793, 1_153_793]


@pytest.mark.parametrize("ending", ["xyz", "h5"])
def test_predictions_of_a_file(data, tmp_path, ending):
    potential = amp_tf.AMP(("H", "C", "O"), target="homo", constant=-600.0, n_features=8)
    assert predict_file(potential, data, tmp_path / f"out.{ending}") == 20
    expected = potential.compute(NUMBERS, read_reference_data(data).groups[0].qm_positions)["homo"]
    if ending == "h5":
        group = read_reference_data(tmp_path / "out.h5").groups[0]
        assert group.energies is None
        assert group.qm_gradients is None
        assert group.target_units == {"homo": "kJ/mol"}
        np.testing.assert_array_equal(group.targets["homo"], expected)
    else:
        frames = read(tmp_path / "out.xyz", ":")
        np.testing.assert_allclose([frame.info["homo"] for frame in frames], expected, rtol=1e-6)
        assert frames[0].info["homo_unit"] == "kJ/mol"
        assert frames[0].calc is None or "energy" not in frames[0].calc.results


@pytest.mark.parametrize(
    ("changes", "error", "complaint"),
    [
        ({"target": "gap"}, DataFileError, "no gap in all of its frames, which have homo, logp, mu; choose one of these"),
        ({}, DataFileError, "no energy in all of its frames"),
        ({"target": "no name"}, DataFileError, "no no name in all of its frames"),
        ({"target": "mu", "model": {"type": "SchNet", "n_features": 8}}, InputError, "SchNet has no atomic dipoles to predict mu with"),
        ({"target": "homo", "model": SMALL | {"constant": 3.0}}, InputError, "unknown keys 'constant'"),
        ({"target": "mu", "start_at_zero": True}, InputError, "has no derivative to learn by; leave it out for mu"),
        ({"target": "homo", "energy_reference": "median"}, InputError, "energy_reference"),
    ],
)
def test_targets_that_cannot_be_trained(data, tmp_path, changes, error, complaint):
    with pytest.raises(error, match=complaint):
        train(config(data, **changes), tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_another_target_is_no_start(data, tmp_path):
    amp_tf.AMP(("H", "C", "O"), target="homo", n_features=8).save(tmp_path / "homo.keras")
    settings = {"data": data, "start_from": tmp_path / "homo.keras", "steps": 20, "interval": 10}
    with pytest.raises(InputError, match="predicts homo, not mu; set target to homo"):
        train(make_config(settings | {"target": "mu"}), tmp_path / "run", progress=False)
    longer = train(make_config(settings | {"target": "homo", "energy_reference": "mean"}), tmp_path / "run", progress=False)
    assert longer.potential.constant == pytest.approx(-600, abs=50)


def test_amp_bms_predicts_energies_alone():
    with pytest.raises(InputError, match="AMPBMS predicts energies alone, not homo"):
        amp_tf.models.AMPBMS(target="homo")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"target": "two words"}, "target must be a name"),
        ({"target": "logp"}, "the target 'logp' has no unit"),
        ({"target": "homo", "target_unit": "eV"}, "is in eV, expected kJ/mol"),
        ({"target_unit": "eV"}, "energies are in kJ/mol, not eV"),
        ({"target": "homo", "constant": "much"}, "constant must be a number"),
        ({"target": "homo", "pairwise_coulomb": True}, "Coulomb energies, which have no place in homo"),
        ({"target": "mu", "repulsion": True}, "repulsion is an energy, which has no place in mu"),
    ],
)
def test_targets_of_a_model_that_cannot_be(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        amp_tf.AMP(("H",), n_features=8, **settings)
