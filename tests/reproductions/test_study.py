"""Other potentials examined, and the study of ML potentials beside ours."""

import subprocess

import pytest

from amp_tf.physics.records import read_record
from amp_tf.physics.study import STUDY
from reproductions import peers, study

RESULTS = study.records()


def rows(name, test):
    return [row for row in RESULTS[name]["rows"] if row["test"] == test]


def test_ani_has_straight_water_lowest():
    (row,) = (row for row in rows("ANI-1x", "bend") if row["metric"].startswith("straight - bent"))
    assert row["value"] == pytest.approx(-0.393, abs=0.01)
    assert RESULTS["ANI-1x"]["verdicts"]["bend"] == "fail"


def test_sevennet_tells_left_from_right_by_energies_and_forces():
    found = rows("7net-0", "mirror")
    energies = [row["value"] for row in found if row["metric"] == "energy, image - itself"]
    forces = [row["value"] for row in found if row["metric"] == "forces"]
    assert max(energies) > 1.0
    assert max(forces) > 10.0
    assert RESULTS["7net-0"]["verdicts"]["rotation"] in ("pass", "warn")


@pytest.mark.parametrize("name", ["GFN2-xTB", "uracil"])
def test_what_is_right_passes(name):
    verdicts = {test: verdict for test, verdict in RESULTS[name]["verdicts"].items() if test in ("bend", "torsion", "wall")}
    of_groups = [
        RESULTS[name]["verdicts"][test] for test in ("translation", "rotation", "mirror", "permutation", "momentum", "gradient", "loop")
    ]
    assert {*of_groups, *(RESULTS[name]["verdicts"][test] for test in ("jacobian", "nve", "extensivity", "cutoff"))} <= {"pass", "warn"}
    assert "fail" not in verdicts.values()


def test_our_potentials_fail_nothing():
    assert not [row for row in RESULTS["uracil"]["rows"] if row["verdict"] in ("fail", "error", "inconclusive")]


def test_agreements_and_contradictions_are_named():
    text = study.beside_the_study(RESULTS)
    assert "7net-0 for MACE-MP" in text
    assert "straight water is lowest" in text
    assert [study.agreement(*pair) for pair in (("pass", "pass"), ("fail", "warn"), ("pass", "fail"), ("fail", "inconclusive"))] == [
        "agrees", "agrees", "contradicts", "undecided",
    ]  # fmt: skip
    assert all(set(words) <= set(RESULTS["GFN2-xTB"]["verdicts"]) | {"cosan"} for words in STUDY.values())


def test_pages_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "records", lambda: {name: RESULTS[name] for name in ("GFN2-xTB", "ANI-1x")})
    study.main(tmp_path)
    assert {path.name for path in tmp_path.glob("*.html")} == {"GFN2-xTB.html", "ANI-1x.html"}
    assert "ANI-1x" in capsys.readouterr().out


def test_a_peer_that_cannot_be_installed_is_skipped_with_a_reason(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution found for tblite==0.8.0\n")
    monkeypatch.setattr(peers.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(peers.venv, "create", lambda folder, **_: folder.mkdir(parents=True))
    line = peers.examine("GFN2-xTB", peers.PEERS["GFN2-xTB"], "quick", tmp_path, tmp_path)
    assert line == "GFN2-xTB: skipped; tblite==0.8.0 cannot be installed: ERROR: No matching distribution found for tblite==0.8.0"
    assert not list(tmp_path.glob("*.json"))


def test_a_peer_is_examined(tmp_path):
    line = peers.examine("toy", peers.Peer("tests.physics.toys:Smooth"), "quick", tmp_path)
    assert line == f"toy: {tmp_path / 'toy.quick.json'}"  # that of the standard preset stays
    record = read_record(tmp_path / "toy.quick.json")
    assert record["verdicts"]["rotation"] == "pass"
    assert record["preset"] == "quick"
    assert record["commit"]
