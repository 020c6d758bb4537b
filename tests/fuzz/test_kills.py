"""``kill -9`` at any moment, and the same command again: what a run leaves is what it leaves undisturbed."""

import shutil

import numpy as np
import pytest
import yaml

from amp_tf import load_potential
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.training.run import BEST, RUN_FILES
from reproductions.water_clusters import WEIGHTS
from tests.fuzz.kills import Command, amp_tf, build_data_set, disturb
from tests.fuzz.subjects import SEED, run_settings, write_dimer


@pytest.fixture
def random():
    return np.random.default_rng(SEED)


@pytest.mark.slow
def test_killed_trainings(tmp_path, random):
    settings, run = tmp_path / "config.yaml", tmp_path / "run"
    write_dimer(tmp_path / "dimer.h5")
    settings.write_text(yaml.safe_dump(run_settings(tmp_path / "dimer.h5", steps=200, interval=10)))
    command = Command(amp_tf, ["train", str(settings), str(run)], run, tmp_path / "log")
    longest = command.run()
    expected = load_potential(run / "potential.keras").get_weights()
    shutil.rmtree(run)

    def check():
        assert {path.name for path in run.iterdir()} == set(RUN_FILES) - {BEST}
        for found, wanted in zip(load_potential(run / "potential.keras").get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert [yaml.safe_load(row)["step"] for row in (run / "history.jsonl").read_text().splitlines()] == list(range(10, 201, 10))

    disturb(command, 18, longest, check, random)


@pytest.mark.parametrize("n_kills", [2, pytest.param(14, marks=pytest.mark.slow)])
def test_killed_builds(tmp_path, random, n_kills):
    folder = tmp_path / "data"
    command = Command(build_data_set, str(folder / "dimer.h5"), folder, tmp_path / "log")
    longest = command.run()
    expected = read_reference_data(folder / "dimer.h5").sha256
    shutil.rmtree(folder)

    def check():
        assert read_reference_data(folder / "dimer.h5").sha256 == expected

    disturb(command, n_kills, longest, check, random)


@pytest.mark.slow
def test_killed_dynamics(tmp_path, random):
    """Without a thermostat, where the rest of a run follows from its checkpoint but for its rounding."""
    pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")
    run, n_frames = tmp_path / "run", 300
    options = ["--gas", "--ensemble=nve", "--time-step=0.1", "--interval=2", f"--time={n_frames * 2e-4}"]
    command = Command(amp_tf, ["md", str(WEIGHTS / "laptop" / "AMP(2).keras"), "O", str(run), *options], run, tmp_path / "log")
    longest = command.run()
    files, size = {path.name for path in run.iterdir()}, (run / "trajectory.dcd").stat().st_size
    expected = np.genfromtxt(run / "energies.csv", delimiter=",", skip_header=1)
    shutil.rmtree(run)

    def check():
        assert {path.name for path in run.iterdir()} == files
        assert (run / "trajectory.dcd").stat().st_size == size
        found = np.genfromtxt(run / "energies.csv", delimiter=",", skip_header=1)
        np.testing.assert_array_equal(found[:, 0], 2 * (1 + np.arange(n_frames)))
        np.testing.assert_allclose(found, expected, rtol=1e-3)

    disturb(command, 8, longest, check, random)
