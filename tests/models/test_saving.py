"""A saved potential is the same potential in a fresh process, and what is none is refused in one sentence."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import amp_tf
from amp_tf.errors import AmpTFError, DataFileError, InputError
from tests.models.test_potentials import ELEMENTS, SMALL, make

FRESH = """
import json, sys
import numpy as np
import amp_tf
potential = amp_tf.load_potential(sys.argv[1])
job = json.load(open(sys.argv[2]))
result = potential.compute(np.array(job["numbers"]), np.array(job["positions"]))
answer = {"energy": result["energy"], "gradients": result["qm_gradients"].tolist(), "config": potential.get_config()}
json.dump(answer, open(sys.argv[3], "w"))
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fresh_process_computes_the_same(dtype, dimer, tmp_path):
    keras.utils.set_random_seed(1)
    settings = SMALL | {"long_range_partners": "qm", "pairwise_coulomb": True, "direct_polarization": True}
    energies = {"O": -197_000.123456789, "H": -1_310.5}
    potential = amp_tf.AMP(ELEMENTS, 2, dtype=dtype, atomic_energies=energies, provenance={"data": "none"}, **settings)
    expected = potential.compute(dimer.atomic_numbers, dimer.positions)
    potential.save(tmp_path / "model.keras")
    (tmp_path / "job.json").write_text(json.dumps({"numbers": dimer.atomic_numbers.tolist(), "positions": dimer.positions.tolist()}))
    command = [sys.executable, "-c", FRESH, *(str(tmp_path / name) for name in ("model.keras", "job.json", "result.json"))]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "result.json").read_text())
    resolution = float(np.finfo(dtype).eps)
    network = expected["energy"] - expected["energy_terms"]["reference"]
    assert found["energy"] == pytest.approx(expected["energy"], abs=4 * resolution * max(1.0, abs(network)))
    np.testing.assert_allclose(
        found["gradients"], expected["qm_gradients"], atol=50 * resolution * np.max(np.abs(expected["qm_gradients"]))
    )
    assert found["config"] == json.loads(json.dumps(potential.get_config()))


def test_a_form_of_polarization_that_is_gone_is_said():
    config = amp_tf.AMP(ELEMENTS).get_config()
    assert amp_tf.AMP.from_config(config | {"field_polarization": False}).get_config() == config
    with pytest.raises(InputError, match="field_polarization is no longer there; train again with near_cutoff"):
        amp_tf.AMP.from_config(config | {"field_polarization": True})


@pytest.mark.parametrize("name", ["AMP(0)-DP", "AMP(3)-DP among QM atoms", "GNN", "GNN-P", "AMP-BMS, md"])
def test_every_kind_survives_saving(name, dimer, tmp_path):
    potential = make(name, "float64")
    potential.save(tmp_path / "model.keras")
    loaded = amp_tf.load_potential(tmp_path / "model.keras")
    assert loaded.get_config() == potential.get_config()
    assert loaded.count_params() == potential.count_params()
    arguments = (dimer.atomic_numbers, dimer.positions)
    assert loaded.compute(*arguments)["energy"] == potential.compute(*arguments)["energy"]


def test_a_potential_of_version_01_is_the_same(dimer):
    """AMP(2)-DP with random weights, saved at commit 8810ddf, which computed these numbers."""
    potential = amp_tf.load_potential(Path(__file__).parent.parent / "data" / "version_0.1.keras")
    result = potential.compute(dimer.atomic_numbers, dimer.positions, [[0.0, 0.0, 9.0], [3.0, 0.0, -5.0]], [0.4, -0.4])
    assert result["energy"] == pytest.approx(-399241.75626945496, abs=1e-5)
    assert result["energy_terms"]["coulomb_qm_mm"] == pytest.approx(-1.5466547012329102, abs=1e-5)
    np.testing.assert_allclose(result["qm_gradients"][1], [6.920056343078613, 0.0, -3.8681068420410156], atol=1e-4)
    np.testing.assert_allclose(result["mm_gradients"][0], [0.0009741783, -0.0001393855, 1.7154269218], atol=1e-5)
    np.testing.assert_allclose(result["charges"][:2], [0.4051892161369324, -0.20128393173217773], atol=1e-6)


def test_a_copy_for_inference_is_smaller_and_the_same(dimer, tmp_path):
    potential = make("AMP(2)", "float64")
    potential.compile(optimizer="adam", loss={"energy": "mse"})
    potential.optimizer.build(potential.trainable_variables)
    copy = potential.copy_for_inference()
    for name, model in {"trained": potential, "copy": copy}.items():
        model.save(tmp_path / f"{name}.keras")
    assert (tmp_path / "copy.keras").stat().st_size < 0.5 * (tmp_path / "trained.keras").stat().st_size
    assert (
        copy.compute(dimer.atomic_numbers, dimer.positions)["energy"] == potential.compute(dimer.atomic_numbers, dimer.positions)["energy"]
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.keras"
    make("GNN", "float32").save(path)
    return path


def rewrite_config(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, content)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataFileError, match="no such file"):
        amp_tf.load_potential(tmp_path / "none.keras")


def test_a_truncated_file(saved):
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(DataFileError, match=r"damaged or not a \.keras file"):
        amp_tf.load_potential(saved)


def test_a_damaged_byte(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 0xFF
    saved.write_bytes(bytes(content))
    with pytest.raises(DataFileError, match="damaged"):
        amp_tf.load_potential(saved)


def test_a_keras_model_that_is_not_ours(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.save(tmp_path / "other.keras")
    with pytest.raises(DataFileError, match="not a potential of amp_tf"):
        amp_tf.load_potential(tmp_path / "other.keras")


@pytest.mark.parametrize(
    "names",
    [
        {"registered_name": "amp_tf>Future", "class_name": "Future", "module": "amp_tf.models.future"},
        {"class_name": "Sequential", "module": "keras"},
        {"class_name": "Lambda", "module": "keras.layers", "registered_name": "amp_tf>GNN"},
        {"class_name": "GNN", "module": "os"},
        {"class_name": "system", "module": "os", "registered_name": "amp_tf>system"},
        {"class_name": "GNN", "module": "evil_module", "registered_name": "amp_tf>GNN"},
        {"class_name": "AMP", "registered_name": "amp_tf>GNN"},
        {"class_name": "GNN", "registered_name": "amp_tf>AMP"},
        {"class_name": "Perceptron", "module": "amp_tf.layers.dense", "registered_name": "amp_tf>Perceptron"},
        {"class_name": ["GNN"]},
        {"registered_name": None},
        {"module": None},
    ],
)
def test_the_class_must_be_ours_exactly(saved, names, monkeypatch):
    """Even where a module of that name can be imported, it is not."""
    (saved.parent / "evil_module.py").write_text(f"open({str(saved.parent / 'ran')!r}, 'w').close()\nfrom amp_tf.models import GNN")
    monkeypatch.syspath_prepend(saved.parent)
    rewrite_config(saved, lambda config: config.update(names))
    with pytest.raises(DataFileError, match=r"not a potential of amp_tf|is none of AMP, GNN, PaiNN, SchNet"):
        amp_tf.load_potential(saved)
    assert not (saved.parent / "ran").exists()


CODE = {"class_name": "Lambda", "module": "keras.layers", "registered_name": None, "config": {"function": "evil"}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dtype": CODE}, "settings are damaged"),
        ({"name": CODE}, "settings are damaged"),
        ({"elements": CODE}, "elements must be"),
        ({"cutoff": CODE}, "cutoff must be positive"),
        ({"more": CODE}, "cannot be read"),
        ({"mm_types": CODE}, "mm_types must be charges"),
        ({"n_features": 10**9}, "ask for more than 1,000,000,000 weights"),
        ({"n_features": 10**12}, "ask for more than 1,000,000,000 weights"),
        ({"n_features": 20_000}, "do not fit the .* weights that it holds"),
        ({"n_features": 17}, "it holds .* weights, not"),
        ({"n_features": "many"}, "n_features must be a whole number"),
        ({"n_layers": 10**9}, "n_layers must be at most 100"),
        ({"n_layers": 3}, "it holds .* weights, not"),
        ({"n_radial": 10**9}, "n_radial must be at most"),
        ({"n_radial": -1}, "n_radial must be a whole number"),
        ({"units": None}, "saved in units None"),
    ],
)
def test_settings_in_a_file(saved, change, sentence):
    rewrite_config(saved, lambda config: config["config"].update(change))
    with pytest.raises(DataFileError, match=sentence):
        amp_tf.load_potential(saved)


def test_an_order_that_the_weights_do_not_have(tmp_path):
    make("AMP(1)", "float32").save(tmp_path / "model.keras")
    for order, sentence in ((10**9, "max_order must be at most 10"), (9, "do not fit|it holds")):
        rewrite_config(tmp_path / "model.keras", lambda config, order=order: config["config"].update(max_order=order))
        with pytest.raises(DataFileError, match=sentence):
            amp_tf.load_potential(tmp_path / "model.keras")


def test_a_part_that_unpacks_to_much_more(saved):
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in ("config.json", "model.weights.h5", "more"):
        with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
            for part, content in (parts | {name: b" " * 50_000_000}).items():
                archive.writestr(part, content)
        with pytest.raises(DataFileError, match=r"larger than any potential|declares 5.*bytes, but holds"):
            amp_tf.load_potential(saved)


def rewrite_weights(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change(file, "embedding/vars/0")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"model.weights.h5": weights.getvalue()}).items():
            archive.writestr(name, content)


def replaced(make_dataset):
    def change(file, name):
        shape = file[name].shape
        del file[name]
        make_dataset(file, name, shape)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            replaced(lambda file, name, shape: file.create_dataset(name, (10**6, 10**6), "<f4", chunks=(1, 100))),
            "the data set is not whole",
        ),
        (replaced(lambda file, name, shape: file.create_dataset(name, shape, "<f4", external=[("secret.bin", 0, 10**6)])), "is not whole"),
        (replaced(lambda file, name, shape: file.create_dataset(name, shape, "<i4", data=np.zeros(shape))), "is not whole"),
        (replaced(lambda file, name, shape: file.__setitem__(name, h5py.ExternalLink("secret.h5", "x"))), "a link to somewhere else"),
        (replaced(lambda file, name, shape: file.__setitem__(name, h5py.SoftLink("/embedding/vars/1"))), "a link to somewhere else"),
        (replaced(lambda file, name, shape: None), "it holds .* weights, not"),
        (lambda file, name: file.create_dataset("more", data=np.zeros(3)), "it holds .* weights, not"),
        (lambda file, name: file[name].write_direct(np.full(file[name].shape, np.nan, "f4")), "weights of the potential are NaN"),
    ],
)
def test_weights_in_a_file(saved, change, sentence):
    rewrite_weights(saved, change)
    with pytest.raises(DataFileError, match=sentence):
        amp_tf.load_potential(saved)


@pytest.mark.parametrize("path", [3, None, ["model.keras"], b"model.keras"])
def test_what_is_no_path(path):
    with pytest.raises(InputError, match=r"takes the path of a \.keras file"):
        amp_tf.load_potential(path)


def test_another_ending_or_no_file(saved, tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    for name, sentence in (("pipe.keras", "a device or pipe, no regular file"), (".", "a folder, no file"), ("x" * 300, "no such file")):
        with pytest.raises(DataFileError, match=sentence):
            amp_tf.load_potential(tmp_path / name)
    saved.rename(tmp_path / "model.h5")
    with pytest.raises(DataFileError, match=r"the ending of a saved potential is \.keras"):
        amp_tf.load_potential(tmp_path / "model.h5")


def test_places_and_forms_that_cannot_be(tmp_path):
    potential = make("AMP(1)", "float64")
    with pytest.raises(InputError, match="a potential is one file; leave zipped=False"):
        potential.save(tmp_path / "d.keras", zipped=False)
    with pytest.raises(InputError, match=r"weights are saved to a path that ends in \.weights\.h5"):
        potential.save_weights(tmp_path / "d.h5")
    with pytest.raises(AmpTFError, match=r"/proc/none\.weights\.h5"):
        potential.save_weights("/proc/none.weights.h5")
    assert not list(tmp_path.iterdir())
    potential.save_weights(tmp_path / "d.weights.h5")
    with pytest.raises(InputError, match="is there already"):
        potential.save_weights(tmp_path / "d.weights.h5", overwrite=False)
    potential.load_weights(tmp_path / "d.weights.h5")


def test_a_graph_of_arrays_has_gradients_as_one_of_tensors(dimer):
    potential = make("AMP(1)", "float64")
    graph = potential.build_graph([dimer])
    found = potential.with_gradients(graph)
    np.testing.assert_array_equal(found["qm_gradients"], potential.with_gradients(type(graph)(*map(tf.constant, graph)))["qm_gradients"])


def test_another_precision(saved, dimer):
    arguments = (dimer.atomic_numbers, dimer.positions)
    single, double = amp_tf.load_potential(saved), amp_tf.load_potential(saved, dtype="float64")
    assert (single.compute_dtype, double.compute_dtype) == ("float32", "float64")
    assert double.get_config() == single.get_config() | {"dtype": "float64"}
    for weights, same in zip(double.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)
    assert double.compute(*arguments)["energy"] == pytest.approx(single.compute(*arguments)["energy"], rel=1e-5)
    with pytest.raises(InputError, match="dtype must be one of float32, float64"):
        amp_tf.load_potential(saved, dtype="float16")


def test_where_a_potential_cannot_be_saved(tmp_path):
    potential = make("GNN", "float32")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.keras").mkdir()
    for path, error, sentence in (
        (tmp_path / "model.h5", InputError, "ends in .keras"),
        (tmp_path / "model", InputError, "ends in .keras"),
        (3, InputError, "ends in .keras"),
        ("", InputError, "ends in .keras"),
        (tmp_path / "file" / "model.keras", AmpTFError, "is no folder"),
        (tmp_path / "folder.keras", AmpTFError, "is a folder"),
        (tmp_path / f"{'x' * 300}.keras", AmpTFError, "the name is too long"),
    ):
        with pytest.raises(error, match=sentence):
            potential.save(path)
    potential.save(str(tmp_path / "model.keras"))
    with pytest.raises(InputError, match="is there already"):
        potential.save(tmp_path / "model.keras", overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.keras", "model.keras"]


def test_a_pickled_potential_is_the_same(dimer):
    potential, arguments = make("AMP(1)", "float64"), (dimer.atomic_numbers, dimer.positions)
    assert pickle.loads(pickle.dumps(potential)).compute(*arguments)["energy"] == potential.compute(*arguments)["energy"]


FORKED = """
import sys, multiprocessing
import numpy as np
import amp_tf
potential = amp_tf.load_potential(sys.argv[1])
arguments = np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0.76, 0, -0.59], [-0.76, 0, -0.59]])
potential.compute(*arguments)
def inherited(number):
    return potential.compute(*arguments)["energy"]
def loaded(number):
    return amp_tf.load_potential(sys.argv[1]).compute(*arguments)["energy"]
with multiprocessing.get_context("fork").Pool(2) as pool:
    for work in (inherited, loaded):
        try:
            pool.map(work, range(2))
        except amp_tf.errors.AmpTFError as error:
            print(error)
    try:
        pool.starmap(potential.compute, [arguments] * 2)
    except amp_tf.errors.AmpTFError as error:
        print(error)
"""


def test_forked_processes_say_that_they_cannot_compute(saved):
    finished = subprocess.run([sys.executable, "-c", FORKED, str(saved)], capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("was forked after TensorFlow ran") == finished.stdout.count("get_context('spawn')") == 3
    assert "cannot be read" not in finished.stdout  # the file is not to blame


def test_other_units(saved):
    rewrite_config(saved, lambda config: config["config"]["units"].update(energy="eV"))
    with pytest.raises((DataFileError, InputError), match="units"):
        amp_tf.load_potential(saved)
