"""A stand-in for sander writes its files, runs the program ``orca`` and reads what it wrote; i-PI by ASE's own server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.socketio import SocketIOCalculator

import amp_tf
from amp_tf import units
from amp_tf.errors import DataFileError, InputError, SimulationError
from amp_tf.interfaces.ase import AMPCalculator
from amp_tf.interfaces.sander import run_job, serve
from amp_tf.models.ranges import training_ranges
from amp_tf.systems import System

MM = np.array([[3.0, 0.4, 0.1], [-2.5, 1.0, -0.4], [0.2, -3.1, 0.3]])
MM_CHARGES = np.array([-0.834, 0.417, 0.417])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("potentials") / "model.keras"
    small = {"n_layers": 1, "n_features": 8, "n_radial_weights": 2, "coefficient_scale": 0.1, "dtype": "float64"}
    amp_tf.AMP(("H", "C", "O"), 1, direct_polarization=True, pairwise_coulomb=True, near_cutoff=4.0, **small).save(path)
    return path


def write_as_sander(folder: Path, atoms: Atoms, mm_positions=None, mm_charges=(), charge=0, spin=1):
    """The three files, in the columns of sander's ORCA interface."""
    around = '%pointcharges "ptchrg.xyz"\n' if mm_positions is not None else ""
    (folder / "orc_job.inp").write_text(
        f"# Run using SANDER file-based interface for Orca\n! BLYP 6-31G* Grid4 TIGHTSCF NoMayer NoMulliken NoLoewdin EnGrad\n"
        f"%scf\n  maxiter 100\nend\n{around}*xyzfile {charge} {spin} inpfile.xyz\n\n"
    )
    rows = [f"{symbol:>2} {x:25.16f} {y:25.16f} {z:25.16f}" for symbol, (x, y, z) in zip(atoms.symbols, atoms.positions, strict=True)]
    (folder / "inpfile.xyz").write_text("\n".join([f"{len(atoms):6d}", "", *rows, ""]))
    if mm_positions is not None:
        rows = [f"{q:21.16f} {x:25.16f} {y:25.16f} {z:25.16f}" for q, (x, y, z) in zip(mm_charges, mm_positions, strict=True)]
        (folder / "ptchrg.xyz").write_text("\n".join([f"{len(rows):10d}", "", *rows, ""]))


def run_as_sander(folder: Path, programs: Path, check=True) -> subprocess.CompletedProcess:
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run("orca orc_job.inp > orc_job.dat", shell=True, cwd=folder, env=environment, check=check, capture_output=True)


def read_as_sander(folder: Path):
    """Energy, gradients and MM gradients in atomic units, by the lines that announce them; the dipole of the output."""
    lines = (folder / "orc_job.engrad").read_text().splitlines()
    energy = float(lines[lines.index("# The current total energy in Eh") + 2])
    first = lines.index("# The current gradient in Eh/bohr") + 2
    gradients = np.array([float(line) for line in lines[first:]]).reshape(-1, 3)
    charges = folder / "orc_job.pcgrad"
    mm_gradients = np.loadtxt(charges, skiprows=1) if charges.is_file() else None
    output = (folder / "orc_job.dat").read_text().splitlines()
    assert float(next(line for line in output if "FINAL SINGLE POINT ENERGY" in line).split()[-1]) == energy
    dipole = [float(word) for word in next(line for line in output if "Total Dipole Moment" in line).split()[-3:]]
    return energy, gradients, mm_gradients, np.array(dipole)


@pytest.fixture(scope="module")
def served(path, tmp_path_factory):
    """The folder of the program ``orca`` of a running server."""
    folder = tmp_path_factory.mktemp("served") / "programs"
    command = [sys.executable, "-m", "amp_tf.cli", "serve", str(path), "--folder", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert "export PATH=" in process.stdout.readline()
    yield folder
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert not (folder / "socket").exists()


def test_sander_reads_the_energy_and_all_gradients(served, path, tmp_path):
    atoms = molecule("CH3OH")
    write_as_sander(tmp_path, atoms, MM, MM_CHARGES)
    run_as_sander(tmp_path, served)
    energy, gradients, mm_gradients, dipole = read_as_sander(tmp_path)
    expected = amp_tf.load_potential(path).compute(atoms.numbers, atoms.positions, MM, MM_CHARGES)
    assert energy * units.HARTREE == pytest.approx(expected["energy"], abs=1e-7)
    np.testing.assert_allclose(gradients * units.HARTREE / units.BOHR, expected["qm_gradients"], atol=1e-7)
    np.testing.assert_allclose(mm_gradients * units.HARTREE / units.BOHR, expected["mm_gradients"], atol=1e-7)
    np.testing.assert_allclose(dipole * units.BOHR, expected["dipole"], atol=1e-5)


def test_many_steps_and_no_charges(served, path, tmp_path):
    """Another geometry each step; sander leaves out the charges for mechanical embedding."""
    potential = amp_tf.load_potential(path)
    atoms = molecule("CH3OH")
    for step in range(3):
        atoms.rattle(0.02, seed=step)
        write_as_sander(tmp_path, atoms)
        run_as_sander(tmp_path, served)
        energy, _, mm_gradients, _ = read_as_sander(tmp_path)
        assert mm_gradients is None
        assert energy * units.HARTREE == pytest.approx(potential.compute(atoms.numbers, atoms.positions)["energy"], abs=1e-7)


def test_what_cannot_be_computed_ends_the_program_with_a_sentence_and_the_server_goes_on(served, tmp_path):
    write_as_sander(tmp_path, molecule("NH3"))
    (tmp_path / "orc_job.engrad").write_text("of the step before")
    failed = run_as_sander(tmp_path, served, check=False)
    assert failed.returncode == 1
    assert b"error: the model knows H, C, O, not N" in failed.stderr
    assert not list(tmp_path.glob("*grad"))
    assert "error" in (tmp_path / "orc_job.dat").read_text()
    write_as_sander(tmp_path, molecule("H2O"))
    run_as_sander(tmp_path, served)


def test_a_server_that_is_gone(served, tmp_path):
    folder = tmp_path / "programs"
    folder.mkdir()
    program = (served / "orca").read_text().replace(str(served), str(folder))
    (folder / "orca").write_text(program)
    (folder / "orca").chmod(0o755)
    write_as_sander(tmp_path, molecule("H2O"))
    failed = run_as_sander(tmp_path, folder, check=False)
    assert failed.returncode == 1
    assert b"amp-tf serve does not answer" in failed.stderr


def test_a_folder_that_is_served_and_one_too_long(served, path, tmp_path):
    potential = amp_tf.load_potential(path)
    with pytest.raises(InputError, match="is served already; choose another folder"):
        serve(potential, served)
    with pytest.raises(InputError, match="choose a folder with a shorter path"):
        serve(potential, tmp_path / ("x" * 120))


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("orc_job.inp", "! BLYP\n", DataFileError, "is it written by sander"),
        ("orc_job.inp", "*xyzfile 0 3 inpfile.xyz\n", InputError, "only closed shells are supported, set spin=1"),
        ("inpfile.xyz", "3\n\nO 0 0 0\n", DataFileError, "not what sander writes"),
        ("inpfile.xyz", "", DataFileError, "not what sander writes"),
        ("inpfile.xyz", "1\n\nQq 0 0 0\n", DataFileError, "Qq is no element"),
        ("ptchrg.xyz", "3\n\n0.1 1 2 3\n", DataFileError, "not what sander writes"),
        ("ptchrg.xyz", None, DataFileError, "no such file"),
    ],
)
def test_files_that_sander_would_not_write(path, tmp_path, name, content, error, words):
    write_as_sander(tmp_path, molecule("H2O"), MM, MM_CHARGES)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        run_job(amp_tf.load_potential(path), tmp_path)


def test_the_training_data_bound_dynamics(path, tmp_path):
    potential, water = amp_tf.load_potential(path), molecule("H2O")
    potential.training_ranges = training_ranges([System(water.numbers, water.positions, 0.0, MM, MM_CHARGES)])
    write_as_sander(tmp_path, water, MM, MM_CHARGES)
    run_job(potential, tmp_path, margin=0.1)
    assert (tmp_path / "orc_job.pcgrad").is_file()
    water.positions[1] *= 1.5
    write_as_sander(tmp_path, water, MM, MM_CHARGES)
    with pytest.raises(SimulationError, match=r"not to be asked more than 0\.1 angstrom beyond"):
        run_job(potential, tmp_path, margin=0.1)
    with pytest.warns(UserWarning, match="extrapolation"):
        run_job(potential, tmp_path, margin=np.inf)


def test_i_pi_by_ase(path, tmp_path):
    """ASE's server, which speaks i-PI's protocol, moves the atoms; our calculator behind ASE's client computes them."""
    script = f"""
from ase.build import molecule
from ase.calculators.socketio import SocketClient
from amp_tf.interfaces.ase import AMPCalculator
atoms = molecule("CH3OH")
atoms.calc = AMPCalculator({str(path)!r})
SocketClient(unixsocket={tmp_path.name!r}).run(atoms)
"""
    atoms = molecule("CH3OH")
    with SocketIOCalculator(unixsocket=tmp_path.name) as server:
        client = subprocess.Popen([sys.executable, "-c", script])
        atoms.calc = server
        for step in range(3):
            atoms.rattle(0.02, seed=step)
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            here = atoms.copy()
            here.calc = AMPCalculator(path)
            assert energy == pytest.approx(here.get_potential_energy(), abs=1e-8)
            np.testing.assert_allclose(forces, here.get_forces(), atol=1e-8)
    assert client.wait(timeout=60) == 0
