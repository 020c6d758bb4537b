"""Tables 1 and 2 at once: shipping from runs of no steps, and evaluating what was shipped."""

import hashlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.pipeline import Frames
from amp_tf.errors import DataFileError, InputError
from amp_tf.models import load_potential
from amp_tf.training.config import make_config
from amp_tf.training.evaluation import evaluate
from amp_tf.training.run import make_potential
from common import paper
from common.results import ROOT
from datasets.qmmm_solutes import SHIPPED_FILE
from reproductions import folders, shipped_solutes, solutes, table1, table2
from reproductions.entry import solutes_app
from reproductions.shipped_solutes import FULL, SHIPPED, ship_weights

RUNS = (
    solutes.Job(1, "Uracil", "unshuffled"),
    solutes.Job(1, "Uracil", "shuffled"),
    solutes.Job(2, "Uracil", cutoff=30.0),
    solutes.Job(2, "Uracil", cutoff=50.0),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What finished runs of uracil leave, of potentials that were not trained."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(SHIPPED_FILE, folder / "uracil.h5")
    for job in RUNS:
        finish(job, read_reference_data(folder / "uracil.h5"), folder)
    return folder


def finish(job, data, folder):
    config = make_config(solutes.configuration(job, "smoke", folder / "uracil.h5"))
    keras.utils.set_random_seed(0)
    parts, frames = config.split.assign(data.frame_groups), Frames.from_reference_data(data)
    potential = make_potential(config, data, frames[parts["train"]])
    mean_energy = np.mean(data.groups[0].energies[parts["train"]])
    metrics = [{"split": "test", **entry} for entry in evaluate(potential, frames[parts["test"]], mean_energy)]
    potential.provenance |= {"training_seconds": 1.0, "errors": metrics}
    run = solutes.run_folder(job, "smoke", data.sha256, folder)
    run.mkdir(parents=True)
    potential.save(run / "potential.keras")
    (run / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def shipped(runs, tmp_path_factory):
    """The folder that they ship to."""
    folder = tmp_path_factory.mktemp("shipped")
    ship_weights(runs, folder, "smoke")
    return folder


@pytest.fixture
def copy(shipped, tmp_path):
    """A copy of that folder to damage."""
    return shutil.copytree(shipped, tmp_path / "shipped")


def errors_of(result, part):
    return {
        (row["system"], row["ordering"], row["cutoff"], row["metric"]): row["value"] for row in result["rows"] if row.get("part") == part
    }


def checksums():
    folders = (ROOT / "reproductions", ROOT / "figures", ROOT / "datasets")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_finished_runs_ship(shipped):
    names = {"uracil.keras", "uracil.md", "uracil-unshuffled.keras", "uracil_test.h5"}
    assert {path.name for path in shipped.iterdir()} == names | {"uracil-table2-30.keras", "uracil-table2-50.keras"}
    assert "Not trained to the end" in (shipped / "uracil.md").read_text()


def without(run, runs, folder):
    """A copy of the runs that lacks one."""
    shutil.copytree(runs, folder)
    shutil.rmtree(next((folder / "solutes" / "smoke").glob(run)))
    return folder


def test_leftovers_of_an_unfinished_run_go(runs, copy, tmp_path):
    names = {path.name for path in copy.iterdir()}
    ship_weights(without("table1/Uracil-unshuffled*", runs, tmp_path / "runs"), copy, "smoke")
    assert names - {path.name for path in copy.iterdir()} == {"uracil-unshuffled.keras"}


@pytest.mark.parametrize(("missing", "table"), [("table1/Uracil-shuffled*", "2"), ("table2/Uracil-shuffled-30*", "1")])
def test_each_table_ships_when_its_runs_are_finished(missing, table, runs, copy, tmp_path):
    before = sorted(copy.iterdir())
    written = ship_weights(without(missing, runs, tmp_path / "runs"), copy, "smoke")
    assert written
    assert {"table2" in path.name for path in written} == {table == "2"}
    assert sorted(copy.iterdir()) == before


def test_the_frames_that_ship_are_those_of_the_test_parts(shipped):
    data, frames = read_reference_data(SHIPPED_FILE), read_reference_data(shipped / "uracil_test.h5")
    settings = frames.provenance.settings
    assert (settings["data_sha256"], settings["data_frames"]) == (data.sha256, 50)
    assert settings["frames"] == {
        "shuffled": np.sort(np.random.default_rng(0).permutation(50)[45:]).tolist(),
        "unshuffled": [*range(45, 50)],
    }
    for group in frames.groups:
        original = data.groups[0].subset(settings["frames"][group.name])
        for name, array in group.arrays().items():
            np.testing.assert_allclose(array, original.arrays()[name], rtol=0, atol=2.0**-15 if name.startswith("mm_") else 0)


def test_frames_are_spread_over_the_test_part():
    data = SimpleNamespace(source="data.h5", frame_groups=["uracil"] * 1000)
    last, shuffled = (
        shipped_solutes.test_frames(solutes.Job(1, "Uracil", ordering), "laptop", data) for ordering in ("unshuffled", "shuffled")
    )
    assert (last[0], last[-1], len(last)) == (900, 999, shipped_solutes.N_FRAMES)
    assert set(np.diff(last)) == {5, 6}
    assert len(shuffled) == shipped_solutes.N_FRAMES
    assert set(shuffled) <= set(np.random.default_rng(0).permutation(1000)[900:])
    assert set(shuffled) <= set(np.random.default_rng(0).permutation(1000)[700:]), "Table 2 tests on them too"
    assert np.all(np.histogram(shuffled, 4, (0, 1000))[0] > 0)


def test_table1_at_once(shipped, runs, tmp_path):
    """The file holds all five test frames, so that both errors are the same."""
    before = checksums()
    path = table1.answer(["Uracil", "RA"], shipped, tmp_path)
    assert checksums() == before
    assert (path.parent, path.name) == (tmp_path, "table1-Uracil-RA.laptop.json")
    result = json.loads(path.read_text())
    full, now = errors_of(result, FULL), errors_of(result, SHIPPED)
    for job in RUNS[:2]:
        run = solutes.run_folder(job, "smoke", read_reference_data(SHIPPED_FILE).sha256, runs)
        for entry in json.loads((run / "metrics.json").read_text()):
            assert full["Uracil", job.ordering, None, entry["metric"]] == entry["value"]
            assert full["Uracil", job.ordering, None, f"null_{entry['metric']}"] == entry["null_model"]
            assert now["Uracil", job.ordering, None, entry["metric"]] == pytest.approx(entry["value"], rel=1e-3)
    published = {row["ordering"]: row["published"] for row in result["rows"] if (row["system"], row["metric"]) == ("Uracil", "energy_mae")}
    assert published == {ordering: paper.TABLE_1["Uracil"][ordering]["energy"][2] for ordering in ("unshuffled", "shuffled")}
    record = result["data"]["Uracil"]
    assert record["sha256"] == read_reference_data(shipped / "uracil_test.h5").sha256
    assert record["data_sha256"] == read_reference_data(SHIPPED_FILE).sha256
    check_text(table1.text_of_answer(result["rows"]))


def check_text(text):
    of_uracil, of_ra = ([line for line in text.splitlines() if line.startswith(f"| {name} ")] for name in ("Uracil", "RA"))
    assert len(of_uracil) == 10  # ours twice, published, null model, and what the literature has for one ordering
    assert sum("computed now, 5 frames of uracil_test.h5" in line for line in of_uracil) == 2
    assert sum("training run, recorded in uracil" in line for line in of_uracil) == 4
    assert [shipped_solutes.NOT_SHIPPED in line for line in of_ra] == [True, False] * 2
    assert "HDNNP" in text


def test_table2_at_once(shipped, tmp_path):
    result = json.loads(table2.answer(["Uracil"], shipped, tmp_path).read_text())
    now = errors_of(result, SHIPPED)
    assert now["Uracil", "shuffled", 50.0, "mm_gradients_mae"] > 0
    assert now["Uracil", "shuffled", None, "mm_gradients_mae"] != now["Uracil", "shuffled", 50.0, "mm_gradients_mae"]
    text = table2.text_of_answer(result["rows"])
    assert all(words in text for words in (solutes.NEAR_AND_FAR, "recorded in uracil-table2-50.keras", "pairs, %"))


def test_potentials_of_table2_may_be_of_other_frames_of_the_same_theory(copy, tmp_path):
    """Of Table 1 they may not: its frames are those of the potential's test part."""
    path = copy / "uracil-table2-50.keras"
    with_provenance(path, data_sha256="0" * 64)
    result = json.loads(table2.answer(["Uracil"], copy, tmp_path).read_text())
    frames = {row["cutoff"]: row["value"] for row in result["rows"] if row["metric"] == "frames"}
    assert frames == {30.0: 50, 50.0: None, None: 50}
    assert table2.text_of_answer(result["rows"]).count("not of its own trajectory") == 1
    with_provenance(path, level_of_theory="PBE")
    with pytest.raises(InputError, match="holds frames of other data than"):
        table2.answer(["Uracil"], copy, tmp_path)


def with_provenance(path, **changes):
    potential = load_potential(path)
    potential.provenance |= changes
    potential.save(path)


def test_near_and_far_is_of_these_data_or_ships_with_the_same_theory(runs, copy):
    data = read_reference_data(runs / "uracil.h5")
    own, ships = (table2.near_and_far("Uracil", "smoke", data, folder, copy) for folder in (runs, copy))
    assert own.provenance == ships.provenance
    other = replace(data, provenance=data.provenance.model_copy(update={"level_of_theory": "PBE"}))
    assert table2.near_and_far("Uracil", "smoke", other, copy, copy) is None
    assert table2.near_and_far("Uracil", "smoke", data, copy, runs) is None
    assert table2.near_and_far("Uracil", "paper", data, runs, copy) is None


def test_nothing_that_ships_is_said(tmp_path):
    result = json.loads(table2.answer(solutes.PAPER_SYSTEMS, tmp_path / "none", tmp_path).read_text())
    assert result["differs"] == "Nothing of Table 2 ships: RETRAIN=1 builds the data and trains."
    assert {row["value"] for row in result["rows"]} == {None}
    assert table2.text_of_answer(result["rows"]).count(shipped_solutes.NOT_SHIPPED) == 9


def test_missing_frames_and_errors_are_said(copy, tmp_path):
    (copy / "uracil_test.h5").unlink()
    potential = load_potential(copy / "uracil.keras")
    del potential.provenance["errors"]
    potential.save(copy / "uracil.keras")
    text = table1.text_of_answer(json.loads(table1.answer(["Uracil"], copy, tmp_path).read_text())["rows"])
    assert text.count("no frames ship: RETRAIN=1 builds the data") == 2
    assert "not recorded in uracil.keras: RETRAIN=1 trains it" in text


def test_altered_frames_are_refused(copy, tmp_path):
    with h5py.File(copy / "uracil_test.h5", "r+") as file:
        file["shuffled/energies"][0] += 1.0
    with pytest.raises(DataFileError, match="the content was altered"):
        table1.answer(["Uracil"], copy, tmp_path)


def test_frames_of_other_data_are_refused(copy, tmp_path):
    frames = read_reference_data(copy / "uracil_test.h5")
    other = frames.provenance.model_copy(update={"settings": frames.provenance.settings | {"data_sha256": "0" * 64}})
    write_reference_data(copy / "uracil_test.h5", other, frames.groups)
    with pytest.raises(InputError, match=r"uracil_test\.h5 holds frames of other data than .*uracil-unshuffled\.keras was trained on"):
        table1.answer(["Uracil"], copy, tmp_path)


def test_results_at_once_go_where_git_ignores_them():
    assert folders.AT_ONCE.parent == ROOT / "runs"
    assert "runs/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("arguments", "retrain", "expected"),
    [
        ([], "", "answer"),
        ([], "0", "answer"),
        ([], "1", "reproduce"),
        (["--retrain"], "", "reproduce"),
        (["--preset", "smoke"], "", "reproduce"),
        (["--data", "Uracil=my.h5"], "", "reproduce"),
    ],
)
def test_retrain_decides_what_the_command_does(arguments, retrain, expected, tmp_path):
    path, calls = tmp_path / "result.json", []
    path.write_text(json.dumps({"rows": [], "differs": ""}))

    def does(name):
        return lambda *given: (calls.append(name), path)[1]

    app = solutes_app(1, does("reproduce"), lambda result: [], str, does("answer"), str)
    result = CliRunner().invoke(app, arguments, env={"RETRAIN": retrain})
    assert (result.exit_code, calls) == (0, [expected]), result.output
