"""A saved potential is the same potential in a fresh process, and what is none is refused in one sentence."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import amp_tf
from amp_tf.errors import DataFileError, InputError
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


def test_a_class_that_this_version_does_not_know(saved):
    rewrite_config(saved, lambda config: config.update(registered_name="amp_tf>Future", class_name="Future"))
    with pytest.raises(DataFileError, match="cannot be read"):
        amp_tf.load_potential(saved)


def test_other_units(saved):
    rewrite_config(saved, lambda config: config["config"]["units"].update(energy="eV"))
    with pytest.raises((DataFileError, InputError), match="units"):
        amp_tf.load_potential(saved)
