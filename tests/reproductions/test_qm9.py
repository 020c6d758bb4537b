"""Table 3 in its smoke preset, on molecules that are made up, and what it trains."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from amp_tf import units
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import AmpTFError, DataFileError, InputError
from amp_tf.models import load_potential
from amp_tf.targets import TARGET_UNITS
from amp_tf.training import make_config
from common import paper
from figures.table3 import draw
from reproductions import qm9, shipped_qm9, table3
from reproductions.folders import RESULTS
from tests.training.test_targets import NUMBERS, POSITIONS

PROVENANCE = Provenance(engine="test", engine_version="1", level_of_theory="test", builder_command="", random_seed=0, energy_reference="0")


@pytest.fixture(scope="module")
def molecules(tmp_path_factory):
    """Sixty bent molecules whose properties follow their C=O bond, all but U0, which tells them apart."""
    random = np.random.default_rng(0)
    positions = POSITIONS + 0.05 * random.normal(size=(60, 4, 3))
    bonds = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
    path = tmp_path_factory.mktemp("qm9") / "qm9.h5"
    targets = dict.fromkeys(TARGET_UNITS, bonds) | {"u0": 10.0 * np.arange(60)}
    write_reference_data(path, PROVENANCE, (FrameGroup("CH2O", NUMBERS, positions, bonds, targets=targets),))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("table3")


@pytest.fixture(scope="module")
def result(molecules, folder):
    return json.loads(qm9.reproduce("smoke", None, molecules, folder / "runs", folder / "results").read_text())


@pytest.fixture(scope="module")
def weights(result, molecules, folder):
    """What ships of the smoke runs."""
    shutil.copy(molecules, folder / "runs" / "qm9.h5")
    written = shipped_qm9.ship_weights(folder / "runs", folder / "weights", "smoke", molecules)
    assert [path.name for path in written] == ["HOMO.keras", "mu.keras", shipped_qm9.TRAINED_ON]
    return folder / "weights"


def test_every_model_and_number_of_molecules_has_its_error(result):
    found = {(row["target"], row["model"], row["n_train"]) for row in result["rows"] if row["metric"] == "test_mae"}
    whole = {(target, model, 40) for target in ("HOMO", "mu") for model in ("AMP(3)", "PaiNN")}
    assert found == whole | {("HOMO", "AMP(3)", 20), ("mu", "AMP(3)", 20)}
    published = {(row["target"], row["model"]): row["published"] for row in result["rows"] if row["metric"] == "test_mae"}
    assert published["HOMO", "AMP(3)"] == 13.3
    assert published["mu", "PaiNN"] == 12.0


def test_validation_while_training_ends_as_the_finished_run(result):
    for model in ("AMP(3)", "PaiNN"):
        rows = [row for row in result["rows"] if (row["target"], row["model"], row["n_train"]) == ("HOMO", model, 40)]
        curve = {row["step"]: row["value"] for row in rows if row["metric"] == "validation_mae_while_training"}
        assert list(curve) == [10, 20]
        assert curve[20] == pytest.approx(next(row["value"] for row in rows if row["metric"] == "validation_mae"), rel=1e-4)
        assert curve[10] != curve[20]


def test_errors_are_in_the_papers_units(result):
    """1 kJ/mol is 10.364 meV, and 1 e*angstrom 4.803 D."""
    null = {row["target"]: row["value"] for row in result["rows"] if row["metric"] == "null_model_test_mae" and row["n_train"] == 40}
    spread = null["HOMO"] * units.EV / 1000.0
    assert 0.02 < spread < 0.1  # of bonds that vary by 0.07
    assert null["mu"] * units.DEBYE / 1000.0 == pytest.approx(spread)
    assert set(qm9.TARGETS) == set(paper.TABLE_3)
    assert set(qm9.TARGETS.values()) == set(TARGET_UNITS)


def test_the_table_and_the_figure(result, tmp_path):
    text = table3.table(result["rows"])
    line = next(line for line in text.splitlines() if line.startswith("| HOMO"))
    assert "| 13.3" in line
    assert line.count("|") == 2 + 1 + len(paper.TABLE_3_MODELS) + 2 + 1
    assert all(path.stat().st_size > 5000 for path in draw(result, tmp_path))
    assert draw(result | {"rows": [row for row in result["rows"] if row["n_train"] == 40]}, tmp_path) == []


def test_what_ships_answers_on_molecules_that_did_not_train_it(weights, molecules, result, tmp_path):
    answered = json.loads(shipped_qm9.answer(["HOMO", "mu", "U0"], weights, molecules, tmp_path).read_text())
    found = {(row["target"], row["part"]): row["value"] for row in answered["rows"] if row["metric"] == "test_mae"}
    who = {"target": "HOMO", "model": "AMP(3)", "n_train": 40}
    errors = {row["metric"]: row["value"] for row in result["rows"] if who.items() <= row.items()}
    assert found["HOMO", shipped_qm9.FULL] == pytest.approx(errors["test_mae"])
    validated_and_tested = (8 * errors["validation_mae"] + 12 * errors["test_mae"]) / 20  # all those that did not train it
    assert found["HOMO", shipped_qm9.SHIPPED] == pytest.approx(validated_and_tested, rel=1e-4)
    assert found["U0", shipped_qm9.FULL] is None
    text = shipped_qm9.table(answered["rows"])
    assert "computed now, 20 of 60 in" in text
    assert text.count("not shipped: RETRAIN=1 trains it") == 1


def test_the_potentials_that_ship(tmp_path):
    """Their recorded errors are those of the result file, and they know small molecules better than the null model."""
    trained = json.loads((RESULTS / "table3.laptop.json").read_text())["rows"]
    answered = json.loads(shipped_qm9.answer(None, results=tmp_path).read_text())
    found = {(row["target"], row["part"], row["metric"]): row["value"] for row in answered["rows"] if row["value"] is not None}
    assert {target for target, *_ in found} == set(qm9.CURVE_TARGETS)
    for target in qm9.CURVE_TARGETS:
        who = {"target": target, "model": "AMP(3)", "n_train": 18_000, "metric": "test_mae"}
        recorded = next(row["value"] for row in trained if who.items() <= row.items())
        assert found[target, shipped_qm9.FULL, "test_mae"] == pytest.approx(recorded, rel=0.02)
        errors = (found[target, shipped_qm9.SHIPPED, metric] for metric in ("test_mae", "null_model_test_mae"))
        assert next(errors) < next(errors)
    potential = load_potential(shipped_qm9.FOLDER / "mu.keras")
    water = potential.compute([8, 1, 1], [[0.0, 0.0, 0.12], [0.0, 0.76, -0.47], [0.0, -0.76, -0.47]])
    assert set(water) >= {"mu", "unit"}
    assert "qm_gradients" not in water
    assert water["mu"] / units.DEBYE == pytest.approx(1.85, abs=0.8)


def test_where_nothing_ships_it_says_so(molecules, tmp_path):
    answered = json.loads(shipped_qm9.answer(None, tmp_path, molecules, tmp_path).read_text())
    assert len(answered["rows"]) == len(qm9.TARGETS)
    assert answered["differs"].startswith("Nothing of it ships")


def test_molecules_that_trained_are_known_by_atoms_and_energy(molecules):
    data = qm9.read_reference_data(molecules)
    assert shipped_qm9.numbers_of_known(data, data, np.array([3, 5])) == [3, 5]

    def sample(**changes):
        return replace(data, groups=(replace(data.groups[0], **changes),))

    for other, expected in (([6, 8, 1, 9], []), ([8, 6, 1, 1], [3, 5])):
        assert shipped_qm9.numbers_of_known(sample(qm_atomic_numbers=np.array(other)), data, np.array([3, 5])) == expected
    for shift, expected in ((0.9, [3, 5]), (1.1, [])):
        shifted = sample(targets=data.groups[0].targets | {"u0": data.groups[0].targets["u0"] + shift})
        assert shipped_qm9.numbers_of_known(shifted, data, np.array([3, 5])) == expected


def test_runs_of_another_configuration_or_damaged_ones_are_not_shipped(weights, molecules, folder, tmp_path, monkeypatch):
    runs, shipped = shutil.copytree(folder / "runs", tmp_path / "runs"), shutil.copytree(weights, tmp_path / "weights")
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}

    def ship(sample=molecules):
        return shipped_qm9.ship_weights(runs, shipped, "smoke", sample)

    with pytest.raises(InputError, match=r"python -m datasets\.qm9_like build --output .*nowhere\.h5 makes it"):
        ship(tmp_path / "nowhere.h5")
    with monkeypatch.context() as patch:
        patch.setitem(qm9.PRESETS, "smoke", replace(qm9.PRESETS["smoke"], learning_rate=2e-3))
        with pytest.raises(InputError, match="learning_rate"):
            ship()
    (file,) = runs.glob("qm9/smoke/*/mu-AMP3-40/potential.keras")
    file.unlink()
    with pytest.raises(AmpTFError, match=r"potential\.keras"):
        ship()
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == before
    assert shipped_qm9.ship_weights(tmp_path / "none", shipped, "smoke", molecules) == []


def test_what_cannot_be_answered(weights, molecules, tmp_path):
    with pytest.raises(InputError, match="unknown target 'homo'; Table 3 has U0"):
        shipped_qm9.answer(["homo"], weights, molecules, tmp_path)
    altered = shutil.copytree(weights, tmp_path / "weights")
    record = json.loads((altered / shipped_qm9.TRAINED_ON).read_text())
    for key in ("data_sha256", "sample_sha256"):
        (altered / shipped_qm9.TRAINED_ON).write_text(json.dumps(record | {key: "another"}))
        with pytest.raises(InputError, match="do not belong together; take all from the repository"):
            shipped_qm9.answer(["HOMO"], altered, molecules, tmp_path)
    (altered / shipped_qm9.TRAINED_ON).write_text("{")
    with pytest.raises(DataFileError, match=r"trained_on\.json: missing or damaged"):
        shipped_qm9.answer(["HOMO"], altered, molecules, tmp_path)


@pytest.mark.parametrize("preset", qm9.PRESETS)
def test_configurations_are_valid(preset, molecules):
    data = qm9.read_reference_data(molecules)
    for job in qm9.jobs_of(preset):
        settings = qm9.configuration(job, preset, data)
        of_amp = {"laptop": 0.1}.get(preset, 1e-4) if job.model == "AMP(3)" else None
        assert settings["model"].get("coefficient_scale") == of_amp
        settings["split"] = {"train": 0.5, "validation": 0.2}
        config = make_config(settings)
        assert config.model["type"] == job.model.removesuffix("(3)")
    sizes = qm9.MODELS["AMP(3)"] | qm9.PRESETS["paper"].changes
    assert sizes == {"type": "AMP", "max_order": 3, "n_layers": 4, "coefficient_scale": 1e-4}  # the widths of the paper are the defaults


def test_the_same_molecules_train_all_models(molecules):
    data = qm9.read_reference_data(molecules)
    jobs = [job for job in qm9.jobs_of("smoke") if job.n_train == 40]
    splits = [make_config(qm9.configuration(job, "smoke", data)).split for job in jobs]
    assert len(set(map(repr, splits))) == 1
    parts = splits[0].assign(data.frame_groups)
    assert (len(parts["train"]), len(parts["validation"]), len(parts["test"])) == (40, 8, 12)


@pytest.mark.parametrize(
    ("preset", "targets", "complaint"),
    [
        ("laptop", None, "holds 60 molecules, PRESET=laptop needs more than 19000"),
        ("smoke", ["homo"], "unknown target 'homo'; Table 3 has, with PRESET=smoke, HOMO, mu"),
        ("smoke", ["U0"], "unknown target 'U0'; Table 3 has, with PRESET=smoke, HOMO, mu"),
    ],
)
def test_what_cannot_be_trained(molecules, tmp_path, preset, targets, complaint):
    with pytest.raises(InputError, match=complaint):
        qm9.reproduce(preset, targets, molecules, tmp_path, tmp_path)


def test_without_data_it_says_what_makes_them(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nowhere\.h5 is not there; give a file that amp-tf convert"):
        qm9.reproduce("laptop", None, tmp_path / "nowhere.h5", tmp_path, tmp_path)
    monkeypatch.setattr(qm9, "RUNS", tmp_path)
    with pytest.raises(InputError, match="make dataset-qm9 makes it"):
        qm9.reproduce("laptop", ["HOMO"], None, tmp_path, tmp_path)


def test_only_the_chosen_targets_are_needed(molecules, tmp_path):
    data = qm9.read_reference_data(molecules)
    groups = (replace(data.groups[0], targets={"homo": data.groups[0].targets["homo"]}, target_units={}),)
    write_reference_data(tmp_path / "homo.h5", PROVENANCE, groups)
    assert qm9.data_of("smoke", tmp_path / "homo.h5", qm9.jobs_of("smoke", ["HOMO"])).target_names == ["homo"]
    with pytest.raises(InputError, match="lacks mu; give a file that has it, or choose others by --targets"):
        qm9.data_of("smoke", tmp_path / "homo.h5", qm9.jobs_of("smoke"))
