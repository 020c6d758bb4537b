"""Dynamics of a water molecule: files, going on after a kill, energy conservation, what is refused."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")
pytest.importorskip("mdtraj", reason="MDTraj is not installed: pip install 'amp_tf[openmm]'")

import mdtraj

from amp_tf import cli, units
from amp_tf.errors import AmpTFError, DataFileError, EngineError, InputError, SimulationError
from amp_tf.models.ranges import training_ranges
from amp_tf.simulation import dynamics
from amp_tf.simulation.collect import Collection
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.observables import RDF_BINS, RDF_RANGE, RadialDistributions, bond_lengths, temperature
from amp_tf.simulation.run_files import COLUMNS
from amp_tf.simulation.scene import PreparedSystem, SoluteInWater
from amp_tf.simulation.solutes import Solute
from amp_tf.simulation.summary import first_peak
from amp_tf.simulation.water_box import Simulation
from amp_tf.systems import System
from datasets.qmmm_solutes import geometries
from reproductions.water_clusters import WEIGHTS

WATER = Solute("water", np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]), 0)
SHORT = {"picoseconds": 0.004, "interval": 2, "time_step": 0.2, "relaxation": 0.001, "equilibration": 0.02, "zone": 6.0}


@pytest.fixture(scope="module")
def path():
    """A potential of water that ships, for the molecule alone: it knows geometries near the equilibrium only."""
    return WEIGHTS / "laptop" / "AMP(2).keras"


class FlexibleWater:
    """In place of a potential where the molecule must hold in water: springs between its atoms, and fixed charges."""

    embeds_charges, mm_nodes, training_ranges, target = True, False, None, "energy"

    def __init__(self, scale=1.0):
        self.scale = scale  # of the charges

    def warn_of_ranges(self, systems):
        pass

    charges = np.array([-0.82, 0.41, 0.41])
    springs = ((0, 1, 0.96, 3000.0), (0, 2, 0.96, 3000.0), (1, 2, 1.52, 500.0))
    """First atom, second atom, angstrom, kJ/mol/angstrom²."""

    def check_systems(self, systems):
        pass

    check_charges = check_systems

    def compute(self, numbers, positions, total_charge):
        return {"charges": self.charges}

    def compute_systems(self, systems, mm_potentials, xla):
        result = self._compute(systems[0].positions, systems[0].mm_positions, systems[0].mm_charges)
        return {name: [value] for name, value in result.items()}

    def _compute(self, positions, mm_positions, mm_charges):
        energy, gradients = 0.0, np.zeros((3, 3))
        for first, second, length, strength in self.springs:
            vector = positions[first] - positions[second]
            distance = np.linalg.norm(vector)
            energy += 0.5 * strength * (distance - length) ** 2
            gradients[first] += strength * (distance - length) * vector / distance
            gradients[second] -= strength * (distance - length) * vector / distance
        charges = self.scale * self.charges
        result = {"energy": energy, "qm_gradients": gradients, "charges": charges}
        vectors = mm_positions[None] - positions[:, None]
        inverse = 1.0 / np.linalg.norm(vectors, axis=-1)
        potentials = units.COULOMB_CONSTANT * charges @ inverse
        forces = (units.COULOMB_CONSTANT * charges[:, None] * mm_charges * inverse**3)[..., None] * vectors
        more = {"qm_gradients": gradients + forces.sum(axis=1), "mm_gradients": -forces.sum(axis=0), "mm_potentials": potentials}
        return result | more | {"energy": energy + potentials @ mm_charges}


@pytest.fixture
def springs(monkeypatch, tmp_path):
    """The path of a potential that is read as :class:`FlexibleWater`."""
    for module in ("amp_tf.simulation.scene", "amp_tf.simulation.dynamics", "amp_tf.interfaces.openmm"):
        monkeypatch.setattr(f"{module}.load_potential", lambda path: FlexibleWater())
    path = tmp_path / "springs.keras"
    path.write_text("springs")
    return path


def run(folder, path, progress=False, n_members=1, collect=None, above=0.0, gas=False, setup=None, **changes):
    dynamics, setup = Dynamics(**SHORT | changes), setup or SoluteInWater(WATER, gas)
    return Run(folder, [path] * n_members, setup, dynamics, False, n_threads=1, collect=collect, collect_above=above).run(progress=progress)


def table_of(folder):
    return np.genfromtxt(folder / "energies.csv", delimiter=",", names=True)


def test_a_run_in_water_leaves_all_files_and_goes_on_longer(springs, tmp_path):
    path, folder = springs, tmp_path / "run"
    summary = run(folder, path)
    names = {
        "settings.json",
        "start.npz",
        "topology.pdb",
        "trajectory.dcd",
        "energies.csv",
        "checkpoint.npz",
        "summary.json",
        "summary.png",
    }
    assert {file.name for file in folder.iterdir()} == names
    table = table_of(folder)
    assert table.dtype.names == COLUMNS
    np.testing.assert_allclose(table["time_ps"], 0.0004 * np.arange(1, 11))
    assert summary["frames"] == 10
    assert summary == json.loads((folder / "summary.json").read_text())
    assert set(summary["bonds"]) == {"O1-H2", "O1-H3"}
    size = (folder / "trajectory.dcd").stat().st_size
    longer = run(folder, path, picoseconds=0.006)
    assert longer["frames"] == 15
    np.testing.assert_array_equal(table_of(folder)[:10], table)
    assert (folder / "trajectory.dcd").stat().st_size - 276 == (size - 276) * 15 // 10
    with pytest.raises(InputError, match=r"holds a run with other settings \(dynamics\.temperature\)"):
        run(folder, path, temperature=310.0)


CODE = """
import sys
from pathlib import Path
from amp_tf.simulation import dynamics
from tests.simulation.test_dynamics import run
dynamics.SECONDS_BETWEEN_CHECKPOINTS = 0.0
run(Path(sys.argv[1]), Path(sys.argv[2]), picoseconds=1.0, gas=True)
"""


def test_kill_9_and_the_same_run_goes_on(path, tmp_path):
    """Frames that were written after the last checkpoint are cut off and come once more."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder), str(path)])
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.npz").is_file() or not int(np.load(folder / "checkpoint.npz")["step"]):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    frames = int(np.load(folder / "checkpoint.npz")["step"]) // SHORT["interval"]
    with open(folder / "energies.csv", "a") as file:
        file.write("half a ro")
    with open(folder / "trajectory.dcd", "ab") as file:
        file.write(b"half a frame")
    before = (folder / "energies.csv").read_text().splitlines()[: frames + 1]
    n_frames = frames + 5
    run(folder, path, picoseconds=n_frames * SHORT["interval"] * SHORT["time_step"] * 1e-3, gas=True)
    lines = (folder / "energies.csv").read_text().splitlines()
    assert lines[: frames + 1] == before
    assert [int(line.split(",")[0]) for line in lines[1:]] == [2 * (number + 1) for number in range(n_frames)]
    assert (folder / "trajectory.dcd").stat().st_size == 276 + n_frames * 3 * (4 * 3 + 8)


@pytest.fixture(scope="module")
def in_gas(path, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("gas") / "run"
    run(folder, path, gas=True)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("settings.json", b'{"dynamics', "damaged; remove its folder"),
        ("settings.json", b"\xff\xfe", "damaged; remove its folder"),
        ("settings.json", b"[]", "damaged; remove its folder"),
        ("start.npz", b"PK", "is damaged; delete it and run the same command"),
        ("checkpoint.npz", b"", "is damaged; delete it and run the same command"),
        ("checkpoint.npz", "start.npz", "is damaged; delete it and run the same command"),
        ("trajectory.dcd", b"short", "shorter than .*checkpoint.npz says; copy it again, or delete both"),
        ("energies.csv", None, "shorter than .*checkpoint.npz says"),
        ("energies.csv", b"a,b\n" * 1000, "damaged; copy it again"),
    ],
)
def test_damaged_files_of_a_run_are_named(path, in_gas, tmp_path, name, content, complaint):
    folder = shutil.copytree(in_gas, tmp_path / "run")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes((in_gas / content).read_bytes() if isinstance(content, str) else content)
    with pytest.raises(DataFileError, match=f"{name}.*{complaint}"):
        run(folder, path, gas=True)


def test_what_a_killed_run_was_writing_is_removed(path, in_gas, tmp_path):
    folder = shutil.copytree(in_gas, tmp_path / "run")
    (folder / "partial.1-2.checkpoint.npz").write_bytes(b"half")
    run(folder, path, gas=True)
    assert {file.name for file in folder.iterdir()} == {file.name for file in in_gas.iterdir()}


@pytest.fixture
def committee(monkeypatch, springs):
    """The path of potentials of which every second one that is read has charges a tenth larger."""
    scales = itertools.cycle([1.0, 1.1])
    monkeypatch.setattr("amp_tf.interfaces.openmm.load_potential", lambda path: FlexibleWater(next(scales)))
    return springs


def test_frames_on_which_a_committee_disagrees_can_be_labelled(committee, tmp_path):
    """Extended xyz and point charges, read as ``relabel`` reads them; a run that goes on cuts them back and appends."""
    collect = tmp_path / "frames.xyz"
    longer = {"picoseconds": 0.25, "time_step": 0.5, "interval": 20, "n_members": 2, "collect": collect}
    run(tmp_path / "run", committee, **longer)
    data = geometries(collect, tmp_path / "frames.pc.xyz")
    (group,) = data.groups
    assert len(group) == 3
    np.testing.assert_allclose(group.frame_properties["time_ps"], [0.01, 0.11, 0.21])
    assert np.all(group.frame_properties["disagreement"] > 1.0)
    assert np.all(group.system(0).atomic_numbers == WATER.atomic_numbers)
    charges = group.system(0).mm_charges
    assert set(np.round(charges, 4)) == {-0.8476, 0.4238}
    assert len(charges) % 3 == 0
    text = collect.read_text()
    collect.write_text(text + "what a killed run wrote after its checkpoint")
    run(tmp_path / "run", committee, **longer | {"picoseconds": 0.35})
    assert collect.read_text().startswith(text)
    assert len(geometries(collect, tmp_path / "frames.pc.xyz")) == 4
    with pytest.raises(InputError, match="is there already; choose another name for the collected frames"):
        run(tmp_path / "another", committee, **longer)
    collect.write_text(text[:10])
    with pytest.raises(DataFileError, match="shorter than the run left it"):
        run(tmp_path / "run", committee, **longer)


def test_only_its_own_file_of_frames_is_cut_back(committee, tmp_path, monkeypatch):
    """That of another run is refused, also after a call without --collect, which forgets nothing."""
    monkeypatch.setattr("amp_tf.simulation.collect.PICOSECONDS_BETWEEN", 0.004)
    mine, other = tmp_path / "mine.xyz", tmp_path / "other.xyz"
    longer = {"picoseconds": 0.004, "time_step": 0.5, "interval": 4, "n_members": 2}
    for folder, file in (("a", mine), ("b", other)):
        run(tmp_path / folder, committee, **longer, collect=file)
    before = other.read_bytes()
    with pytest.raises(InputError, match="is there already; choose another name"):
        run(tmp_path / "a", committee, **longer, collect=other)
    assert other.read_bytes() == before
    run(tmp_path / "a", committee, **longer | {"picoseconds": 0.006})
    run(tmp_path / "a", committee, **longer | {"picoseconds": 0.012}, collect=mine)
    assert [frame.info["time_ps"] for frame in ase.io.read(mine, index=":")] == [0.002, 0.008, 0.012]


def test_a_file_of_frames_belongs_to_one_run_at_a_time(tmp_path):
    first = Collection(tmp_path / "frames.xyz", 1.0)
    with pytest.raises(InputError, match="is in use by another run"):
        Collection(tmp_path / "frames.xyz", 1.0)
    first.close()
    Collection(tmp_path / "frames.xyz", 1.0).close()


def test_agreement_collects_nothing(committee, tmp_path):
    run(tmp_path / "run", committee, n_members=2, collect=tmp_path / "frames.xyz", above=1e3)
    assert (tmp_path / "frames.xyz").read_text() == ""


def test_one_potential_cannot_disagree(springs, tmp_path):
    with pytest.raises(InputError, match="give two potentials or more"):
        run(tmp_path / "run", springs, collect=tmp_path / "frames.xyz")


def test_a_run_stops_outside_the_training_data_and_goes_on_with_a_wider_margin(monkeypatch, springs, tmp_path):
    ranges = training_ranges([System(WATER.atomic_numbers, WATER.positions)])
    monkeypatch.setattr(FlexibleWater, "training_ranges", ranges)
    folder, collect = tmp_path / "run", tmp_path / "frames.xyz"
    settings = {"picoseconds": 0.1, "gas": True, "temperature": 3000.0, "time_step": 0.2, "n_members": 2, "collect": collect}
    with pytest.raises(
        SimulationError,
        match=r"stopped (at 0\.\d+ ps|before the first frame): .*the training data have .* to .*The frame is in .*last.xyz; the same "
        "command goes on with other random numbers; settings other than margin and length need another folder",
    ):
        run(folder, springs, margin=0.05, **settings)
    last = ase.io.read(folder / "last.xyz")
    assert (folder / "last.pc.xyz").read_text() == "0\n"
    np.testing.assert_allclose(last.positions, ase.io.read(collect, index=-1).positions, atol=1e-4)
    assert ranges.geometry_complaint(System(last.numbers, last.positions), margin=0.05)
    summary = run(folder, springs, margin=np.inf, **settings)
    assert summary["picoseconds"] == pytest.approx(0.1)
    assert summary["stops"] == 1


def test_another_s_file_of_the_name_of_the_last_frame_is_not_written_over(path, tmp_path):
    (tmp_path / "last.xyz").write_text("mine")
    with pytest.raises(InputError, match=r"is no run's, and holds last\.xyz"):
        run(tmp_path, path, gas=True)


def test_an_interrupted_run_keeps_its_last_frame(path, tmp_path, monkeypatch):
    """Not that of the last checkpoint alone."""
    record, asked = Run._record, []

    def interrupted(self, simulation, frame):
        asked.append(frame)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return record(self, simulation, frame)

    monkeypatch.setattr(Run, "_record", interrupted)
    with pytest.raises(AmpTFError, match=r"interrupted; .* run the same command to go on"):
        run(tmp_path / "run", path, gas=True)
    summary = run(tmp_path / "run", path, gas=True)
    assert asked == [1, 2, 3, 4, 5, *range(5, 11)]
    assert summary["frames"] == 10
    assert summary["stops"] == 0


def test_a_run_that_begins_to_collect_and_is_killed_goes_on(committee, tmp_path, monkeypatch):
    """The file of frames is this run's before its first frame."""
    collect, longer = tmp_path / "frames.xyz", {"picoseconds": 0.004, "time_step": 0.5, "interval": 4, "n_members": 2}
    run(tmp_path / "run", committee, **longer)

    class Killed(BaseException):
        """In place of a kill -9."""

    keep = Collection.keep

    def killed(self, *given, **named):
        keep(self, *given, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "keep", killed)
        with pytest.raises(Killed):
            run(tmp_path / "run", committee, **longer | {"picoseconds": 0.006}, collect=collect)
    assert collect.read_text()
    run(tmp_path / "run", committee, **longer | {"picoseconds": 0.006}, collect=collect)
    assert [frame.info["time_ps"] for frame in ase.io.read(collect, index=":")] == [0.006]


def test_the_barostat_moves_the_box(springs, tmp_path):
    run(tmp_path / "run", springs, ensemble="npt", picoseconds=0.03, time_step=0.2, interval=10)
    assert len(set(table_of(tmp_path / "run")["volume_angstrom3"])) > 1


def test_energy_is_conserved_without_a_thermostat(springs, tmp_path):
    """In water, molecules crossing the edge of the zone; the rest is noise of particle mesh Ewald in single precision."""
    run(tmp_path / "run", springs, ensemble="nve", picoseconds=0.1, interval=5, relaxation=0.05)
    table = table_of(tmp_path / "run")
    assert np.std(table["total_energy_kj_per_mol"]) < 0.05
    assert np.std(table["kinetic_energy_kj_per_mol"]) > 2.0


def test_forces_of_the_field_in_longer_steps(springs, monkeypatch, tmp_path):
    """From the same checkpoint in steps of two and of four nearly the same trajectory, energies conserved to second order."""
    integrators, on_cpu = [], dynamics.on_cpu

    def kept(system, integrator, *rest):
        integrators.append(type(integrator).__name__)
        return on_cpu(system, integrator, *rest)

    monkeypatch.setattr(dynamics, "on_cpu", kept)
    asked, compute = [], FlexibleWater.compute_systems
    monkeypatch.setattr(FlexibleWater, "compute_systems", lambda *given, **named: asked.append(1) or compute(*given, **named))
    settings = {"ensemble": "nve", "time_step": 0.5, "interval": 8, "relaxation": 0.05}
    run(tmp_path / "two", springs, picoseconds=0.004, mm_time_step=1.0, **settings)
    shutil.copytree(tmp_path / "two", tmp_path / "four")
    record = tmp_path / "four" / "settings.json"
    record.write_text(record.read_text().replace('"mm_time_step": 1.0', '"mm_time_step": 2.0'))
    for name, step in (("two", 1.0), ("four", 2.0)):
        asked.clear()
        run(tmp_path / name, springs, picoseconds=0.1, mm_time_step=step, **settings)
        assert 192 <= len(asked) < 1.1 * 192  # the potential at every step of half a femtosecond
    assert integrators == ["LangevinMiddleIntegrator", *["MTSIntegrator"] * 3]
    two, four = (table_of(tmp_path / name) for name in ("two", "four"))
    np.testing.assert_allclose(four["time_ps"], two["time_ps"])
    for column in ("potential_energy_kj_per_mol", "solute_energy_kj_per_mol"):
        np.testing.assert_allclose(four[column], two[column], atol=0.1 * np.ptp(two[column]), err_msg=column)
    noises = [np.std(table["total_energy_kj_per_mol"]) for table in (two, four)]
    assert noises[1] < 0.01 * np.ptp(four["potential_energy_kj_per_mol"])
    assert 2.0 < noises[1] / noises[0] < 8.0  # of second order in the longer step
    usual, longer = (
        run(tmp_path / f"nvt{step}", springs, picoseconds=0.1, mm_time_step=step, **settings | {"ensemble": "nvt"}) for step in (None, 2.0)
    )
    assert integrators[-1] == "MTSLangevinIntegrator"
    assert longer["surroundings_temperature_k"] == pytest.approx(usual["surroundings_temperature_k"], rel=0.1)


def test_temperature_of_maxwell_boltzmann_velocities():
    random = np.random.default_rng(0)
    masses = np.repeat([16.0, 1.0], 50_000)
    velocities = random.normal(size=(100_000, 3)) * np.sqrt(8.31446261815324e-3 * 300.0 / masses * 100.0)[:, None]
    assert temperature(masses, velocities, 0) == pytest.approx(300.0, rel=0.01)


def test_the_distribution_of_points_at_random_is_one(random):
    """And the bonds of every frame are measured."""
    box, n_waters = 25.0, 2000
    scene = SoluteInWater(WATER).scene(np.zeros((3 * n_waters + 3, 3)), box * np.eye(3))
    distributions = RadialDistributions(WATER, scene.atoms, scene.waters)
    frames = mdtraj.Trajectory(random.uniform(-5, 5, size=(50, 3 * n_waters + 3, 3)), mdtraj.Topology.from_openmm(scene.topology))
    frames.xyz[:, scene.atoms] = 0.1 * (WATER.positions + 30.0)
    frames.unitcell_vectors = np.repeat(0.1 * box * np.eye(3)[None], 50, axis=0)
    distributions.add(frames)
    curves = distributions.curves()
    assert set(curves) == {"O-O", "O-H", "H(O)-O", "H(O)-H"}
    for distances, values in curves.values():
        far = distances > 3.0
        assert len(values) == RDF_BINS
        assert distances[-1] < RDF_RANGE
        assert np.mean(values[far]) == pytest.approx(1.0, abs=0.03)
    expected = np.linalg.norm(WATER.positions[1:], axis=1)
    np.testing.assert_allclose(bond_lengths(frames, scene.atoms, np.array([[0, 1], [0, 2]])), np.tile(expected, (50, 1)), rtol=1e-5)


@pytest.mark.parametrize("at", [1.83, 1.84, 1.853])
def test_a_peak_is_found_between_bins(at, random):
    """Of noisy values of a parabola's top; without a maximum there is none."""
    distances = 0.0125 + 0.025 * np.arange(400)
    values = 1.5 - 4.0 * (distances - at) ** 2 + 0.003 * random.normal(size=400)
    found = first_peak(distances, np.where(np.abs(distances - at) < 0.5, values, 0.3))
    assert found["angstrom"] == pytest.approx(at, abs=0.006)
    assert found["g"] == pytest.approx(1.5, abs=0.006)
    assert first_peak(distances, np.full(400, 0.4)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ensemble": "nvp"}, "choose one of nvt, npt, nve"),
        ({"picoseconds": 0.0}, "picoseconds must be positive"),
        ({"time_step": float("nan")}, "time_step must be positive"),
        ({"picoseconds": float("inf")}, "picoseconds must be positive"),
        ({"seed": -1}, "seed must not be negative"),
        ({"mm_time_step": 0.7}, "mm_time_step must be a multiple of time_step, 0.5 fs, got 0.7"),
        ({"mm_time_step": 0.2}, "mm_time_step must be a multiple of time_step"),
        ({"mm_time_step": float("nan")}, "mm_time_step must be a multiple of time_step"),
        ({"mm_time_step": 2.0, "interval": 50}, "interval must be a multiple of the 4 steps in one of mm_time_step, such as 48, got 50"),
        ({"zone": 1.0}, "larger than the width over which charges are switched off, .* got 1.0 and 2.0 angstrom"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        Dynamics(**changes)


def test_a_folder_that_is_no_runs_is_left_alone(path, tmp_path):
    (tmp_path / "topology.pdb").write_text("mine")
    with pytest.raises(InputError, match=r"is no run's, and holds topology\.pdb, which a run would write over; choose another folder"):
        run(tmp_path, path, gas=True)
    assert [file.name for file in tmp_path.iterdir()] == ["topology.pdb"]
    assert (tmp_path / "topology.pdb").read_text() == "mine"


def test_before_the_first_checkpoint_other_settings_begin_anew(springs, monkeypatch, tmp_path):
    """A zone that is too large for the box is found when the water is there: the corrected command runs in the same folder."""
    monkeypatch.setattr("amp_tf.simulation.water_box.box_length", lambda *_: 22.0)
    with pytest.raises(InputError, match="take a larger box or a smaller zone"):
        run(tmp_path / "run", springs, zone=12.0)
    (tmp_path / "run" / "stopped.npz").write_bytes(b"stops of the other settings")
    assert run(tmp_path / "run", springs)["frames"] == 10


def test_a_trajectory_is_not_begun_anew_for_want_of_its_checkpoint(path, in_gas, tmp_path):
    folder = shutil.copytree(in_gas, tmp_path / "run")
    (folder / "checkpoint.npz").unlink()
    with pytest.raises(DataFileError, match=r"trajectory\.dcd has no checkpoint\.npz to go on from; move it and energies\.csv out"):
        run(folder, path, gas=True)
    assert (folder / "trajectory.dcd").read_bytes() == (in_gas / "trajectory.dcd").read_bytes()
    for name in ("trajectory.dcd", "energies.csv"):
        (folder / name).unlink()
    assert run(folder, path, gas=True)["frames"] == 10


def test_what_is_refused_claims_no_folder(path, tmp_path):
    """A solute alone has no pressure; the corrected command then runs in the same folder."""
    with pytest.raises(InputError, match="no periodic box has no pressure"):
        run(tmp_path / "run", path, gas=True, ensemble="npt")
    assert list((tmp_path / "run").glob("settings.json")) == []


def test_numbers_that_are_none_stop_a_run_with_its_frame(springs, monkeypatch, tmp_path):
    """Of the potential on its way, after which OpenMM's positions are none either."""
    calls, whole = itertools.count(), FlexibleWater._compute

    def broken(self, *arguments):
        return whole(self, *arguments) | ({"energy": np.nan} if next(calls) > 4 else {})

    monkeypatch.setattr(FlexibleWater, "_compute", broken)
    with pytest.raises(SimulationError, match=r"stopped .*: positions, energies or forces are no numbers any more.* The frame is in"):
        run(tmp_path / "run", springs, gas=True)
    assert np.all(np.isfinite(ase.io.read(tmp_path / "run" / "last.xyz").positions))
    monkeypatch.setattr(FlexibleWater, "_compute", whole)
    assert run(tmp_path / "run", springs, gas=True)["frames"] == 10


def test_after_a_stop_the_same_command_goes_another_way(springs, monkeypatch, tmp_path):
    """With the random numbers of before it would stop at the same place, as it was on the same path."""
    whole, calls, paths = FlexibleWater._compute, itertools.count(), []

    def stops_once(self, positions, *arguments):
        paths[-1].append(positions)
        if next(calls) == 12:
            raise InputError("no further.")
        return whole(self, positions, *arguments)

    monkeypatch.setattr(FlexibleWater, "_compute", stops_once)
    monkeypatch.setattr("amp_tf.simulation.dynamics.SECONDS_BETWEEN_CHECKPOINTS", np.inf)
    paths.append([])
    with pytest.raises(SimulationError, match="stopped at"):
        run(tmp_path / "run", springs, gas=True, relaxation=0.0)
    paths.append([])
    assert run(tmp_path / "run", springs, gas=True, relaxation=0.0)["frames"] == 10
    at_checkpoint = next(number for number, place in enumerate(paths[0]) if np.allclose(place, paths[1][0]))
    assert np.abs(paths[0][at_checkpoint + 8] - paths[1][8]).max() > 1e-5


def test_what_the_potential_refuses_on_the_way_stops_a_run_with_its_frame(springs, monkeypatch, tmp_path):
    """As AMP-BMS does hydrogen atoms that come too close."""
    calls, whole = itertools.count(), FlexibleWater._compute

    def refusing(self, *arguments):
        if next(calls) > 4:
            raise InputError("two hydrogen atoms are closer than 0.7 angstrom.")
        return whole(self, *arguments)

    monkeypatch.setattr(FlexibleWater, "_compute", refusing)
    with pytest.raises(SimulationError, match=r"stopped .*: two hydrogen atoms are closer .* The frame is in"):
        run(tmp_path / "run", springs, gas=True)
    assert (tmp_path / "run" / "last.xyz").is_file()


@pytest.mark.parametrize(("where", "name", "at"), [(Simulation, "step", 5), (FlexibleWater, "_compute", 15)])
def test_ctrl_c_keeps_the_run(springs, monkeypatch, tmp_path, where, name, at):
    """Between steps, or within the potential, where OpenMM makes an exception of its own of it."""
    whole, calls = getattr(where, name), itertools.count()

    def interrupted(self, *arguments):
        if next(calls) == at:
            raise KeyboardInterrupt
        return whole(self, *arguments)

    monkeypatch.setattr(where, name, interrupted)
    with pytest.raises(AmpTFError, match=r"interrupted; the run in .* is kept: run the same command to go on"):
        run(tmp_path / "run", springs, gas=True)
    assert run(tmp_path / "run", springs, gas=True)["frames"] == 10
    assert len(table_of(tmp_path / "run")) == 10


def test_frames_of_a_run_that_stopped_early_are_its_own(monkeypatch, springs, tmp_path):
    """It stops before its first checkpoint, keeps the frame, and the same command goes on."""
    ranges = training_ranges([System(WATER.atomic_numbers, 1.4 * WATER.positions)])
    monkeypatch.setattr(FlexibleWater, "training_ranges", ranges)
    settings = {"gas": True, "n_members": 2, "collect": tmp_path / "frames.xyz", "above": 1e3}
    for _ in range(2):
        with pytest.raises(SimulationError, match="stopped before the first frame"):
            run(tmp_path / "run", springs, **settings)
        assert len(ase.io.read(tmp_path / "frames.xyz", index=":")) == 1  # once, though it stopped there twice
    monkeypatch.setattr(FlexibleWater, "training_ranges", None)
    assert run(tmp_path / "run", springs, **settings)["frames"] == 10
    assert len(ase.io.read(tmp_path / "frames.xyz", index=":")) == 1


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A box of TIP3P water with ions as PDB, and its system as XML with a barostat."""
    import openmm
    from openmm import app, unit

    folder = tmp_path_factory.mktemp("prepared")
    field = app.ForceField("amber14/tip3p.xml")
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    box = openmm.Vec3(2.4, 2.2, 2.3) * unit.nanometer
    modeller.addSolvent(field, model="tip3p", boxSize=box, ionicStrength=0.3 * unit.molar)
    with open(folder / "water.pdb", "w") as file:
        app.PDBFile.writeFile(modeller.topology, modeller.positions, file)
    system = field.createSystem(modeller.topology, app.PME, 0.9 * unit.nanometer)
    system.addForce(openmm.MonteCarloBarostat(1.0, 300.0))
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    return folder


@pytest.mark.parametrize("given", [{"system": "system.xml"}, {"force_fields": ["amber14/tip3p.xml"]}])
def test_a_residue_of_a_prepared_system_moves(prepared, springs, tmp_path, given):
    """Its water molecule number 1 is the solute; all others are seen, ions too, in a rectangular box."""
    given = {key: prepared / value if key == "system" else value for key, value in given.items()}
    setup = PreparedSystem(prepared / "water.pdb", residues=["A:1"], **given)
    assert setup.solute.charge == 0
    summary = run(tmp_path / "run", springs, setup=setup, picoseconds=0.02, time_step=0.5, interval=10, relaxation=0.01)
    assert summary["whole"]
    assert 200.0 < summary["surroundings_temperature_k"] < 400.0
    table = table_of(tmp_path / "run")
    np.testing.assert_allclose(table["volume_angstrom3"], 24.0 * 22.0 * 23.0)
    frames = ase.io.read(tmp_path / "run" / "topology.pdb")
    assert len(frames) == setup.scene(*setup.start(springs, None, (0, 0, 0), 1)).system.getNumParticles()
    longer = run(tmp_path / "run", springs, setup=setup, picoseconds=0.03, time_step=0.5, interval=10, relaxation=0.01)
    assert longer["frames"] == summary["frames"] + 2


def test_the_box_of_a_prepared_system_is_that_of_its_structure(prepared, tmp_path):
    """A simulation at constant pressure has changed it since the XML was written."""
    lines = (prepared / "water.pdb").read_text().splitlines(keepends=True)
    changed = [
        line.replace("24.000   22.000   23.000", "25.000   22.500   23.500") if line.startswith("CRYST1") else line for line in lines
    ]
    assert changed != lines
    (tmp_path / "later.pdb").write_text("".join(changed))
    setup = PreparedSystem(tmp_path / "later.pdb", prepared / "system.xml", residues=["A:1"])
    _, box = setup.start(tmp_path, None, (0, 0, 0), 1)
    np.testing.assert_allclose(np.diag(box), [25.0, 22.5, 23.5])
    (tmp_path / "without.pdb").write_text("".join(line for line in lines if not line.startswith("CRYST1")))
    setup = PreparedSystem(tmp_path / "without.pdb", prepared / "system.xml", residues=["A:1"])
    np.testing.assert_allclose(np.diag(setup.start(tmp_path, None, (0, 0, 0), 1)[1]), [24.0, 22.0, 23.0])


def test_a_system_without_images_has_no_box(prepared, tmp_path):
    """Whatever the structure says: trajectories and distributions would take it for theirs."""
    from openmm import XmlSerializer, app

    system = app.ForceField("amber14/tip3p.xml").createSystem(app.PDBFile(str(prepared / "water.pdb")).topology)
    (tmp_path / "alone.xml").write_text(XmlSerializer.serialize(system))
    setup = PreparedSystem(prepared / "water.pdb", tmp_path / "alone.xml", residues=["A:1"])
    assert not setup.is_periodic
    assert setup.scene(setup.solute.positions, np.zeros((3, 3))).topology.getPeriodicBoxVectors() is None


def test_a_molecule_with_virtual_sites_moves(springs, tmp_path):
    """A water of TIP4P: the force field's charge on its site is no charge of the solute, and the site is none of its atoms."""
    from openmm import Vec3, app, unit

    field = app.ForceField("tip4pew.xml")
    modeller = app.Modeller(app.Topology(), [] * unit.nanometer)
    modeller.addSolvent(field, model="tip4pew", boxSize=Vec3(2.2, 2.2, 2.2) * unit.nanometer)
    with open(tmp_path / "water.pdb", "w") as file:
        app.PDBFile.writeFile(modeller.topology, modeller.positions, file)
    setup = PreparedSystem(tmp_path / "water.pdb", force_fields=["tip4pew.xml"], residues=["A:1"])
    assert setup.solute.charge == 0
    assert setup.solute.atomic_numbers.tolist() == [8, 1, 1]
    assert run(tmp_path / "run", springs, setup=setup)["frames"] == 10


def test_molecules_of_a_region_are_brought_together(prepared, tmp_path):
    """Two waters as QM region, of which the structure has one in the next image."""
    lines = (prepared / "water.pdb").read_text().splitlines(keepends=True)
    here = PreparedSystem(prepared / "water.pdb", prepared / "system.xml", residues=["A:1", "A:2"])
    second = [number for number, line in enumerate(lines) if line.startswith(("ATOM", "HETATM")) and line[20:26].split() == ["A", "2"]]
    for number in second:
        x = float(lines[number][30:38]) + 24.0
        lines[number] = f"{lines[number][:30]}{x:8.3f}{lines[number][38:]}"
    assert len(second) == 3
    (tmp_path / "wrapped.pdb").write_text("".join(lines))
    wrapped = PreparedSystem(tmp_path / "wrapped.pdb", prepared / "system.xml", residues=["A:1", "A:2"])
    np.testing.assert_allclose(wrapped.solute.positions, here.solute.positions, atol=1e-3)
    assert np.linalg.norm(wrapped.solute.positions[0] - wrapped.solute.positions[3]) < 19.0


def test_a_prepared_system_that_cannot_be_is_refused(prepared, springs, tmp_path):
    structure = prepared / "water.pdb"
    with pytest.raises(InputError, match=r"give --system .* or --force-field, one of the two"):
        PreparedSystem(structure)
    with pytest.raises(InputError, match="nothing but water and ions; name the residues"):
        PreparedSystem(structure, prepared / "system.xml")
    with pytest.raises(InputError, match="--qm LIG: no residue has this name or number; there are "):
        PreparedSystem(structure, prepared / "system.xml", residues=["LIG"])
    with pytest.raises(InputError, match="no system can be made of it"):
        PreparedSystem(structure, force_fields=["amber14/nothing.xml"])
    with pytest.raises(InputError, match="no system can be made of it"):
        PreparedSystem(tmp_path / "gone.pdb", prepared / "system.xml")
    lines = structure.read_text().splitlines(keepends=True)
    (tmp_path / "less.pdb").write_text("".join(lines[:-5] + lines[-2:]))
    with pytest.raises(InputError, match="give two that belong together"):
        PreparedSystem(tmp_path / "less.pdb", prepared / "system.xml", residues=["A:1"])
    with pytest.raises(InputError, match="several residues have this number; choose of A:1, B:1"):
        PreparedSystem(structure, prepared / "system.xml", residues=["1"])
    setup = PreparedSystem(structure, prepared / "system.xml", residues=["A:1"])
    with pytest.raises(InputError, match="take a larger box or a smaller zone"):
        run(tmp_path / "run", springs, setup=setup, zone=14.0)
    result = CliRunner().invoke(cli.app, ["md", str(springs), "O", str(tmp_path / "other"), "--qm", "LIG"])
    assert "--qm goes with a prepared system" in str(result.exception)


def test_the_command_runs_a_molecule_alone(path, tmp_path):
    arguments = [str(path), "O", str(tmp_path / "run"), "--gas", "--time", "0.002", "--time-step", "0.2", "--interval", "2"]
    result = CliRunner().invoke(cli.app, ["md", *arguments])
    assert result.exit_code == 0, result.output
    assert "0.002 ps, solute " in result.output
    assert (tmp_path / "run" / "summary.png").stat().st_size > 10_000
    again = subprocess.run([sys.executable, "-m", "amp_tf.cli", "md", *arguments], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in again.stdout.splitlines()] == ["0.002", *["wrote"] * 5]


@pytest.mark.parametrize(("package", "words"), [("openmm", "OpenMM is not installed"), ("rdkit", "RDKit is not installed")])
def test_what_is_not_installed_is_said(package, words, springs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(cli.app, ["md", str(springs), "uracil", str(tmp_path / "run"), "--gas"])
    assert isinstance(result.exception, EngineError)
    assert words in str(result.exception)
    assert "pip install 'amp_tf[openmm]'" in str(result.exception)
