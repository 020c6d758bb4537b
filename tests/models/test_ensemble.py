"""Several potentials as one: means, spread, one file, and what cannot be joined."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

import amp_tf
from amp_tf.cli import app
from amp_tf.errors import DataFileError, InputError
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.systems import System
from amp_tf.training import make_config
from amp_tf.training.start import read_start
from tests.models.physics import run_physics_test

SETTINGS = {"n_layers": 1, "n_features": 8, "n_radial_weights": 2, "dtype": "float64", "coefficient_scale": 1.0}
DATA = Path(__file__).resolve().parents[2] / "datasets" / "water_dimer.h5"
WATER = System([8, 1, 1], np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]), 0.0, np.array([[0.0, 0, 4.0]]), [0.5])


def member(seed, **changes):
    keras.utils.set_random_seed(seed)
    settings = {"max_order": 1, "direct_polarization": True, "pairwise_coulomb": True, **SETTINGS}
    return amp_tf.AMP(("H", "C", "O"), **settings | changes)


@pytest.fixture
def members():
    energies = ({"H": -1.0, "O": -75.0}, {"H": -1.1, "O": -74.9}, {"H": -1.0, "O": -75.3})
    return [member(seed, atomic_energies=energy, constant=0.1 * seed) for seed, energy in enumerate(energies)]


def test_mean_and_spread_are_those_of_the_members(members):
    ensemble = amp_tf.Ensemble(members)
    found = ensemble.compute_systems([WATER, WATER], mm_potentials=True)
    assert "multipoles" not in found  # each member has its own
    alone = [one.compute_systems([WATER], mm_potentials=True) for one in members]
    assert found["energy"] == pytest.approx(np.mean([result["energy"][0] for result in alone]), abs=1e-9)
    assert found["energy_std"] == pytest.approx([np.std([result["energy"][0] for result in alone])] * 2, abs=1e-9)
    for name in ("qm_gradients", "mm_gradients", "mm_potentials", "charges", "dipole"):
        np.testing.assert_allclose(found[name][1], np.mean([result[name][0] for result in alone], axis=0), atol=1e-9, err_msg=name)
    for name in ("qm_gradients", "charges"):
        np.testing.assert_allclose(found[f"{name}_std"][1], np.std([result[name][0] for result in alone], axis=0), atol=1e-9)


@pytest.mark.slow
def test_far_charges_are_expanded_in_every_member(monkeypatch, random):
    monkeypatch.setattr("amp_tf.models.computing.EXPANDED", 10)
    members = [member(seed, near_cutoff=4.0) for seed in (0, 1)]
    places = random.normal(size=(50, 3))
    places *= random.uniform(6.0, 40.0, size=(50, 1)) / np.linalg.norm(places, axis=1, keepdims=True)
    system = System(WATER.atomic_numbers, WATER.positions, 0.0, places, random.normal(size=50))
    found = amp_tf.Ensemble(members).compute_systems([system])
    alone = [one.compute_systems([system]) for one in members]
    assert found["energy"][0] == pytest.approx(np.mean([result["energy"][0] for result in alone]), abs=1e-9)
    np.testing.assert_allclose(found["mm_gradients"][0], np.mean([result["mm_gradients"][0] for result in alone], axis=0), atol=1e-10)
    assert np.abs(found["mm_gradients"][0]).max() > 1e-6


def test_compute_gives_them_for_one_system(members):
    found = amp_tf.Ensemble(members).compute(WATER.atomic_numbers, WATER.positions)
    assert found["energy_std"] > 0.0
    assert np.shape(found["qm_gradients_std"]) == (3, 3)


def test_it_is_one_file(members, tmp_path):
    ensemble = amp_tf.Ensemble(members)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = amp_tf.load_potential(tmp_path / "ensemble.keras")
    first, second = (one.compute_systems([WATER]) for one in (ensemble, loaded))
    for name in ("energy", "energy_std"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12)
    single = amp_tf.load_potential(tmp_path / "ensemble.keras", dtype="float32")
    assert single.compute_systems([WATER])["energy"] == pytest.approx(first["energy"], rel=1e-5)
    assert {member.compute_dtype for member in single.members} == {"float32"}


def test_a_damaged_file_is_told(members, tmp_path):
    path = tmp_path / "ensemble.keras"
    amp_tf.Ensemble(members).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataFileError, match="damaged"):
        amp_tf.load_potential(path)


def test_physics():
    members = [member(seed, coefficient_scale=1e-3, constant=0.1 * seed) for seed in (0, 1)]
    run_physics_test(amp_tf.Ensemble(members), skip=("additivity",))  # the constants are added once a system


def test_it_refuses_what_a_member_refuses():
    settings = {"n_layers": 1, "n_features": 4, "mm_types": (-0.8, 0.4)}
    ensemble = amp_tf.Ensemble([amp_tf.GNN(("H", "O"), **settings) for _ in range(2)])
    with pytest.raises(InputError, match=r"not 0\.5; train one with these mm_types"):
        ensemble.compute_systems([WATER])
    ensemble = amp_tf.Ensemble([member(0), member(1, provenance={"total_charges": [-1.0]})])
    with pytest.raises(InputError, match="trained on total charges of -1 e"):
        ensemble.compute_systems([WATER])


def test_in_ase_it_is_a_committee(members):
    atoms = Atoms(WATER.atomic_numbers, WATER.positions, calculator=AMPCalculator(amp_tf.Ensemble(members)))
    alone = Atoms(WATER.atomic_numbers, WATER.positions, calculator=AMPCalculator(members))
    assert atoms.get_potential_energy() == pytest.approx(alone.get_potential_energy())
    assert atoms.calc.results["energy_std"] == pytest.approx(alone.calc.results["energy_std"])


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (lambda: member(1, cutoff=4.0), "differ in cutoff"),
        (lambda: member(1, max_order=2), "differ in max_order"),
        (lambda: member(1, repulsion=True), "differ in repulsion"),
        (lambda: member(1, dtype="float32"), "differ in compute_dtype"),
        (lambda: amp_tf.AMP(("H", "O"), 1, **SETTINGS), "differ in elements"),
        (lambda: member(1, target="homo", direct_polarization=False, pairwise_coulomb=False), "differ in target"),
        (lambda: amp_tf.Ensemble([member(1), member(2)]), "none of which is an ensemble"),
    ],
)
def test_what_differs_is_refused(second, sentence):
    with pytest.raises(InputError, match=sentence):
        amp_tf.Ensemble([member(0), second()])
    with pytest.raises(InputError, match="two potentials or more"):
        amp_tf.Ensemble([member(0)])
    with pytest.raises(InputError, match="one potential twice"):
        amp_tf.Ensemble([member(0)] * 2)


def test_of_dipole_moments_charges_have_no_mean():
    """Members learn them with either sign, as their moment is an absolute value."""
    settings = {"target": "mu", "direct_polarization": False, "pairwise_coulomb": False}
    found = amp_tf.Ensemble([member(seed, **settings) for seed in (0, 1)]).compute(WATER.atomic_numbers, WATER.positions)
    assert {"mu", "energy_std", "unit"} >= set(found)
    assert not {"charges", "dipole", "charges_std"} & set(found)


def test_sizes_of_members_that_do_not_fit_the_weights_take_no_memory(members, tmp_path, monkeypatch):
    path = tmp_path / "ensemble.keras"
    amp_tf.Ensemble(members).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for one in config["config"]["members"]:
        one["config"]["n_features"] = 400
    monkeypatch.setattr(amp_tf.AMP, "__init__", None)  # no member may be made
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(DataFileError, match="do not fit the 588"):
        amp_tf.load_potential(path)


def test_the_commands(members, tmp_path):
    """One writes it; evaluate tells how much better it is than its members, and info what it is."""
    paths = [tmp_path / f"{number}.keras" for number in range(3)]
    for one, path in zip(members, paths, strict=True):
        one.save(path)
    output, runner = tmp_path / "mean.keras", CliRunner()
    assert runner.invoke(app, ["ensemble", str(output), *map(str, paths)]).exit_code == 0
    found = runner.invoke(app, ["evaluate", str(output), str(DATA)]).output
    assert "energy_mae: " in found
    assert "of the mean of the 3 members" in found
    assert "AMP, AMP, AMP" in runner.invoke(app, ["info", str(output)]).output
    with pytest.raises(InputError, match="is an ensemble; start from its members"):
        read_start(make_config({"data": "none.h5", "start_from": str(output)}), tmp_path / "run")
    refused = runner.invoke(app, ["ensemble", str(paths[0]), *map(str, paths)])
    assert "is the member" in str(refused.exception)
