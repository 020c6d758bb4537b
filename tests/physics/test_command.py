"""The command: what it reads, prints, writes and ends with."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from typer.testing import CliRunner

import amp_tf
from amp_tf.cli import app
from amp_tf.errors import AmpTFError, InputError
from amp_tf.physics import check_physics, targets
from amp_tf.physics.checks import CHECKS, PRESETS, chosen_tests
from amp_tf.physics.command import seconds_of
from amp_tf.physics.molecules import read_molecule
from amp_tf.physics.study import STUDY
from amp_tf.physics.subject import Molecule, Subject
from amp_tf.physics.targets import read_target
from amp_tf.shipped import potential_file
from tests.physics import toys

ROOT = Path(__file__).resolve().parents[2]
TOY = "tests.physics.toys:"


def run(*words):
    return CliRunner().invoke(app, ["check-physics", *map(str, words)])


@pytest.mark.parametrize(
    ("toy", "tests", "status"),
    [
        ("Smooth", "rotation,loop", 0),
        ("ConstantPerSystem", "extensivity", 3),
        ("Rounded", "rotation", 4),
        ("Smooth", "homometric", 4),
        ("RaisesFarAway", "translation,permutation", 1),
    ],
)
def test_exit_status(toy, tests, status, tmp_path):
    finished = run(TOY + toy, "--tests", tests, "--json", tmp_path / "record.json")
    assert finished.exit_code == status, finished.output
    assert json.loads((tmp_path / "record.json").read_text())["verdicts"].keys() == set(tests.split(","))
    assert all(name in finished.output for name in tests.split(","))


def test_a_warning_counts_where_it_is_asked_for():
    word = f"{TOY}PrefersAnOrientation"  # whose forces are a little off the gradient
    assert [run(word, "--tests", "gradient", *more).exit_code for more in ([], ["--strict"])] == [0, 3]


def test_what_it_writes(tmp_path):
    """A page of one file without scripts, plots beside it, and JSON without NaN that another run compares itself with."""
    first, page = tmp_path / "first.json", tmp_path / "page.html"
    assert run(TOY + "Hole", "--tests", "wall,rotation", "--json", first).exit_code == 3
    record = json.loads(first.read_text(), parse_constant=pytest.fail)
    assert (record["verdicts"]["wall"], list(record["verdicts"])) == ("fail", ["rotation", "wall"])
    assert {"python", "ase", "numpy"} <= record["versions"].keys()
    assert record["command"] == f"amp-tf check-physics {TOY}Hole --tests wall,rotation"
    words = ["--report", page, "--compare", first, "--published", "ANI-1x"]
    finished = run(TOY + "Smooth", "--tests", "wall,rotation,diatomics", *words)
    assert finished.exit_code == 3, finished.output  # no chemistry
    text = page.read_text()
    assert text.count("<section id=") == 3
    assert "<script" not in text
    assert 'src="data:image/png;base64,' in text
    assert STUDY["ANI-1x"]["diatomics"].words in text
    assert "tests.physics.toys:Hole: fail" in text
    assert {path.name for path in tmp_path.glob("*.png")} == {f"page-{test}.png" for test in ("rotation", "wall", "diatomics")}


def test_curves_have_the_noise_of_their_molecule():
    """Five times that is a band in the plots: of single precision wide, of double none."""
    single, double = (check_physics(toy(), tests="wall").curves[0].noise for toy in (toys.Rounded, toys.Smooth))
    assert 0.0 <= double < 1e-9
    assert single > 1e-5


def test_an_atom_has_no_gradient_to_fail(tmp_path):
    path = tmp_path / "argon.xyz"
    Atoms("Ar").write(path)
    found = check_physics(toys.Smooth(), [read_molecule(path)], "gradient,loop,jacobian")
    assert {found.verdict(test) for test in found.tests} == {"pass"}
    assert "argon, rattled" not in {row.molecule for row in found.rows}


def test_a_surface_that_ends_with_the_training_data_is_not_judged_beyond():
    def domain(molecule):
        return "it is straight" if molecule.name == "water" and not is_bent(molecule) else None

    ends_before = Subject(toys.Smooth(), "toy", domain)
    found = check_physics(ends_before, tests="bend")
    assert [row.verdict for row in found.rows if row.molecule == "water"] == ["not applicable"]


def is_bent(molecule):
    one, other = (molecule.positions[end] - molecule.positions[0] for end in (1, 2))
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other) > np.cos(np.radians(140.0))


def test_the_potential_is_not_overwritten(tmp_path, monkeypatch):
    target = tmp_path / "mine.keras"
    target.write_bytes(b"precious")
    error = run(target, "--json", target).exception
    assert "is the target" in str(error)
    assert target.read_bytes() == b"precious"


def test_a_molecule_of_the_user_is_looked_at(tmp_path):
    path = tmp_path / "thiol.xyz"
    molecule("CH3SH").write(path)
    finished = run(TOY + "Smooth", "--molecule", path, "--tests", "rotation,stretch", "--json", tmp_path / "found.json")
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert {row["molecule"] for row in rows if row["test"] == "rotation"} >= {"thiol, rattled", "water"}
    assert any(row["molecule"].startswith("thiol, ") for row in rows if row["test"] == "stretch"), finished.output


def test_a_potential_of_one_molecule_is_read_with_it(tmp_path):
    """Of an ensemble, what all members know."""
    water = {"atomic_numbers": [8, 1, 1], "positions": [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]], "total_charge": 0.0}
    settings = {"n_layers": 1, "n_features": 4, "n_radial_weights": 2}
    one, other = (amp_tf.AMP(("C", "H", "N", "O"), 1, provenance=told, **settings) for told in ({"molecule": water}, {}))
    one.save(tmp_path / "one.keras")
    amp_tf.Ensemble([one, other]).save(tmp_path / "both.keras")
    subject = read_target(str(tmp_path / "one.keras"))
    assert (subject.own.name, subject.own.charge, subject.own.spin, subject.own.is_own) == ("H2O", 0, 1, True)
    assert subject.outside(Molecule("hydroxyl", np.array([8, 1]), np.eye(2, 3))) == "it is a potential of H2O alone"
    assert not subject.needs_charges
    assert read_target(str(potential_file("uracil"))).own.name == read_target("uracil").own.name == "uracil"
    among = amp_tf.AMP(("H", "O"), 1, provenance={"molecule": water | {"is_alone": False}}, **settings)
    among.save(tmp_path / "among.keras")
    assert read_target(str(tmp_path / "among.keras")).needs_charges
    assert read_target(str(tmp_path / "both.keras")).own is None
    assert "trained on the molecule" in CliRunner().invoke(app, ["info", str(tmp_path / "one.keras")]).output
    finished = run(tmp_path / "one.keras", "--tests", "translation", "--json", tmp_path / "found.json")
    assert finished.exit_code == 0, finished.output
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert {row["molecule"] for row in rows if row["test"] == "translation"} == {"H2O, rattled", "water"}  # and none of the others


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "TARGET is missing"),
        (["nowhere.keras"], "nowhere.keras: no such file"),
        (["just words"], "is no target"),
        (["no_such_module:make"], "the module no_such_module cannot be imported"),
        ([TOY + "Nothing"], "has no Nothing that can be called"),
        ([TOY + "tetrahedron"], "has no get_potential_energy"),
        ([TOY + "Smooth(nonsense)"], "is not of the form key=value"),
        ([TOY + "StaleCache(size=3)"], "raised"),
        ([TOY + "NoForces"], "computes energy; energies and forces are needed"),
        ([TOY + "RaisesAlways"], "computes none of the molecules"),
        ([TOY + "Smooth", "--tests", "rotatoin"], "there is no test 'rotatoin'"),
        ([TOY + "Smooth", "--budget", "soon"], "is no time"),
        ([TOY + "Smooth", "--published", "GPT"], "the study has no GPT"),
        ([TOY + "Smooth", "--molecule", "nowhere.xyz"], "nowhere.xyz: no such file"),
        ([TOY + "Smooth", "--report", "setup.cfg/report.html"], "setup.cfg is no folder"),
        ([TOY + "Smooth", "--compare", "setup.cfg"], "cannot be read as a result"),
        ([TOY + "Smooth", "--seed", "-1"], "the seed must not be negative"),
        ([TOY + "OneForce"], "forces of shape (1, 3), not"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, monkeypatch):
    monkeypatch.chdir(ROOT)
    error = run(*words).exception
    assert isinstance(error, AmpTFError), error
    assert sentence in str(error)
    assert "\n" not in str(error)


def test_a_molecule_that_is_not_computed_is_said_before_the_work(tmp_path):
    path = tmp_path / "crowded.xyz"
    Atoms("OH", [[0.0, 0.0, 0.0], [0.3, 0.0, 0.0]]).write(path)
    error = run(TOY + "RaisesWhereCrowded", "--molecule", path).exception
    assert re.search(r"RaisesWhereCrowded does not compute crowded \(.*no SCF convergence\); leave it out", str(error))


@pytest.mark.parametrize("charge", ["abc", "0.5"])
def test_a_charge_that_is_no_number_of_electrons(tmp_path, charge):
    path = tmp_path / "ion.xyz"
    path.write_text(f"1\ncharge={charge}\nNa 0 0 0\n")
    with pytest.raises(InputError, match=r"its charge, .* is no whole number"):
        read_molecule(path)


def test_an_ion_is_an_ion_to_calculators_that_look_at_its_atoms(tmp_path):
    """As TBLite does; for one that ignores charges there is a warning."""
    path = tmp_path / "ion.xyz"
    path.write_text("2\ncharge=-1 spin=1\nO 0 0 0\nH 0 0 0.97\n")
    found = check_physics(toys.ChargesOfAtoms(), [read_molecule(path)], "charge")
    assert next(row.value for row in found.rows if row.metric.startswith("E(Q + 1) - E(Q)")) == pytest.approx(3.0)
    assert found.verdict() == "pass"
    ignored = check_physics(toys.Smooth(), [read_molecule(path)], "charge")
    assert [(row.verdict, row.molecule) for row in ignored.rows if row.verdict == "warn"] == [("warn", "ion")]


def test_settings_of_a_factory_are_yaml(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert targets._settings("a=1, b='x, y', c=[1, 2], d=true, e=1.5e3, f=1e-3, g=7") == {
        "a": 1,
        "b": "x, y",
        "c": [1, 2],
        "d": True,
        "e": 1500.0,
        "f": 1e-3,
        "g": 7,
    }
    with pytest.raises(InputError, match="raised TypeError"):
        targets.read_target(f"{TOY}StaleCache(size=3)")


class Interrupting(toys.Smooth):
    """As if Ctrl-C were pressed in the middle."""

    n_calls = 0

    def changed(self, energy, forces, numbers, positions):
        self.n_calls += 1
        if self.n_calls == 900:
            raise KeyboardInterrupt
        return energy, forces


def test_what_had_finished_is_reported_after_ctrl_c():
    found = check_physics(Interrupting(), tests="quick")
    assert found.was_interrupted
    assert found.verdict("translation") == "pass"
    assert found.verdict("jacobian") == "not run"
    finished = run("tests.physics.test_command:Interrupting", "--preset", "quick")
    assert "translation" in finished.output
    assert "interrupted; what had finished is reported" in str(finished.exception)


def test_a_budget_leaves_tests_out():
    found = check_physics(toys.Smooth(), tests="quick", budget=0.0)
    assert "not run" in {found.verdict(name) for name in PRESETS["quick"]}
    assert [seconds_of(text) for text in (None, "90", "90s", "1.5m", "1h")] == [None, 90.0, 90.0, 90.0, 3600.0]


def test_tests_by_name_group_and_preset():
    assert chosen_tests("loop,symmetry") == ["translation", "rotation", "mirror", "permutation", "loop"]
    assert chosen_tests("all") == list(CHECKS)
    assert "mirror" not in chosen_tests("study")
    assert set(PRESETS["quick"]) < set(PRESETS["standard"]) < set(PRESETS["full"])
    listed = run("--list").output
    assert all(name in listed for name in CHECKS)


def test_neither_tensorflow_nor_torch_is_imported():
    code = (
        "import sys; import amp_tf.physics.targets, amp_tf.physics, amp_tf.cli; print({'tensorflow', 'keras', 'torch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_the_same_seed_gives_the_same_numbers():
    rows = [[row.value for row in check_physics(toys.Smooth(), tests="rotation,loop", seed=seed).rows] for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]
    assert np.isfinite(rows[0]).all()
