"""The folder of a run: damaged and exchanged files are noticed, a damaged checkpoint gives way to the one before, one run at a time."""

import json
import shutil
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import yaml

import amp_tf
from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.errors import DataFileError, InputError
from amp_tf.files import locked, sha256_of
from amp_tf.training import callbacks, make_config, train
from amp_tf.training.callbacks import read_history
from amp_tf.training.run import BEST, RUN_FILES, compile_potential
from datasets.water_dimer import SHIPPED_FILE

MODEL = {"type": "GNN", "cutoff": 8.0, "n_layers": 1, "n_features": 4, "n_radial": 4}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    data = read_reference_data(SHIPPED_FILE)
    path = tmp_path_factory.mktemp("data") / "dimer.h5"
    write_reference_data(path, data.provenance, (data.groups[0].subset(np.arange(0, 360, 30)),))
    settings = {"data": str(path), "model": MODEL, "split": {"kind": "alternating"}, "steps": 4, "interval": 2, "batch_size": 2}
    return make_config(settings)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """The folder of a finished run whose last checkpoints are of steps 4 and 2."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        train(config, folder, progress=False)
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="module")
def potential(config):
    """As the run's before its first step."""
    keras.utils.set_random_seed(0)
    settings = {key: value for key, value in MODEL.items() if key != "type"}
    potential = amp_tf.GNN(("H", "O"), **settings)
    compile_potential(potential, config, ("energy",))
    return potential


def restored(potential, folder) -> int:
    checkpoint = callbacks.Checkpoint(folder, 2, 4)
    checkpoint.set_model(potential)
    return checkpoint.restore()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*")}


def flip(path, position, bit=0):
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= 1 << bit
    path.write_bytes(bytes(data))


def test_a_run_leaves_its_files_and_no_others(finished):
    assert {path.name for path in finished.iterdir()} == set(RUN_FILES) - {BEST}
    sums = (finished / "checkpoint.sha256").read_text().split()
    assert sums == [sha256_of(finished / name) for name in ("checkpoint.weights.h5", "previous.weights.h5")]
    (digest,) = {row["potential_sha256"] for row in json.loads((finished / "metrics.json").read_text())}
    assert digest == sha256_of(finished / "potential.keras")


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_the_same_potential(config, finished, run):
    for name in ("potential.keras", "metrics.json"):
        (run / name).unlink()
    flip(run / "checkpoint.weights.h5", 5000)
    with pytest.warns(UserWarning, match=r"checkpoint\.weights.h5 is damaged: going on from the checkpoint before it"):
        result = train(config, run, progress=False)
    whole = amp_tf.load_potential(finished / "potential.keras")
    for found, wanted in zip(result.potential.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [row["step"] for row in result.history] == [2, 4]


def test_every_flipped_bit_of_a_checkpoint_is_noticed(potential, run, random):
    good = content(run)
    for _ in range(30):
        flip(run / "checkpoint.weights.h5", int(random.integers(2**40)), int(random.integers(8)))
        with pytest.warns(UserWarning, match="is damaged: going on from the checkpoint before it"):
            assert restored(potential, run) == 2
        assert restored(potential, run) == 2  # which has taken its place
        for name, data in good.items():
            (run / name).write_bytes(data)
    assert restored(potential, run) == 4


def edit(key, value):
    def damage(path):
        with h5py.File(path, "r+") as file:
            file[key][...] = value

    return damage


ITERATIONS = "optimizer/vars/0"
DAMAGES = {
    "negative": edit(ITERATIONS, -5),
    "between": edit(ITERATIONS, 3),
    "beyond": edit(ITERATIONS, 6),
    "nan": edit("optimizer/vars/2", np.nan),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no weights"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:3000]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_checkpoints_are_refused_with_and_without_sha256(potential, run, damage):
    damage(run / "checkpoint.weights.h5")
    damage(run / "previous.weights.h5")
    with pytest.raises(DataFileError, match=r"checkpoint\.weights.h5: damaged \(not of the recorded sha256\); remove the run folder"):
        restored(potential, run)
    (run / "checkpoint.sha256").unlink()
    with pytest.warns(UserWarning, match="no sha256"), pytest.raises(DataFileError, match=r"checkpoint\.weights\.h5: damaged"):
        restored(potential, run)


@pytest.mark.parametrize("content", [b"", b"\0" * 130, b"text"])
def test_damaged_sums_beside_whole_checkpoints_cost_no_run(potential, run, content):
    (run / "checkpoint.sha256").write_bytes(content)
    with pytest.raises(DataFileError, match=r"checkpoint\.sha256: damaged; remove this file to go on from checkpoint\.weights\.h5"):
        restored(potential, run)
    (run / "checkpoint.sha256").write_text(f"{'a' * 64}\n{'b' * 64}\n")
    with pytest.raises(DataFileError, match=r"if only checkpoint\.sha256 is damaged, that file to go on unchecked"):
        restored(potential, run)
    (run / "checkpoint.sha256").unlink()
    with pytest.warns(UserWarning, match="no sha256"):
        assert restored(potential, run) == 4


def test_a_run_of_version_01_goes_on_with_a_warning(potential, run, monkeypatch):
    for name in ("previous.weights.h5", "checkpoint.sha256"):
        (run / name).unlink()
    with pytest.warns(UserWarning, match="has no sha256 beside it"):
        assert restored(potential, run) == 4


@pytest.mark.parametrize("lacks", ["checkpoint.weights.h5", "previous.weights.h5"])
def test_a_kill_between_two_renames_leaves_a_checkpoint(potential, run, lacks):
    (run / lacks).unlink()
    assert restored(potential, run) == (2 if lacks == "checkpoint.weights.h5" else 4)


def test_a_full_disk_keeps_the_checkpoint(potential, run, monkeypatch):
    checkpoint = callbacks.Checkpoint(run, 2, 4)
    checkpoint.set_model(potential)
    checkpoint.restore()
    before = content(run)

    def full(partial, n_bytes):
        assert n_bytes >= (run / "checkpoint.weights.h5").stat().st_size
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callbacks, "require_space", full)
    with pytest.raises(amp_tf.errors.AmpTFError, match="is full: free some space"):
        checkpoint._save()
    assert content(run) == before


def test_a_finished_run_is_reported(config, run):
    before = content(run)
    result = train(config, run, progress=False)
    assert "potential_sha256" not in result.metrics[0]
    assert content(run) == before


def test_a_run_of_version_01_is_reported_and_goes_on(tmp_path):
    """A run of 4 steps on the data beside it; without its last files it goes on from its checkpoint, which is of step 4."""
    data = Path(__file__).parent.parent / "data"
    shutil.unpack_archive(data / "version_0.1_run.zip", tmp_path / "run")
    settings = {"data": str(data / "version_0.1.h5"), "model": MODEL, "split": {"kind": "alternating"}}
    config = make_config(settings | {"steps": 4, "interval": 2, "batch_size": 2})
    result = train(config, tmp_path / "run", progress=False)
    assert [(row["split"], row["value"]) for row in result.metrics][:2] == [("train", 33.06236267089844), ("validation", 32.66578926061629)]
    for name in ("metrics.json", "potential.keras"):
        (tmp_path / "run" / name).unlink()
    with pytest.warns(UserWarning, match="has no sha256 beside it, as in version 0.1"):
        again = train(config, tmp_path / "run", progress=False)
    assert [row["step"] for row in again.history] == [2, 4]
    assert again.metrics[0]["value"] == pytest.approx(result.metrics[0]["value"], rel=1e-5)


@pytest.mark.parametrize("key", ["", "potential_sha256"])
def test_metrics_are_reported_if_the_potential_has_these_errors(config, run, key):
    """With the sha256 of the potential and, as in version 0.1, without."""
    rows = json.loads((run / "metrics.json").read_text())
    expected = [{name: value for name, value in row.items() if name != "potential_sha256"} for row in rows]
    rows = [{name: value for name, value in row.items() if name in (*expected[0], key)} for row in rows]
    (run / "metrics.json").write_text(json.dumps(rows))
    assert train(config, run, progress=False).metrics == expected
    rows[0]["value"] *= 2
    (run / "metrics.json").write_text(json.dumps(rows))
    with pytest.raises(DataFileError, match=r"metrics\.json: damaged, or the errors of another potential"):
        train(config, run, progress=False)


def test_another_potential_is_refused(config, run):
    other = amp_tf.load_potential(run / "potential.keras")
    other.save(run / "potential.keras")
    with pytest.raises(DataFileError, match=r"potential\.keras: not the potential that this run wrote; .* remove metrics.json and run"):
        train(config, run, progress=False)
    (run / "potential.keras").unlink()
    with pytest.raises(DataFileError, match=r"potential\.keras: no such file"):
        train(config, run, progress=False)


@pytest.mark.parametrize("name", sorted(set(RUN_FILES) - {"config.yaml", BEST}))
def test_files_without_a_configuration_are_no_run(config, finished, tmp_path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(finished / name, folder)
    before = content(folder)
    with pytest.raises(InputError, match=f"holds {name} but no config.yaml, so it is no run of ours; choose another run folder"):
        train(config, folder, progress=False)
    assert content(folder) == before


BAD = {
    "empty": b"",
    "binary": b"\x00\xff\xfe\n\x80\n",
    "cut": b'[{"split": "tr\n',
    "other": b'{"a": 1}\n',
    "null": b"null\n",
    "deep": b"[" * 5000 + b"\n",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", ["metrics.json", "history.jsonl", "config.yaml", "potential.keras"])
def test_damaged_files_of_a_finished_run_are_named(config, run, name, bad):
    (run / name).write_bytes(bad)
    if (name, bad) == ("history.jsonl", b""):
        with pytest.warns(UserWarning, match=r"history\.jsonl has no rows"):
            assert train(config, run, progress=False).history == []
        return
    with pytest.raises((DataFileError, InputError), match="another configuration" if name == "config.yaml" else name) as refused:
        train(config, run, progress=False)
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize("row", ['{"step": Infinity, "seconds": 1}', '{"step": 2, "seconds": Infinity}', '{"step": NaN, "seconds": 1}'])
def test_a_history_of_infinite_numbers_is_damaged(tmp_path, row):
    (tmp_path / "history.jsonl").write_text(row + "\n")
    with pytest.raises(DataFileError, match=r"history\.jsonl, line 1: damaged; remove this file"):
        read_history(tmp_path / "history.jsonl")


def test_a_damaged_history_does_not_stop_a_run_for_good(potential, run):
    history = run / "history.jsonl"
    history.write_bytes(b"\xff\xfe\n" + history.read_bytes())
    with pytest.raises(DataFileError, match=r"history\.jsonl, line 1: damaged; remove this file to go on"):
        restored(potential, run)
    history.unlink()
    with pytest.warns(UserWarning, match=r"history\.jsonl lacks rows of the 4 steps"):
        assert restored(potential, run) == 4


def test_a_finished_run_whose_history_was_removed_is_written_anew(config, run):
    """As the program says where rows are damaged; the seconds of the training are lost with them."""
    for name in ("history.jsonl", "metrics.json"):
        (run / name).unlink()
    with pytest.warns(UserWarning, match=r"history\.jsonl lacks rows of the 4 steps"):
        assert train(config, run, progress=False).potential.provenance["training_seconds"] == 0.0
    with pytest.warns(UserWarning, match=r"history\.jsonl has no rows"):
        assert train(config, run, progress=False).metrics


def test_best_weights_without_validation_are_refused_before_the_folder_is_taken(config, tmp_path):
    values = config.as_json() | {"keep_best": True, "split": {"kind": "random", "train": 0.7, "validation": 0.0}}
    with pytest.raises(InputError, match="keep_best: the split has no validation frames"):
        train(make_config(values), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_one_run_at_a_time(config, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(InputError, match="is in use by another run"):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_reported_while_its_folder_is_locked_or_protected(config, run):
    with locked(run):
        assert train(config, run, progress=False).metrics


@pytest.mark.parametrize("name", RUN_FILES)
def test_links_in_a_run_folder_are_refused(config, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("precious" if name != "config.yaml" else yaml.safe_dump({}))
    (tmp_path / "run" / name).symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=f"{name} is a symbolic link|another configuration|no config.yaml"):
        train(config, tmp_path / "run", progress=False)
    assert (tmp_path / "run" / name).is_symlink()


@pytest.mark.parametrize("name", ["file", "file/run", "x" * 300, "\udcff", "a\0b"])
def test_run_folders_that_cannot_be(config, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"is a file|is no folder|too long|not UTF-8|cannot be written"):
        train(config, f"{tmp_path}/{name}", progress=False)


def test_what_a_killed_run_was_writing_is_removed(config, run, monkeypatch):
    (run / "metrics.json").unlink()
    (run / "partial.123-456.checkpoint.weights.h5").write_text("")
    (run / "partial.note").write_text("of someone else")
    monkeypatch.setattr("amp_tf.training.run._train", lambda *args: None)
    with warnings.catch_warnings():
        train(config, run, progress=False)
    assert sorted(path.name for path in run.glob("partial.*")) == ["partial.note"]
