"""The builder: geometry, crash safety, messages; and the engines against each other."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import AmpTFError, EngineError, InputError
from datasets import water_dimer
from datasets.engines import ENGINES, Calculation, Engine, Psi4Engine, PySCFEngine
from datasets.parts import Parts, run_all

ROOT = Path(__file__).resolve().parent.parent.parent
ANGLES = np.array([0.0, 90.0, 180.0])


class FormulaEngine(Engine):
    """A stand-in for an engine: an energy that depends on the geometry and takes no time."""

    name, install = "formula", "nothing"
    level_of_theory = "formula"
    failing: float | None = None

    def version(self):
        return "1"

    def energy(self, calculation):
        if len(calculation.atomic_numbers) == 3:
            return -100.0
        return -200.0 + float(calculation.positions[4, 0])

    def energy_and_gradient(self, calculation):
        return self.energy(calculation), np.zeros_like(calculation.positions)


def test_geometry():
    positions = water_dimer.dimer_positions(37.0)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    assert distances[0, 3] == pytest.approx(4.0)
    assert distances[0, 1] == distances[0, 2] == pytest.approx(0.9572)
    cosine = np.dot(positions[1] - positions[0], positions[2] - positions[0]) / 0.9572**2
    assert np.degrees(np.arccos(cosine)) == pytest.approx(104.52)
    between = distances[:3, 3:]
    assert np.sort(between.ravel())[1] > 4.25, "only the O-O edge lies within the cut-off of Figure 2B"
    for molecule, sign in ((positions[:3], -1), (positions[3:], 1)):
        dipole_axis = molecule[1] + molecule[2] - 2 * molecule[0]
        np.testing.assert_allclose(dipole_axis[:2], 0.0, atol=1e-12)
        assert sign * dipole_axis[2] > 0, "the hydrogen atoms point away from the other molecule"
    np.testing.assert_allclose(water_dimer.dimer_positions(0.0)[:, 1], 0.0, atol=1e-15)


def test_build_subtracts_two_monomers_and_records_provenance(tmp_path):
    output = tmp_path / "dimer.h5"
    digest = water_dimer.build(output, FormulaEngine(), "none", ANGLES, 1, "command")
    data = read_reference_data(output)
    assert data.sha256 == digest
    expected = [water_dimer.dimer_positions(angle)[4, 0] for angle in ANGLES]
    np.testing.assert_allclose(data.groups[0].energies, expected, atol=1e-12)
    assert data.provenance.settings["monomer_energy_kj_per_mol"] == -100.0
    assert data.provenance.builder_command == "command"


def fail_at_second(task):
    if task == "c":
        raise EngineError("the engine failed on c.")
    return {"energy": np.array(1.0)}


def test_a_failure_keeps_what_is_finished_and_a_rerun_goes_on(tmp_path):
    parts = Parts(tmp_path / "parts", {"a": 1})
    with pytest.raises(
        AmpTFError, match=r"the engine failed on c\. 2 of 4 calculations are finished and kept in .*; run the same command to go on"
    ):
        run_all({"1": "a", "2": "b", "3": "c", "4": "d"}, fail_at_second, parts)
    calls = []
    run_all(dict.fromkeys("1234", "x"), lambda task: calls.append(task) or {"energy": np.array(2.0)}, Parts(tmp_path / "parts", {"a": 1}))
    assert len(calls) == 2
    assert [float(parts[name]["energy"]) for name in "1234"] == [1.0, 1.0, 2.0, 2.0]


def zero(task):
    return {"energy": np.array(0.0)}


def test_ctrl_c_keeps_what_is_finished(tmp_path, monkeypatch):
    parts = Parts(tmp_path / "parts", {})
    store = Parts.__setitem__

    def interrupt(self, name, arrays):
        if name == "2":
            raise KeyboardInterrupt
        store(self, name, arrays)

    monkeypatch.setattr(Parts, "__setitem__", interrupt)
    with pytest.raises(AmpTFError, match=r"Interrupted\. 1 of 2 calculations are finished"):
        run_all({"1": 1, "2": 2}, zero, parts)
    assert float(parts["1"]["energy"]) == 0.0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, the device whose disk is always full")
def test_a_full_disk_keeps_what_is_finished(tmp_path):
    parts = Parts(tmp_path / "parts", {})
    (tmp_path / "parts" / f"partial.{os.getpid()}-{threading.get_ident()}.2.npz").symlink_to("/dev/full")
    with pytest.raises(AmpTFError, match=r"is full: free some space\. 1 of 2 calculations are finished"):
        run_all({"1": 1, "2": 2}, zero, parts)
    assert float(parts["1"]["energy"]) == 0.0
    run_all({"1": 1, "2": 2}, zero, parts)
    assert "2" in parts


def test_a_damaged_part_is_named(tmp_path):
    parts = Parts(tmp_path / "parts", {})
    run_all({"1": 1}, zero, parts)
    file = tmp_path / "parts" / "1.npz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InputError, match=r"1\.npz is damaged; delete it"):
        parts["1"]


def test_kill_9_during_a_build(tmp_path):
    pytest.importorskip("pyscf", reason="PySCF is not installed (pip install 'amp_tf[reference]')")
    output = tmp_path / "dimer.h5"
    command = [
        sys.executable,
        "-m",
        "datasets.water_dimer",
        "--output",
        str(output),
        "--basis",
        "cc-pvdz",
        "--step",
        "30",
        "--workers",
        "1",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    folder = tmp_path / "dimer.h5.parts"
    deadline = time.monotonic() + 120
    while len(list(folder.glob("angle_*.npz"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("angle_*.npz")}  # not the partial one
    assert 3 <= len(before) < 13
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert all((folder / name).stat().st_mtime_ns == time for name, time in before.items()), "a finished calculation was done again"
    energies = read_reference_data(output).groups[0].energies
    np.testing.assert_allclose(energies[1:6], energies[:6:-1], atol=1e-5)


class TestCommand:
    """The builder's command line."""

    def run(self, *arguments):
        return CliRunner().invoke(water_dimer.app, list(arguments))

    def test_an_unknown_engine(self):
        result = self.run("--engine", "gaussian")
        assert result.exit_code == 1
        assert "unknown engine 'gaussian'; choose one of psi4, pyscf" in result.output

    def test_a_missing_psi4_names_the_install_command(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        result = self.run("--engine", "psi4", "--output", str(tmp_path / "x.h5"))
        assert result.exit_code == 1
        assert "conda install -c conda-forge psi4" in result.output

    def test_a_missing_pyscf_names_the_install_command(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "pyscf", None)
        result = self.run("--output", str(tmp_path / "x.h5"))
        assert result.exit_code == 1
        assert "pip install 'amp_tf[reference]'" in result.output


HYDROGEN = Calculation(np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]]), basis="cc-pvdz")
INSTALLED = {"psi4": shutil.which("psi4") is not None}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_gives_the_energy_of_hydrogen(name):
    """MP2/cc-pVDZ of H2 at 0.74 angstrom is -1.1550 Eh, and density fitting changes it by less than 1e-4 Eh."""
    if name == "pyscf":
        pytest.importorskip("pyscf", reason="PySCF is not installed (pip install 'amp_tf[reference]')")
    elif not INSTALLED[name]:
        pytest.skip(f"{name} is not installed; {ENGINES[name].install}")
    assert ENGINES[name]().energy(HYDROGEN) / units.HARTREE == pytest.approx(-1.1550, abs=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0.0, 41.0, 90.0])
def test_the_engines_agree(angle):
    """psi4 and PySCF evaluate the same function: 1e-7 Eh, and so does the shipped file."""
    pytest.importorskip("pyscf", reason="PySCF is not installed (pip install 'amp_tf[reference]')")
    if not INSTALLED["psi4"]:
        pytest.skip(f"psi4 is not installed; {Psi4Engine.install}")
    calculation = Calculation(water_dimer.DIMER_NUMBERS, water_dimer.dimer_positions(angle))
    energies = [engine(n_threads=2).energy(calculation) for engine in (Psi4Engine, PySCFEngine)]
    assert abs(energies[0] - energies[1]) < 1e-7 * units.HARTREE
    shipped = read_reference_data(water_dimer.SHIPPED_FILE)
    stored = shipped.groups[0].energies[int(angle)] + 2 * shipped.provenance.settings["monomer_energy_kj_per_mol"]
    assert abs(energies[1] - stored) < 1e-7 * units.HARTREE


def test_settings_without_any_part_may_be_corrected(tmp_path):
    mistaken = Parts(tmp_path / "parts", {"box": 10})
    run_all({"1": 1}, zero, Parts(tmp_path / "parts", {"box": 40}))
    with pytest.raises(AmpTFError, match="was taken by a command with other settings"):
        run_all({"2": 2}, zero, mistaken)
    with pytest.raises(InputError, match="holds parts of another engine, version or setting; remove that folder"):
        Parts(tmp_path / "parts", {"box": 10})


@pytest.mark.filterwarnings("ignore:Basis may be available")
@pytest.mark.parametrize("basis", ["nobasis", "sto-3g"])
def test_a_basis_that_pyscf_does_not_know_or_has_no_companion_gets_a_sentence(basis):
    calculation = Calculation(water_dimer.MONOMER_NUMBERS, water_dimer.monomer_positions(), basis)
    with pytest.raises(EngineError, match=rf"PySCF: .*{basis}.*; check basis and charge\."):
        PySCFEngine().energy_and_gradient(calculation)
