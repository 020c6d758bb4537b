"""The amp-tf command as a user calls it."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from amp_tf import cli
from amp_tf.data.arrays import KEYS
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup
from amp_tf.errors import AmpTFError
from datasets import qmmm_solutes
from tests.training.test_targets import NUMBERS, POSITIONS, PROVENANCE

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny finished run, trained through the command."""
    folder = tmp_path_factory.mktemp("run")
    overrides = ["steps=20", "interval=10", "model.n_features=4", f"data={ROOT / 'datasets/water_dimer.h5'}"]
    result = CliRunner().invoke(cli.app, ["train", str(ROOT / "examples/water_dimer.yaml"), str(folder), *overrides])
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_train_prints_errors_beside_the_null_model(trained):
    folder, output = trained
    metrics = {row["split"]: row for row in json.loads((folder / "metrics.json").read_text())}
    assert f"{metrics['test']['value']:.4g}" in output
    assert f"{metrics['test']['null_model']:.4g}" in output
    assert "kJ/mol" in output


def test_continue_goes_on_with_a_run_and_starts_none(trained, tmp_path):
    folder, _ = trained
    example = str(ROOT / "examples/water_dimer.yaml")
    overrides = ["steps=20", "interval=10", "model.n_features=4", f"data={ROOT / 'datasets/water_dimer.h5'}"]
    assert CliRunner().invoke(cli.app, ["train", "--continue", example, str(folder), *overrides]).exit_code == 0
    with pytest.raises(AmpTFError, match="--continue: there is no run in"):
        CliRunner().invoke(cli.app, ["train", "--continue", example, str(tmp_path / "none"), *overrides], catch_exceptions=False)
    assert not (tmp_path / "none").exists()


def test_evaluate_gives_the_errors_of_all_frames(trained, water_dimer_file):
    folder, _ = trained
    result = CliRunner().invoke(cli.app, ["evaluate", str(folder / "potential.keras"), str(water_dimer_file)])
    metrics = {row["split"]: row["value"] for row in json.loads((folder / "metrics.json").read_text())}
    assert result.exit_code == 0
    assert f"{(metrics['train'] + metrics['test']) / 2:.4g}" in result.output  # 180 frames each


def test_info_of_a_potential(trained):
    output = CliRunner().invoke(cli.app, ["info", str(trained[0] / "potential.keras")]).output
    metrics = json.loads((trained[0] / "metrics.json").read_text())
    errors = [f"{row['value']:.4g} kJ/mol (null model {row['null_model']:.4g})" for row in metrics]
    for part in ("AMP", "H, O", "max_order", "cutoff", "8.0", "angstrom", "kJ/mol", "parameters", "data_sha256", "DF-MP2", *errors):
        assert part in output


def test_info_tells_the_model_card():
    folder = ROOT / "reproductions" / "weights" / "solutes"
    output = CliRunner().invoke(cli.app, ["info", str(folder / "uracil.keras")]).output
    assert re.search(rf"model card +{re.escape(str(folder / 'uracil.md'))}\n", output)
    assert "model card" not in CliRunner().invoke(cli.app, ["info", str(folder / "uracil-unshuffled.keras")]).output


def test_the_version():
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"amp-tf {version('amp_tf')}\n"


def test_help_groups_the_commands_and_starts_nothing():
    code = "import sys\nfrom amp_tf import cli\ntry:\n cli.app(['--help'])\nfinally:\n assert not {'numpy', 'tensorflow'} & {*sys.modules}"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    parts = re.split("Train and test|Predict and simulate|Data and weights", text)[1:]
    listed = [re.findall(r"^\W ([a-z][a-z-]*) +\S", part, re.MULTILINE) for part in parts]
    assert listed == [["train", "evaluate", "ensemble", "check-physics"], ["predict", "md", "serve"], ["convert", "import-weights", "info"]]


@pytest.mark.parametrize("command", typer.main.get_command(cli.app).commands)
def test_help_of_a_command_ends_with_an_example(command):
    output = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "80"}).output
    assert output.strip().splitlines()[-1].strip().startswith(f"Example: amp-tf {command} ")


def test_help_of_convert_tells_every_key():
    output = CliRunner().invoke(cli.app, ["convert", "--help"], env={"COLUMNS": "200"}).output
    assert ", ".join(KEYS) in " ".join(re.sub("[│|]", " ", output).split())


def test_completion():
    settings = os.environ | {"_AMP_TF_COMPLETE": "complete_bash", "COMP_WORDS": "amp-tf pre", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "import sys; sys.argv[0] = 'amp-tf'; from amp_tf.command import main; main()"]
    finished = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (finished.stdout.split(), finished.stderr) == (["predict"], "")


def test_info_of_data(water_dimer_file):
    output = CliRunner().invoke(cli.app, ["info", str(water_dimer_file)]).output
    for part in ("360 frames", "H4O2", "sha256", "engine", "pyscf", "isolated water"):
        assert part in output


def test_errors_are_one_sentence_without_a_traceback(tmp_path):
    commands = {
        "no such file": ["info", "nothing.keras"],
        "unknown keys": ["train", str(ROOT / "examples/water_dimer.yaml"), str(tmp_path), "model.nonsense=1"],
    }
    for sentence, arguments in commands.items():
        finished = subprocess.run([sys.executable, "-m", "amp_tf.cli", *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
        assert finished.returncode == 1
        assert sentence in finished.stderr
        assert "Traceback" not in finished.stderr


def test_warnings_are_one_line(tmp_path):
    (tmp_path / "a.xyz").write_text("3\nenergy=1 REF_energy=2\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    arguments = ["convert", str(tmp_path / "a.xyz"), str(tmp_path / "a.h5"), "--format=xyz", "--level-of-theory=test"]
    finished = subprocess.run([sys.executable, "-m", "amp_tf.cli", *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
    label = "REF_energy (--key energies=REF_energy)"
    assert finished.stderr == f"warning: {tmp_path / 'a.xyz'}: these look like labels and are not read: {label}.\n"


@pytest.mark.parametrize(
    "example", sorted({*(ROOT / "examples").glob("*.yaml")} - {ROOT / "examples/qmmm.yaml"}), ids=lambda path: path.stem
)
def test_the_examples_train(example, tmp_path, monkeypatch):
    """That of QM/MM trains in test_start_from.py."""
    monkeypatch.chdir(ROOT)
    short = ["steps=2", "interval=2", "model.max_order=1", "model.n_layers=1", "model.n_features=4", "xla=false"]
    if example.stem == "qm9":  # whose data do not ship
        random = np.random.default_rng(0)
        group = FrameGroup("CH2O", NUMBERS, POSITIONS + 0.05 * random.normal(size=(20, 4, 3)), targets={"homo": random.normal(size=20)})
        write_reference_data(tmp_path / "qm9.h5", PROVENANCE, (group,))
        short.append(f"data={tmp_path / 'qm9.h5'}")
    result = CliRunner().invoke(cli.app, ["train", str(example), str(tmp_path / "run"), *short], catch_exceptions=False)
    assert result.exit_code == 0
    assert ("homo_mae" if example.stem == "qm9" else "energy_mae") in result.output


HARMFUL = ("qm.xyz", "pc.xyz", "link.h5", "folder.h5", "fifo.h5", "qm.xyz/below.h5", ".")


@pytest.mark.parametrize(
    ("command", "place"), [*itertools.product(("convert", "predict", "relabel"), HARMFUL), ("predict", "potential.keras")]
)
def test_outputs_that_would_do_harm_are_refused_before_work_starts(trained, tmp_path, command, place):
    for name in ("qm.xyz", "pc.xyz"):
        (tmp_path / name).write_text("no frame at all: reading it would fail")
    (tmp_path / "link.h5").symlink_to("qm.xyz")
    (tmp_path / "folder.h5").mkdir()
    os.mkfifo(tmp_path / "fifo.h5")
    saved = shutil.copy(trained[0] / "potential.keras", tmp_path)
    before = {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in tmp_path.iterdir()}
    source, output, pc = str(tmp_path / "qm.xyz"), f"{tmp_path}/{place}", f"--pc={tmp_path / 'pc.xyz'}"
    arguments = {
        "convert": ["convert", source, output, "--format=emle", "--level-of-theory=none", pc],
        "predict": ["predict", saved, source, output, pc],
        "relabel": ["relabel", source, output, pc],
    }[command]
    result = CliRunner().invoke(qmmm_solutes.app if command == "relabel" else cli.app, arguments)
    assert result.exit_code == 1
    assert re.search(r"; (choose another output|give the (name of a )?file)", f"{result.exception} {result.output}")
    assert {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_purposeful_errors_reach_the_caller_of_the_app(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": "none.h5", "model": {"type": "AMP"}}))
    result = CliRunner().invoke(cli.app, ["train", str(tmp_path / "config.yaml"), str(tmp_path / "run")])
    assert isinstance(result.exception, AmpTFError)
    assert "no such file" in str(result.exception)


@pytest.mark.parametrize(("place", "stands"), [(".", "a folder, no file"), ("/dev/zero", "a device or pipe"), ("none.h5", "no such file")])
def test_info_says_what_stands_there(place, stands):
    result = CliRunner().invoke(cli.app, ["info", place])
    assert stands in str(result.exception)


@pytest.mark.parametrize("command", ["train", "md", "serve"])
def test_folders_without_a_name_are_refused(trained, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    saved = str(trained[0] / "potential.keras")
    arguments = {
        "train": ["train", str(ROOT / "examples/water_dimer.yaml"), ""],
        "md": ["md", saved, "uracil", ""],
        "serve": ["serve", saved, "--folder="],
    }[command]
    result = CliRunner().invoke(cli.app, arguments)
    assert "the name of the folder is empty" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("form", "option"), [("xyz", "--prefix=zzz"), ("hdf5", "--prefix=orca"), ("emle", "--allow-pickle"), ("xyz", "--length-unit=nm")]
)
def test_options_of_another_format_are_refused(tmp_path, form, option):
    arguments = ["convert", str(tmp_path / "a"), str(tmp_path / "a.h5"), f"--format={form}", "--level-of-theory=none", option]
    result = CliRunner().invoke(cli.app, arguments)
    assert f"{option.partition('=')[0]} has no meaning for --format {form}" in str(result.exception)
