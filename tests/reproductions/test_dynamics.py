"""The measurements of dynamics from end to end with an engine of springs, and what their numbers mean."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError, SimulationError
from amp_tf.models import load_potential
from amp_tf.simulation.dynamics import Run
from amp_tf.simulation.solutes import Solute, solute_by_name
from amp_tf.simulation.water_box import NM, WATER_CHARGES, force_field_system, import_openmm, water_topology
from datasets.engines import Calculation, CalculationError, EmbeddedResult, EmbeddingEngine
from datasets.engines.kept import KeptEngine
from figures import dynamics as figure
from reproductions import dynamics, dynamics_measures, dynamics_task, own_frames
from reproductions.bond_scans import Scan, barrier_error, bonds_to_hydrogen, deepest_hole, scans, stretched_to, water_on_bond, with_water
from reproductions.dynamics_holes import errors_in_holes
from reproductions.folders import WEIGHTS

START = solute_by_name("uracil")
WATER = Solute("water", np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]), 0)


class Springs(EmbeddingEngine):
    """Springs between all atoms at the distances where they were first asked for; charges act on nothing."""

    name, install = "springs", "nothing"

    def __init__(self):
        super().__init__("springs")
        self.distances = None

    def version(self):
        return "1"

    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        vectors = calculation.positions[:, None] - calculation.positions[None]
        distances = np.linalg.norm(vectors, axis=-1) + np.eye(len(vectors))
        if self.distances is None:
            self.distances = distances
        change = distances - self.distances
        n_mm = 0 if calculation.mm_charges is None else len(calculation.mm_charges)
        gradients = 500.0 * (change / distances)[..., None] * vectors
        charges = np.zeros(len(vectors))
        return EmbeddedResult(125.0 * np.sum(change**2), gradients.sum(axis=1), np.zeros((n_mm, 3)), charges, np.zeros(3))


def test_gradients_of_the_springs():
    engine, moved = Springs(), WATER.positions + [[0.0, 0.01, 0.02], [0.1, 0.0, 0.0], [0.0, 0.0, 0.05]]
    engine.embedded(Calculation(WATER.atomic_numbers, WATER.positions))
    energies = []
    for step in (1e-4, -1e-4):
        there = moved.copy()
        there[1, 0] += step
        energies.append(engine.embedded(Calculation(WATER.atomic_numbers, there)).energy)
    found = engine.embedded(Calculation(WATER.atomic_numbers, moved)).qm_gradients[1, 0]
    assert found == pytest.approx((energies[0] - energies[1]) / 2e-4, rel=1e-6)


def test_lennard_jones_terms_with_frozen_water_are_those_of_the_dynamics(random):
    """OpenMM's, and their gradients are derivatives."""
    openmm = import_openmm()
    water = np.concatenate([WATER.positions + shift for shift in ([3.5, 3.0, 0.5], [-4.0, 1.0, 3.0])])
    positions = START.positions + 0.05 * random.normal(size=START.positions.shape)
    around = Calculation(START.atomic_numbers, positions, mm_positions=water, mm_charges=np.tile(WATER_CHARGES, 2))
    topology = water_topology(2, 100.0)
    topology.setPeriodicBoxVectors(None)
    system = force_field_system(topology, START, np.zeros(len(positions)), frozen=False)
    energies = []
    for shift in (0.0, 1e4):
        places = np.concatenate([water, positions + shift])
        context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(places / NM)
        energies.append(context.getState(energy=True).getPotentialEnergy()._value)
    energy, gradients = with_water(START, positions, around)
    assert abs(energy) > 0.1
    assert energy == pytest.approx(energies[0] - energies[1], rel=1e-6)
    moved = [positions.copy(), positions.copy()]
    moved[0][7, 1] += 1e-5
    moved[1][7, 1] -= 1e-5
    slope = np.subtract(*(with_water(START, places, around)[0] for places in moved)) / 2e-5
    assert gradients[7, 1] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_a_water_molecule_accepts_the_hydrogen_bond(random):
    """Its oxygen atom is on the line of the bond, its own bonds are 1 angstrom; the potential errs by 0.1 kJ/mol for each charge."""
    asked = []

    class Engine(Springs):
        def embedded(self, calculation):
            asked.append(calculation)
            return super().embedded(calculation)

    class Shifted:
        def compute_systems(self, systems, gradients):
            return {"energy": np.array([5.0 + 0.1 * len(system.mm_charges) for system in systems])}

    (hydrogen, partner), distances = bonds_to_hydrogen(START)[0], (1.7, 3.0)
    ours, labels = water_on_bond(START, Shifted(), Engine(), hydrogen, partner, distances)
    np.testing.assert_allclose(ours - labels, 0.3)
    for calculation, distance in zip(asked[1:], distances, strict=True):
        water, bond = calculation.mm_positions, START.positions[hydrogen] - START.positions[partner]
        np.testing.assert_allclose(water[0] - START.positions[hydrogen], distance * bond / np.linalg.norm(bond))
        np.testing.assert_allclose(np.linalg.norm(water[1:] - water[0], axis=1), 1.0)
        assert np.all(np.linalg.norm(water[1:] - START.positions[hydrogen], axis=1) > distance)  # they point away
    assert asked[0].mm_charges is None


def test_a_label_that_fails_is_no_end_of_the_measure(monkeypatch):
    class Fails(Springs):
        """With water 3 angstrom away."""

        def embedded(self, calculation):
            if calculation.mm_positions is not None and np.linalg.norm(calculation.mm_positions[0] - START.positions[hydrogen]) > 2.5:
                raise CalculationError("does not converge")
            return super().embedded(calculation)

    class Zero:
        def compute_systems(self, systems, gradients=True):
            zeros = [np.zeros((len(system.mm_charges), 3)) for system in systems]
            return {"energy": np.zeros(len(systems)), "qm_gradients": [np.zeros((12, 3))] * len(systems), "mm_gradients": zeros}

    hydrogen, partner = bonds_to_hydrogen(START)[0]
    _, labels = water_on_bond(START, Zero(), Fails(), hydrogen, partner, (1.7, 3.0))
    np.testing.assert_array_equal(np.isnan(labels), [False, True])
    waters = [START.positions[hydrogen] + WATER.positions + [distance, 0.0, 0.0] for distance in (2.0, 3.0, 2.2)]
    monkeypatch.setattr(own_frames, "_frames", lambda run, n_frames: ((START.positions, water) for water in waters))
    task = SimpleNamespace(solute=START, engine=Fails(), potential=Zero())
    rows = own_frames.errors_on_own_frames(task, SimpleNamespace(dynamics=SimpleNamespace(temperature=300.0)), 3)
    assert rows[0]["measure"] == "2 frames of the run in water"


def test_windows_of_a_run_are_whole_and_as_long_as_they_should_be(monkeypatch):
    """Frames come fifty at a time, which windows do not follow."""

    class Counted(list):
        def __init__(self, *_):
            super().__init__()

        add, curves = list.extend, list.copy

    monkeypatch.setattr(dynamics_measures, "RadialDistributions", Counted)
    chunks = [list(range(50)), list(range(50, 100)), list(range(100, 110))]
    monkeypatch.setattr(dynamics_measures, "read_trajectory", lambda *_: iter(chunks))
    run = SimpleNamespace(trajectory=None, scene=SimpleNamespace(topology=None, solute=None, atoms=None, waters=None),
                          dynamics=SimpleNamespace(time_step=0.5, interval=2))  # fmt: skip
    assert dynamics_measures.window_curves(run, 0.03) == [list(range(first, first + 30)) for first in (0, 30, 60)]


def test_peaks_are_compared_around_all_but_carbon_and_none_is_left_out(monkeypatch):
    distances = 0.0125 + 0.025 * np.arange(400)
    peak, flat = 0.4 + np.exp(-(((distances - 2.0) / 0.2) ** 2)), np.full(400, 0.4)
    ours = {"H(C)-O": (distances, peak), "N-H": (distances, flat), "C-O": (distances, peak)}
    reference = {key: (distances, np.roll(peak, 4)) for key in ours}
    monkeypatch.setattr(dynamics_measures, "reference_curves", lambda _: (reference, 20.0))
    monkeypatch.setattr(dynamics_measures, "window_curves", lambda *_: [])
    rows, _ = dynamics_measures._structure(SimpleNamespace(reference=None), SimpleNamespace(curves=ours), [])
    shifts = {entry["measure"]: entry["value"] for entry in rows if entry["metric"] == "peak_shift"}
    assert shifts == {
        "first peak of water's O around H(C)": pytest.approx(-0.1, abs=0.01),
        "first peak of water's H around N: none in the run": None,
    }


def test_forces_on_the_nearest_water_tell_how_far_it_would_move(monkeypatch):
    """The label pulls each oxygen atom by 3 kJ/mol/angstrom towards hydrogen on nitrogen, alternately 1.8 and 2.0 angstrom away."""
    nitrogens = [partner for _, partner in bonds_to_hydrogen(START) if START.atomic_numbers[partner] == 7]
    hydrogen = next(hydrogen for hydrogen, partner in bonds_to_hydrogen(START) if partner == nitrogens[0])
    along = START.positions[hydrogen] - START.positions[nitrogens[0]]
    along /= np.linalg.norm(along)
    far = WATER.positions + 30.0
    waters = [np.concatenate([START.positions[hydrogen] + length * along + np.array([[0.0], [0.5], [0.7]]) * along, far])
              for length in (1.8, 2.0) * 5]  # fmt: skip

    class Pulls(Springs):
        def embedded(self, calculation):
            result, pull = super().embedded(calculation), np.zeros((6, 3))
            pull[0] = 3.0 * along  # gradients: the force is towards the hydrogen atom
            return result if calculation.mm_charges is None else replace(result, energy=result.energy + 7.0, mm_gradients=pull)

    ours = {"energy": [5.0], "qm_gradients": [np.full((12, 3), 0.5)], "mm_gradients": [np.zeros((6, 3))]}
    potential = SimpleNamespace(compute_systems=lambda _: ours)
    monkeypatch.setattr(own_frames, "_frames", lambda run, n_frames: ((START.positions, water) for water in waters[:n_frames]))
    task = SimpleNamespace(solute=START, engine=Pulls(), potential=potential)
    rows = own_frames.errors_on_own_frames(task, SimpleNamespace(dynamics=SimpleNamespace(temperature=300.0)), 10)
    found = {(entry["measure"], entry["metric"]): entry for entry in rows}
    values = {key: entry["value"] for key, entry in found.items()}
    assert values["10 frames of the run in water", "energy_mae"] == pytest.approx(2.0)
    assert values["10 frames of the run in water", "qm_gradients_mae"] == pytest.approx(0.5)
    assert values["10 frames of the run in water", "mm_gradients_mae"] == pytest.approx(np.abs(along).sum() * 3.0 / 18)
    assert {measure for measure, _ in values} == {"10 frames of the run in water", "water nearest to H(N)"}
    assert values["water nearest to H(N)", "mean_force_error"] == pytest.approx(3.0)
    assert found["water nearest to H(N)", "mean_force_error"]["uncertainty"] == pytest.approx(0.0, abs=1e-6)
    assert values["water nearest to H(N)", "shift_by_it"] == pytest.approx(3.0 * 0.01 / (0.0083145 * 300.0), rel=1e-3)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dynamics")
    path = dynamics.reproduce("smoke", False, folder / "results", folder / "runs", Springs())
    return json.loads(path.read_text()), folder


def test_every_measure_has_its_rows(result):
    found, _ = result
    values = {(entry["measure"], entry["metric"]): entry["value"] for entry in found["rows"]}
    assert len([key for key in values if key[1] == "barrier_error"]) == 16  # four bonds, gas and water, rigid and relaxed
    assert values["gas, 300 K, 1 seeds, 0.005 ps", "runs_whole"] in (0, 1)
    assert values["NVE, 0.005 ps", "nve_rms"] >= 0.0
    metrics = {metric for _, metric in values}
    assert metrics >= {
        "deepest_hole",
        "hydrogen_bond_error",
        "most_negative_error",
        "points_not_relaxed",
        "longest_bond",
        "mm_gradients_mae",
        "solute_temperature",
        "nve_drift",
        "step_ratio",
        "potential_time",
        "engine_time",
    }
    text = dynamics.table(found["rows"])
    assert "± 0.2" in text
    assert "<= 0.4" in text
    assert found["scans"][0]["bond"].endswith(tuple(f"H{number}" for number in range(9, 13)))


class HalfSprings(Springs):
    """Another theory; its molecules alone are 7 kJ/mol higher."""

    name = "half springs"

    def embedded(self, calculation):
        found = super().embedded(calculation)
        return replace(found, energy=0.5 * found.energy + 7.0, qm_gradients=0.5 * found.qm_gradients)


def test_a_potential_of_another_theory_goes_on_from_the_first(result, tmp_path, monkeypatch):
    """On two frames of each kind; with measures and a file of its own."""
    found, folder = result
    monkeypatch.setitem(dynamics_task.THEORIES, "pbe", replace(dynamics_task.THEORIES["pbe"], relabelled=2))
    sampler = Springs()
    sampler.embedded(Calculation(START.atomic_numbers, START.positions))
    path = dynamics.reproduce("smoke", False, tmp_path, folder / "runs", HalfSprings(), ["scans", "water"], "pbe", sampler)
    other = json.loads(path.read_text())
    assert path.name == "dynamics-pbe.smoke.json"
    assert other["potential_sha256"] != found["potential_sha256"]
    assert {scan["how"] for scan in other["scans"]} == {"rigid"}
    label, first = (next(scan for scan in of["scans"] if scan["how"] == "rigid")["label"] for of in (other, found))
    np.testing.assert_allclose(label, 0.5 * np.array(first), atol=0.02)
    assert other["measured"]["water"]["data"] is None
    metrics = {entry["metric"] for entry in other["rows"]}
    assert {"barrier_error", "runs_whole", "energy_mae"} <= metrics
    assert not {"reference_length", "peak_shift"} & metrics
    runs = folder / "runs"
    source, data = (read_reference_data(runs / f"uracil-dynamics-smoke{which}.h5") for which in ("", "-pbe"))
    assert data.sha256 == other["potential_data_sha256"]
    assert data.provenance.engine == "half springs"
    for group in data.groups:
        before = next(one for one in source.groups if one.name == group.name)
        assert len(group) == min(2, len(before))
        assert group.energies[0] == pytest.approx(0.5 * before.energies[0], abs=1e-6)  # both zero at the minimum
    (trained,) = (runs / "dynamics" / "smoke").glob(f"training-{data.sha256[:8]}-from-{found['potential_sha256'][:8]}/potential.keras")
    (joined,) = (runs / "dynamics" / "smoke").glob(f"holes-*-{source.sha256[:8]}/joined.h5")
    before = [entry["data_sha256"] for entry in load_potential(trained).provenance["started_from"]]
    assert before == [read_reference_data(joined).sha256, source.sha256]
    with pytest.raises(InputError, match="there is no measure 'speed'; choose of scans, gas, water, conservation"):
        dynamics.chosen_measures("speed", "pbe")
    with pytest.raises(InputError, match="there is no theory 'b3lyp'; choose gfn2 or pbe"):
        dynamics.reproduce("smoke", False, tmp_path, tmp_path, Springs(), theory="b3lyp")


def test_a_kept_engine_is_asked_once(tmp_path):
    class Counting(Springs):
        asked = 0

        def embedded(self, calculation):
            self.asked += 1
            if len(calculation.positions) == 1:
                raise CalculationError("no bond")
            return super().embedded(calculation)

    engine, water = Counting(), Calculation(WATER.atomic_numbers, WATER.positions)
    charged = replace(water, mm_positions=WATER.positions + 5.0, mm_charges=np.array(WATER_CHARGES))
    for _ in range(2):
        kept = KeptEngine(engine, tmp_path / "labels")
        for calculation in (water, charged, replace(water, charge=2)):
            n_mm = 0 if calculation.mm_charges is None else 3
            assert kept.embedded(calculation).mm_gradients.shape == (n_mm, 3)
        assert isinstance(kept.embedded(water).energy, float)
        assert engine.asked == 3
    alone = Calculation(np.array([1]), np.zeros((1, 3)))
    for _ in range(2):
        with pytest.raises(CalculationError, match="no bond"):
            kept.embedded(alone)
    assert engine.asked == 5
    with pytest.raises(InputError, match="holds parts of another engine, version or setting"):
        KeptEngine(HalfSprings(), tmp_path / "labels")


def test_errors_where_stretched_bonds_lead_are_those_of_the_potential(result):
    """One of the same springs has none; one that is lower where the bond is long has that much; a label that fails is no number."""
    engine, snapshots = Springs(), dynamics_task.snapshots_of(read_reference_data(result[1] / "runs" / "uracil-dynamics-smoke.h5"))[1]
    engine.embedded(Calculation(START.atomic_numbers, START.positions))

    class OfSprings:
        lower = 0.0

        def compute_systems(self, systems):
            found = [engine.embedded(Calculation(system.atomic_numbers, system.positions)) for system in systems]
            is_far = [len(system.mm_charges) > 0 for system in systems]
            energies = [result.energy + 3.0 - self.lower * far for result, far in zip(found, is_far, strict=True)]
            return {"energy": energies, "qm_gradients": [result.qm_gradients for result in found]}

    potential = OfSprings()
    errors = errors_in_holes(potential, engine, START, snapshots, 1, seed=2)
    assert len(errors) in (9, 10, 11)
    np.testing.assert_allclose(errors, 0.0, atol=1e-9)
    potential.lower = 7.0
    np.testing.assert_allclose(errors_in_holes(potential, engine, START, snapshots, 1, seed=2), -7.0)

    class Fails(Springs):
        def embedded(self, calculation):
            if calculation.mm_charges is not None:
                raise CalculationError("does not converge")
            return super().embedded(calculation)

    assert np.all(np.isnan(errors_in_holes(potential, Fails(), START, snapshots, 1, seed=2)))


def test_a_run_in_gas_that_was_stopped_is_not_whole_and_not_tried_again(result, tmp_path, monkeypatch):
    found, folder = result
    (path,) = (folder / "runs" / "dynamics" / "smoke").glob(f"*{found['potential_data_sha256'][:8]}-from-*/potential.keras")
    settings = {"picoseconds": 0.002, "interval": 2, "relaxation": 0.0}

    def stopped(self, simulation, frame):
        raise SimulationError("far outside.")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_record", stopped)
        assert dynamics_measures._gas_run(tmp_path / "run", path, START, False, settings) == (False, 0.0)
    assert dynamics_measures._gas_run(tmp_path / "run", path, START, False, settings) == (False, 0.0)
    with pytest.raises(InputError, match="holds a run with other settings"):
        dynamics_measures._gas_run(tmp_path / "run", path, START, False, settings | {"seed": 1})


def test_its_figure(result, tmp_path):
    assert figure.draw({"name": "dynamics", "preset": "smoke", "rows": []}, tmp_path) == []
    pictures = figure.draw(result[0], tmp_path)
    assert [picture.name for picture in pictures] == ["dynamics.smoke.png", "dynamics.smoke.pdf"]
    assert all(picture.stat().st_size > 10_000 for picture in pictures)


def test_measures_that_are_not_asked_for_stay(result, tmp_path, monkeypatch):
    """Of the same potential; a file of another is no place for some measures."""
    found, folder = result
    path = tmp_path / "dynamics.smoke.json"
    altered = [entry | {"value": 1.0} for entry in found["rows"]]
    path.write_text(json.dumps(found | {"rows": altered, "measured": found["measured"] | {"gas": "before"}}))

    def again(measures):
        return json.loads(
            dynamics.reproduce("smoke", False, tmp_path, folder / "runs", Springs(), dynamics.chosen_measures(measures)).read_text()
        )

    now = again("conservation")
    assert [entry["part"] for entry in now["rows"]] == [entry["part"] for entry in found["rows"]]
    for before, after in zip(found["rows"], now["rows"], strict=True):
        assert after == (before if after["part"] == "conservation" else before | {"value": 1.0})
    assert (now["measured"]["gas"], now["data"], now["scans"]) == ("before", found["data"], found["scans"])
    for old in ({"potential_sha256": "another"}, {"measured": None}):
        path.write_text(json.dumps({key: value for key, value in (found | old).items() if value is not None}))
        with pytest.raises(InputError, match="is of another potential, or of an earlier version; take all measures, or move it away"):
            again("conservation")
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setitem(dynamics.MEASURES, "conservation", lambda task: 1 / 0)  # a measure that is interrupted takes none before it along
        with pytest.raises(ZeroDivisionError):
            again("conservation, gas")
    assert list(json.loads(path.read_text())["measured"]) == ["gas"]
    now = again("conservation")
    assert list(dict.fromkeys(entry["part"] for entry in now["rows"])) == list(now["measured"]) == ["gas", "conservation"]
    assert now["data"] is None
    assert all(picture.is_file() for picture in figure.draw(now, tmp_path))
    with pytest.raises(InputError, match="there is no measure 'ga'; choose of scans, gas, water, conservation, speed"):
        dynamics.chosen_measures("scans,ga")


def test_finished_simulations_are_not_run_again(result):
    found, folder = result
    checkpoints = sorted((folder / "runs" / "dynamics" / "smoke" / found["potential_sha256"][:8]).rglob("checkpoint.npz"))
    times = [path.stat().st_mtime_ns for path in checkpoints]
    assert len(checkpoints) == 3
    engine = Springs()
    engine.embedded(Calculation(START.atomic_numbers, START.positions))
    task = dynamics_task.prepared("smoke", False, folder / "runs", engine)
    dynamics_measures.simulate(task, "water", picoseconds=0.005, mm_time_step=dynamics_measures.MM_TIME_STEP)
    assert [path.stat().st_mtime_ns for path in checkpoints] == times


def test_another_preset():
    with pytest.raises(InputError, match="there is no PRESET=paper of the dynamics; choose smoke or laptop"):
        dynamics.reproduce("paper", False)


def test_without_a_potential_nothing_is_begun(monkeypatch, tmp_path):
    missing = replace(dynamics_task.THEORIES["gfn2"], shipped=tmp_path / "none.keras")
    monkeypatch.setitem(dynamics_task.THEORIES, "gfn2", missing)
    with pytest.raises(InputError, match="is not there; train it with RETRAIN=1"):
        dynamics.reproduce("laptop", False, tmp_path, tmp_path, Springs())
    assert list(tmp_path.iterdir()) == []


def test_a_potential_that_ships_already_keeps_its_bytes(tmp_path):
    source, target = WEIGHTS / "laptop" / "AMP(2).keras", tmp_path / "weights" / "uracil.keras"
    before = dynamics_task.ship(source, target).read_bytes()
    assert dynamics_task.ship(source, target).read_bytes() == before
    other = dynamics_task.ship(WEIGHTS / "laptop" / "AMP(3).keras", target).read_bytes()
    assert other != before


def test_a_run_that_stops_before_its_first_frame_came_nowhere(monkeypatch, tmp_path):
    def stop(self, progress):
        raise SimulationError("outside")

    monkeypatch.setattr(dynamics_measures.Run, "run", stop)
    assert dynamics_measures._gas_run(tmp_path / "run", WEIGHTS / "laptop" / "AMP(2).keras", WATER, False, {}) == (False, 0.0)
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "energies.csv").write_text(",".join(dynamics_measures.COLUMNS) + "\n100,0.05,1,1,2,1,300,nan,nan,1\n")
    assert dynamics_measures._gas_run(tmp_path / "run", WEIGHTS / "laptop" / "AMP(2).keras", WATER, False, {}) == (False, 0.05)


LENGTHS = np.array([0.7, 0.9, 1.0, 1.4, 1.9, 2.5])
RISING = np.array([200.0, 20.0, 0.0, 150.0, 300.0, 400.0])


def scan(potential, label=RISING):
    return Scan("O1-H2", "gas", "rigid", LENGTHS, np.array(potential), np.array(label))


def test_barriers_and_holes_by_hand():
    assert barrier_error(scan(1.1 * RISING), 1.9) == pytest.approx(0.1)
    assert deepest_hole(scan(RISING), (0.7, 2.5)) == 0.0
    assert deepest_hole(scan([200.0, 20.0, 0.0, 150.0, 40.0, 45.0]), (0.7, 2.5)) == pytest.approx(110.0)
    assert deepest_hole(scan([-500.0, 20.0, 0.0, 150.0, 300.0, 400.0]), (0.7, 2.5)) == pytest.approx(520.0)
    assert deepest_hole(scan([-500.0, 20.0, 0.0, 150.0, 300.0, 400.0]), (0.8, 2.5)) == 0.0
    falling = np.array([200.0, 20.0, 0.0, 150.0, 100.0, 90.0])  # the proton finds another place, by the label too
    assert deepest_hole(scan(falling - [0, 0, 0, 0, 20.0, 0], falling), (0.7, 2.5)) == pytest.approx(20.0)


def test_relaxing_lowers_the_energy_and_keeps_the_length():
    class OfSprings:
        """A potential that is the engine."""

        def __init__(self, engine):
            self.engine = engine

        def compute_systems(self, systems):
            found = [self.engine.embedded(Calculation(system.atomic_numbers, system.positions)) for system in systems]
            return {"energy": [result.energy for result in found], "qm_gradients": [result.qm_gradients for result in found]}

    engine = Springs()
    engine.embedded(Calculation(WATER.atomic_numbers, WATER.positions))
    frame = Calculation(WATER.atomic_numbers, WATER.positions, mm_positions=WATER.positions + 9.0, mm_charges=np.array([-0.8, 0.4, 0.4]))
    found = {(scan.bond, scan.where, scan.how): scan for scan in scans(WATER, OfSprings(engine), engine, frame, [0.96, 1.2, 1.4], 60)}
    assert len(found) == 8
    for scan in found.values():
        np.testing.assert_allclose(scan.potential, scan.label)
    rigid, relaxed = found["O1-H2", "gas", "rigid"].label, found["O1-H2", "gas", "relaxed"].label
    assert all(len(scan.unrelaxed) == 0 for scan in found.values())
    (short, *_) = [scan for scan in scans(WATER, OfSprings(engine), engine, frame, [0.96, 1.4], 1) if scan.how == "relaxed"]
    np.testing.assert_array_equal(short.unrelaxed, [1.4])
    assert np.all(relaxed[1:] < rigid[1:] - 0.1)
    assert np.all(relaxed[1:] >= 250.0 * (np.array([1.2, 1.4]) - 0.96) ** 2 - 0.1)  # the bond's own spring cannot relax
    moved = stretched_to(WATER.positions, *bonds_to_hydrogen(WATER)[0], 1.7)
    assert np.linalg.norm(moved[1] - moved[0]) == pytest.approx(1.7)
