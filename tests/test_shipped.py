"""Potentials that ship, by name."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import amp_tf
from amp_tf import cli
from amp_tf.errors import DataFileError
from amp_tf.interfaces.openmm import _paths
from amp_tf.shipped import FILES, FOLDER, potential_file
from amp_tf.training import make_config
from amp_tf.training.start import read_start

UNKNOWN = r"uracyl: no such file; give the file of a potential, \*\.keras, or the name of one that ships: uracil\."


def test_a_name_is_a_shipped_file():
    assert FILES == {"uracil": FOLDER / "uracil.keras"}
    assert potential_file("uracil") == potential_file(Path("uracil")) == FILES["uracil"]


def test_a_file_comes_before_a_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("uracil").mkdir()
    assert potential_file("uracil") == FILES["uracil"]
    Path("uracil").rmdir()
    Path("uracil").write_text("")
    assert potential_file("uracil") == Path("uracil")


@pytest.mark.parametrize("path", ["uracil.keras", "./uracil.h5", "runs/uracil", "../uracil", "", "a\0"])
def test_other_paths_are_no_names(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataFileError, match=r"no such file|a folder"):
        potential_file(path)


def commands(name: str) -> list[list[str]]:
    return [["info", name], ["evaluate", name, "none.h5"], ["predict", name, "none.h5", "out.h5"], ["md", name, "uracil", "run", "--gas"],
            ["md", "uracil", "uracil", "run", "--committee", name], ["serve", name]]  # fmt: skip


@pytest.mark.parametrize("arguments", commands("uracyl"), ids=" ".join)
def test_commands_tell_what_ships(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataFileError, match=UNKNOWN):
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "use",
    [amp_tf.load_potential, _paths, lambda name: read_start(make_config({"data": "none.h5", "start_from": name}), Path("run"))],
    ids=["load_potential", "OpenMM", "start_from"],
)
def test_functions_tell_what_ships_and_take_it(use):
    with pytest.raises(DataFileError, match=UNKNOWN):
        use("uracyl")
    assert use("uracil")


def test_info_and_predict_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = CliRunner().invoke(cli.app, ["info", "uracil"]).output
    assert "H, C, N, O" in output
    Path("water.xyz").write_text("3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")
    with pytest.warns(UserWarning, match="no frame has MM particles|distance"):
        result = CliRunner().invoke(cli.app, ["predict", "uracil", "water.xyz", "out.h5"], catch_exceptions=False)
    assert result.output == "out.h5: 1 frames\n"
