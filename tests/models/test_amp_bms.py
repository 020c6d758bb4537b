"""AMP-BMS: the published numbers, where the published weights are at hand, and what it refuses."""

import functools
import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import amp_tf
from amp_tf import cli
from amp_tf.errors import DataFileError, InputError
from amp_tf.models import amp_bms_weights
from amp_tf.models.amp_bms_weights import import_weights
from amp_tf.systems import System
from tests import state_dicts

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "amp_bms"
WEIGHTS = PUBLISHED / "MIN_state_dict"
GOLDEN = PUBLISHED / "golden.npz"
needs_weights = pytest.mark.skipif(not (WEIGHTS.is_file() and GOLDEN.is_file()), reason="needs the published weights and their energies")

MODES = {
    "train": {},
    "md": {"mode": "md"},
    "train_pol1": {"polarization_factor": 1.0},
}
TERMS = {
    "V_nodes": "atomic", "V_coulomb_qm": "coulomb_qm_qm", "V_coulomb_qmmm": "coulomb_qm_mm", "V_D4": "dispersion", "V_ZBL": "repulsion",
}  # fmt: skip
INPUTS = ("atomic_numbers", "positions", "mm_positions", "mm_charges")


@functools.cache
def golden() -> dict[str, np.ndarray]:
    """Of the authors' program in float64, by ``system/mode/quantity``; inputs by ``system/input``."""
    with np.load(GOLDEN) as file:
        return dict(file)


@functools.cache
def published(mode: str, dtype: str) -> amp_tf.AMPBMS:
    return import_weights(WEIGHTS, dtype=dtype, **MODES[mode])


def computed(mode: str, dtype: str, system: str, **options) -> dict:
    inputs = {name: golden()[f"{system}/{name}"] for name in INPUTS}
    return published(mode, dtype).compute(**inputs, total_charge=float(golden()[f"{system}/total_charge"]), **options)


def systems_of(mode: str) -> list[str]:
    return [key.split("/")[0] for key in golden() if key.endswith(f"/{mode}/energy")]


@needs_weights
@pytest.mark.parametrize("mode", MODES)
def test_the_authors_energies_and_gradients_are_met(mode):
    for system in systems_of(mode):
        found = computed(mode, "float64", system)
        for name in ("energy", "qm_gradients", "mm_gradients"):
            np.testing.assert_allclose(found[name], golden()[f"{system}/{mode}/{name}"], rtol=0, atol=1e-8, err_msg=f"{system}: {name}")


@needs_weights
def test_the_authors_terms_and_moments_are_met():
    for system in systems_of("train"):
        found, known = computed("train", "float64", system), {}
        for name in (*TERMS, "charges", "dipoles", "quadrupoles", "C6_factors", "molecular_dipole"):
            known[name] = golden()[f"{system}/train/{name}"]
        for theirs, ours in TERMS.items():
            np.testing.assert_allclose(found["energy_terms"][ours], known[theirs], rtol=0, atol=1e-8, err_msg=f"{system}: {ours}")
        for order, name in enumerate(("charges", "dipoles", "quadrupoles")):
            np.testing.assert_allclose(found["multipoles"][order], known[name], rtol=0, atol=1e-11, err_msg=f"{system}: {name}")
        np.testing.assert_array_equal(found["charges"], found["multipoles"][0])
        np.testing.assert_allclose(found["c6_factors"], known["C6_factors"], rtol=0, atol=1e-11)
        if golden()[f"{system}/total_charge"] == 0.0:  # theirs is about the center of mass
            np.testing.assert_allclose(found["dipole"], known["molecular_dipole"], rtol=0, atol=1e-11)


@needs_weights
@pytest.mark.parametrize(
    ("mode", "xla"), [("train", False), ("md", False), pytest.param("train", True, marks=pytest.mark.slow), ("md", True)]
)
def test_single_precision(mode, xla):
    for system in ["uracil_20mm"] if xla else systems_of(mode):
        found = computed(mode, "float32", system, xla=xla)
        for name in ("energy", "qm_gradients", "mm_gradients"):
            expected = golden()[f"{system}/{mode}/{name}"]
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=2e-3 * np.max(np.abs(expected), initial=0.0), err_msg=system)


@needs_weights
def test_the_published_file_is_imported_by_the_command(tmp_path):
    path = tmp_path / "amp_bms.keras"
    options = ["--mode", "md", "--mm-cutoff", "10", "--dtype", "float64"]
    result = CliRunner().invoke(cli.app, ["import-weights", str(WEIGHTS), str(path), *options])
    assert result.exit_code == 0, result.output
    output = CliRunner().invoke(cli.app, ["info", str(path)]).output
    for part in ("AMPBMS", "10.1021/jacs.6c00217", "MIT", amp_bms_weights.PUBLISHED_MD5, "md", "10.0", "0.35", "float64", "406 472"):
        assert part in output
    potential = amp_tf.load_potential(path)
    inputs = {name: golden()[f"acetate_6mm/{name}"] for name in INPUTS}
    expected = import_weights(WEIGHTS, mode="md", mm_cutoff=10.0, dtype="float64").compute(**inputs, total_charge=-1.0)
    assert potential.compute(**inputs, total_charge=-1.0)["energy"] == expected["energy"]
    assert expected["energy"] != computed("md", "float64", "acetate_6mm")["energy"]


@pytest.fixture(scope="module")
def arrays():
    """Random numbers under the names and in the shapes of the published file."""
    random = np.random.default_rng(3)
    shapes = {name: shape for name, _, shape, _ in amp_bms_weights._parts(amp_tf.AMPBMS())} | amp_bms_weights.UNUSED
    return {name: random.normal(scale=0.1, size=shape).astype("float32") for name, shape in shapes.items()}


def test_another_file_of_the_same_form(arrays, tmp_path):
    source, path = state_dicts.write(tmp_path / "weights", arrays), tmp_path / "model.keras"
    result = CliRunner().invoke(cli.app, ["import-weights", str(source), str(path)])
    assert result.exit_code == 0, result.output
    md5 = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    assert "another file than the published" in result.output
    assert md5 in result.output
    potential = amp_tf.load_potential(path)
    assert potential.provenance["md5"] == md5
    assert potential.provenance["license"] == "unknown"
    np.testing.assert_array_equal(potential.embedding.kernel[1], arrays["node_embedding.embedding.weight"][6])
    np.testing.assert_array_equal(potential.c6, arrays["D4.C6_0"][[1, 6, 7, 8, 9, 15, 16, 17, 35, 53], 0])
    n_numbers = sum(array.size for array in arrays.values())
    unused = 2 * 117 + (54 - 10) * (128 + 1 + 1)
    assert potential.count_params() == n_numbers - unused


CHANGES = {
    "a name is missing": (lambda arrays: arrays.pop("V.potential.4.weight"), "'V.potential.4.weight' is missing"),
    "names are missing": (lambda arrays: [arrays.pop(f"V.potential.{number}.weight") for number in (0, 2)], "and 1 more are missing"),
    "a name too many": (lambda arrays: arrays.update({"V.potential.4.bias": np.zeros(1, "float32")}), "'V.potential.4.bias' is no part"),
    "another shape": (
        lambda arrays: arrays.update({"QM_monos.2.weight": np.zeros((2, 64), "float32")}),
        r"'QM_monos.2.weight' has shape \[2, 64\], not \[1, 64\]",
    ),
    "no numbers": (lambda arrays: arrays["QM_monos.0.bias"].fill(np.nan), "'QM_monos.0.bias' holds NaN"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_files_of_another_form_are_refused(name, arrays, tmp_path):
    change, sentence = CHANGES[name]
    changed = {key: array.copy() for key, array in arrays.items()}
    change(changed)
    with pytest.raises(DataFileError, match=f"{sentence}.*; give the published MIN_state_dict of AMP-BMS"):
        import_weights(state_dicts.write(tmp_path / "weights", changed))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none", "model.keras"], "none: no such file"),
        (["none", "model.h5"], "the ending of a potential is .keras"),
        (["none.keras", "none.keras"], "is the source"),
        (["none", "model.keras", "--mm-cutoff", "9"], "--mm-cutoff has no meaning for --mode train"),
    ],
)
def test_the_command_refuses(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        CliRunner().invoke(cli.app, ["import-weights", *arguments], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


SMALL = {"n_features": 8, "n_channels": 2}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"elements": ("H", "Si")}, "AMP-BMS is for H, C, N, O, F, P, S, Cl, Br, I, not for Si"),
        ({"mode": "test"}, "mode must be 'train' or 'md', got 'test'"),
        ({"mm_cutoff": 0.0}, "mm_cutoff must be positive"),
        ({"polarization_factor": -1.0}, "polarization_factor must be positive"),
        ({"n_features": 3}, "n_features must be a whole number of at least 4"),
        ({"message_cutoff": "none"}, "the edges of AMP-BMS end smoothly"),
        ({"n_channels": 0}, "n_channels must be a whole number of at least 1"),
    ],
)
def test_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        amp_tf.AMPBMS(**SMALL | settings)


@pytest.mark.parametrize(
    ("numbers", "distance", "sentence"),
    [
        ([8, 14, 1], 1.0, r"AMP-BMS knows H, .*, not QM atom 1 \(Si\); leave such atoms out"),
        ([8, 1, 1], 0.69, r"QM atoms 1 \(H\) and 2 \(H\) are 0\.690 angstrom apart, less than the 0\.7 of AMP-BMS"),
        ([8, 1, 8], 0.05, r"QM atoms 1 \(H\) and 2 \(O\) are 0\.050 angstrom apart, less than the 0\.1"),
        ([8, 1, 1], 0.71, None),
        ([8, 1, 8], 0.69, None),
    ],
)
def test_systems(numbers, distance, sentence):
    keras.utils.set_random_seed(0)  # other random weights give anything at 0.71 angstrom
    potential = amp_tf.AMPBMS(**SMALL)
    systems = [System(np.array(numbers), np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, distance, 0.0]]))]
    if sentence is None:
        assert np.isfinite(potential.compute_systems(systems)["energy"][0])
    else:
        with pytest.raises(InputError, match=sentence):
            potential.check_systems(systems)


@pytest.fixture(scope="module")
def hydroxide():
    """A system without neighbours of its own, in the field of one charge at a distance."""
    keras.utils.set_random_seed(1)
    potentials = {mode: amp_tf.AMPBMS(mode=mode, dtype="float64", **SMALL) for mode in ("train", "md")}
    potentials["md"].set_weights(potentials["train"].get_weights())

    def compute(mode, distance, charge=0.7):
        positions, mm = np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0]]), np.array([[0.0, 0.0, distance]])
        return potentials[mode].compute([8, 1], positions, mm, [charge], total_charge=-1.0)

    return compute


@pytest.mark.parametrize(("mode", "distance"), [("train", 8.0), ("md", 8.0), ("md", 9.0)])
def test_charges_come_and_go_without_a_step(hydroxide, mode, distance):
    results = [hydroxide(mode, distance + offset) for offset in (-1e-6, 1e-6)]
    assert results[0]["energy"] == pytest.approx(results[1]["energy"], abs=1e-4)
    np.testing.assert_allclose(results[0]["mm_gradients"], results[1]["mm_gradients"], atol=1e-5)


def test_the_modes_differ_in_far_charges(hydroxide):
    alone = hydroxide("train", 12.0, 0.0)["energy"]
    assert hydroxide("md", 12.0)["energy"] == pytest.approx(alone, abs=1e-10)
    assert hydroxide("train", 12.0)["energy"] == pytest.approx(alone - 0.7 * 1389.35 / 12.0, rel=0.3)


@pytest.mark.parametrize("mode", ["train", "md"])
def test_many_charges_through_expansions(mode, random, monkeypatch):
    """With more pairs than ``EXPANDED`` the field of far charges is expanded where it is Coulomb's, and nothing changes where it is not."""
    potential = amp_tf.AMPBMS(mode=mode, dtype="float64", **SMALL)
    directions = random.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mm = directions * random.uniform(4.0, 40.0, size=(200, 1)), random.normal(size=200)
    every = potential.compute([8, 1], [[0.0, 0.0, 0.0], [0.97, 0.0, 0.0]], *mm)
    monkeypatch.setattr("amp_tf.models.computing.EXPANDED", 0)
    expanded = potential.compute([8, 1], [[0.0, 0.0, 0.0], [0.97, 0.0, 0.0]], *mm)
    for name in ("energy", "qm_gradients", "mm_gradients"):
        np.testing.assert_allclose(expanded[name], every[name], rtol=0, atol=1e-5 * np.max(np.abs(every[name])))


def test_a_site_without_charge_may_stand_on_an_atom(hydroxide):
    for mode in ("train", "md"):
        on_atom, far = hydroxide(mode, 0.0, 0.0), hydroxide(mode, 50.0, 0.0)
        np.testing.assert_allclose(on_atom["energy"], far["energy"], rtol=1e-12)
        np.testing.assert_allclose(on_atom["qm_gradients"], far["qm_gradients"], atol=1e-8)
        np.testing.assert_array_equal(on_atom["mm_gradients"], 0.0)


@needs_weights
@pytest.mark.slow
def test_the_dynamics_of_alanine_dipeptide(tmp_path):
    """The smoke run: built, simulated with and without a thermostat, its angles and figure; a second call runs nothing again."""
    pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")
    from figures import dipeptide as figure
    from reproductions import dipeptide
    from reproductions.dynamics_table import dipeptide_table

    result = json.loads(dipeptide.reproduce("smoke", WEIGHTS, tmp_path, tmp_path).read_text())
    values = {(entry["ensemble"], entry["metric"]): entry["value"] for entry in result["rows"]}
    assert values["nvt", "whole"] == values["nve", "whole"] == 1
    assert {len(angles) for ensemble in result["angles"].values() for angles in ensemble.values()} == {5}
    assert "kJ/mol/ps a degree of freedom" in dipeptide_table(result["rows"])
    assert all(picture.stat().st_size > 10_000 for picture in figure.draw(result, tmp_path))
    (checkpoint,) = (tmp_path / "dipeptide" / "smoke").glob("*/nve/checkpoint.npz")
    written = checkpoint.stat().st_mtime_ns
    dipeptide.reproduce("smoke", WEIGHTS, tmp_path, tmp_path)
    assert checkpoint.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="there is no PRESET=paper of the dipeptide"):
        dipeptide.reproduce("paper", WEIGHTS, tmp_path, tmp_path)
