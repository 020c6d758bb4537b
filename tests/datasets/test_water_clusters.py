"""The builder of the water clusters: search, choice of frames, reading of geometries, failures; engines in a field of charges."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import AmpTFError, DataFileError, InputError
from datasets import cluster_search, water_clusters
from datasets.cluster_search import Minima
from datasets.engines import Calculation, CalculationError, Engine, Psi4Engine, PySCFEngine
from datasets.parts import Parts, run_all
from datasets.water_clusters import Plan, choose_frames
from datasets.water_dimer import MONOMER_NUMBERS, monomer_positions

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "water_minima"
NEEDS_PSI4 = pytest.mark.skipif(shutil.which("psi4") is None, reason="needs psi4")
ATOM_CHARGES = np.array([-0.8, 0.4, 0.4])


class PointChargeEngine(Engine):
    """A stand-in for an engine: the molecule is three point charges; its energy and gradient are Coulomb's, on top of a constant."""

    name, install = "point charges", "nothing"
    level_of_theory = gradient_level_of_theory = "Coulomb"

    def __init__(self, failing: float = np.inf):
        super().__init__()
        self.failing = failing

    def version(self):
        return "1"

    def energy(self, calculation):
        return self.energy_and_gradient(calculation)[0]

    def energy_and_gradient(self, calculation):
        if calculation.mm_charges is None:
            return -500.0, np.full((3, 3), 7.0)
        vectors = calculation.positions[:, None] - calculation.mm_positions[None]
        distances = np.linalg.norm(vectors, axis=-1)
        if distances.min() > self.failing:
            raise CalculationError("no convergence.")
        pairs = units.COULOMB_CONSTANT * ATOM_CHARGES[:, None] * calculation.mm_charges / distances
        return -500.0 + pairs.sum(), 7.0 - np.sum((pairs / distances**2)[..., None] * vectors, axis=1)


def chain(size: int, n_minima: int) -> Minima:
    """Made-up minima: molecules in a row, each minimum a little wider and higher."""
    spacing = 2.8 + 0.05 * np.arange(n_minima)
    places = np.arange(size)[None, :, None, None] * spacing[:, None, None, None] * np.array([0.0, 1.0, 0.0])
    return Minima(monomer_positions() + places, np.arange(n_minima, dtype=float))


def write_xyz(path: Path, minima: Minima) -> None:
    lines = []
    for positions, energy in zip(minima.positions, minima.energies, strict=True):
        rows = [
            f" {symbol} {x:.7f} {y:.7f} {z:.7f}" for symbol, (x, y, z) in zip("OHH" * len(positions), positions.reshape(-1, 3), strict=True)
        ]
        lines += [f"   {len(rows)}", f" Ord_Energy {energy / units.KCAL_PER_MOL}", *rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def trimers():
    start = monomer_positions()[None]
    random = np.random.default_rng(0)
    while len(start) < 3:
        start = cluster_search.with_molecule_added(start, random)
    return cluster_search.walk(start, 12, 1), start


class TestSearch:
    def test_minima_are_connected_distinct_and_ordered(self, trimers):
        minima, _ = trimers
        assert len(minima) >= 1
        assert np.all(np.diff(minima.energies) >= 0)
        assert minima.energies[-1] <= minima.energies[0] + cluster_search.WINDOW
        assert all(cluster_search.is_connected(positions) for positions in minima.positions)
        assert minima.energies[0] < -55.0, "three hydrogen bonds of AMOEBA water"

    def test_minima_are_minima(self, trimers):
        minima, _ = trimers
        _, energy = cluster_search.amoeba_water(3).minimize(minima.positions[0], 0.1)
        assert energy == pytest.approx(minima.energies[0], abs=0.05)

    def test_the_seed_decides(self, trimers):
        minima, start = trimers
        again = cluster_search.walk(start, 12, 1)
        np.testing.assert_allclose(again.energies, minima.energies, atol=1e-6)

    def test_copies_and_high_minima_are_left_out(self):
        minima = chain(4, 3)
        found = list(zip(minima.positions, minima.energies, strict=True))
        turned = minima.positions[0][..., [1, 2, 0]]
        kept = cluster_search.distinct([*found, (turned, 0.01), (minima.positions[2] * 1.01, cluster_search.WINDOW + 1.0)])
        np.testing.assert_array_equal(kept.energies, [0.0, 1.0, 2.0])

    def test_a_cluster_in_two_pieces_is_not_connected(self):
        positions = chain(4, 1).positions[0].copy()
        assert cluster_search.is_connected(positions)
        positions[2:] += [0.0, 2.0, 0.0]
        assert not cluster_search.is_connected(positions)


class TestFrames:
    def test_training_and_test_clusters_differ(self):
        minima = {9: chain(9, 30), 10: chain(10, 50)}
        frames = choose_frames(minima, Plan(training_frames=200, test_frames=40), seed=1)
        of_group = {name: [frame for frame in frames if frame.group == name] for name in ("n09", "n10_train", "n10_test")}
        assert {name: len(group) for name, group in of_group.items()} == {"n09": 40, "n10_train": 200, "n10_test": 40}
        assert len({frame.name for frame in frames}) == len(frames) == 280
        train, test = ({frame.cluster for frame in of_group[name]} for name in ("n10_train", "n10_test"))
        assert train.isdisjoint(test)
        assert len(train) + len(test) == 50
        assert len({frame.cluster for frame in of_group["n09"]}) == 30, "all clusters serve before one serves twice"

    def test_too_few_minima_are_refused(self):
        with pytest.raises(InputError, match="n06: 2 minima of 6 molecules cannot give 13 frames; raise --hops"):
            choose_frames({6: chain(6, 2)}, Plan(test_frames=13), seed=0)


def build(tmp_path, engine=None, minima=None, **settings):
    folder = tmp_path / "xyz"
    if not folder.exists():
        folder.mkdir()
        for size, n_minima in (minima or {4: 3, 10: 4}).items():
            write_xyz(folder / f"W{size}.xyz", chain(size, n_minima))
    plan = Plan(training_frames=6, test_frames=5)
    output = tmp_path / "clusters.h5"
    return output, *water_clusters.build(
        output, engine or PointChargeEngine(), plan, [4, 10], 0, 1, "command", geometries=folder, **settings
    )  # fmt: skip


class TestBuild:
    def test_the_file_holds_the_effect_of_the_field(self, tmp_path):
        output, digest, failures = build(tmp_path)
        data = read_reference_data(output)
        assert (data.sha256, failures) == (digest, [])
        assert {group.name: len(group) for group in data.groups} == {"n04": 5, "n10_train": 6, "n10_test": 5}
        for group in data.groups:
            for frame in range(len(group)):
                system = group.system(frame)
                size = int(group.frame_properties["size"][frame])
                assert len(system.mm_charges) == 3 * (size - 1)
                assert system.mm_charges.sum() == pytest.approx(-1e-6 * (size - 1), abs=1e-12)
                energy, gradient = PointChargeEngine().energy_and_gradient(
                    Calculation(system.atomic_numbers, system.positions, mm_positions=system.mm_positions, mm_charges=system.mm_charges)
                )
                assert group.energies[frame] == pytest.approx(energy + 500.0, abs=1e-9)
                np.testing.assert_allclose(group.qm_gradients[frame], gradient - 7.0, atol=1e-9)

    def test_a_second_call_computes_nothing(self, tmp_path):
        _, digest, _ = build(tmp_path)

        class Broken(PointChargeEngine):
            def energy_and_gradient(self, calculation):
                raise AssertionError("computed again")

        assert build(tmp_path, Broken())[1] == digest

    def test_fields_that_do_not_converge_are_listed_and_left_out(self, tmp_path):
        output, _, failures = build(tmp_path, PointChargeEngine(failing=2.87))
        n_frames = len(read_reference_data(output))
        assert 0 < len(failures) < 16
        assert n_frames == 16 - len(failures)
        assert all("no convergence" in failure and failure.startswith("n") for failure in failures)
        assert build(tmp_path, PointChargeEngine())[2] == failures, "the record of a failure stays"

    def test_charges_that_do_not_sum_to_zero_give_a_warning(self, tmp_path):
        with pytest.warns(UserWarning, match=r"the charges of a water molecule sum to \+0\.2 e, not to 0"):
            build(tmp_path, charges=(-0.8, 0.5))

    def test_charges_that_are_no_numbers_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"the charges of a water molecule are nan and 0\.5 e; give numbers"):
            build(tmp_path, charges=(np.nan, 0.5))

    def test_broken_frames_are_named_and_left_out_on_request(self, tmp_path):
        build(tmp_path)
        shutil.rmtree(tmp_path / "clusters.h5.parts")
        path = tmp_path / "xyz" / "W4.xyz"
        whole = path.read_text().splitlines()
        for damage, reason in (
            (lambda lines: lines[:17] + lines[18:], "12 atoms are announced, 11 are there"),
            (lambda lines: [*lines[:17], " H 1.0 nan 0.0", *lines[18:]], "NaN or infinite"),
            (lambda lines: [*lines[:17], " N 1.0 0.0 0.0", *lines[18:]], "not those of water molecules"),
            (lambda lines: [*lines[:17], " H 1.0 0.0", *lines[18:]], "fewer than three coordinates"),
            (lambda lines: [*lines[:17], " H 0.0 3.0 0.0", *lines[18:]], "does not have two hydrogen atoms"),
            (lambda lines: [*lines[:17], " H 0.3 0.0 0.0", *lines[18:]], "is not 0.8 to 1.3 angstrom long"),
            (lambda lines: [*lines[:14], " 12 atoms", *lines[15:]], "begins with '12 atoms'"),
            (lambda lines: [*lines[:15], " Ord_Energy none", *lines[16:]], "could not convert"),
        ):
            path.write_text("\n".join(damage(whole)))
            with pytest.raises(DataFileError, match=rf"W4\.xyz, frame 2: broken \(.*{reason}.*--skip-broken"):
                cluster_search.read_minima(tmp_path / "xyz", [4, 10])
            with pytest.warns(UserWarning, match=r"W4\.xyz, frame 2: broken .*; left out"):
                minima = cluster_search.read_minima(tmp_path / "xyz", [4, 10], skip_broken=True)
            assert (len(minima[4]), len(minima[10])) == (2, 4)

    def test_a_damaged_first_count_costs_one_frame(self, tmp_path):
        write_xyz(tmp_path / "W4.xyz", chain(4, 3))
        lines = (tmp_path / "W4.xyz").read_text().splitlines()
        (tmp_path / "W4.xyz").write_text("\n".join(["twelve", *lines[1:], "", ""]))
        with pytest.warns(UserWarning, match=r"frame 1: broken \(it begins with 'twelve'"):
            assert len(cluster_search.read_minima(tmp_path, [4], skip_broken=True)[4]) == 2

    def test_hydrogen_atoms_may_stand_anywhere(self, tmp_path):
        minima = chain(4, 1)
        write_xyz(tmp_path / "W4.xyz", minima)
        lines = (tmp_path / "W4.xyz").read_text().splitlines()
        (tmp_path / "W4.xyz").write_text("\n".join([*lines[:2], *sorted(lines[2:])]))
        found = cluster_search.read_minima(tmp_path, [4])[4].positions[0]
        assert cluster_search.is_water(found)
        np.testing.assert_allclose(np.sort(found.reshape(-1, 3), axis=0), np.sort(minima.positions[0].reshape(-1, 3), axis=0), atol=1e-6)

    def test_sizes_without_a_file_are_named(self, tmp_path):
        write_xyz(tmp_path / "W4.xyz", chain(4, 1))
        with pytest.warns(UserWarning, match="no cluster of 7, 10 molecules; these sizes are left out"):
            cluster_search.read_minima(tmp_path, [4, 7, 10])

    def test_folders_without_clusters(self, tmp_path):
        with pytest.raises(DataFileError, match="no xyz files"):
            cluster_search.read_minima(tmp_path, [4])
        write_xyz(tmp_path / "W4.xyz", chain(4, 1))
        with pytest.raises(DataFileError, match="no cluster of 5, 6 molecules"):
            cluster_search.read_minima(tmp_path, [5, 6])

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--engine", "gaussian"], "unknown engine 'gaussian'; choose one of psi4, pyscf"),
            (["--sizes", "6,x"], "give whole numbers separated by commas"),
            (["--sizes", "1,6"], "at least two molecules"),
        ],
    )
    def test_wrong_options_get_a_sentence(self, arguments, sentence, tmp_path):
        result = CliRunner().invoke(water_clusters.app, ["--output", str(tmp_path / "x.h5"), *arguments])
        assert result.exit_code == 1
        assert sentence in result.output


class ThreadedPsi4(Psi4Engine):
    """psi4 as a program that answers with the charge that it was asked for, late: threads that mixed up answers would be seen."""

    def _program(self):
        return str(Path(__file__).with_name("echo_program.py"))


def charge_of(task):
    engine, charge = task
    return {"charge": np.array(engine._run(Calculation(MONOMER_NUMBERS, monomer_positions(), charge=charge), gradient=False)["charge"])}


def test_dask_workers_with_several_threads_do_not_mix_up_answers(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=4, processes=True, dashboard_address=None) as cluster:
        parts = Parts(tmp_path / "parts", {})
        run_all({str(charge): (ThreadedPsi4(), charge) for charge in range(30)}, charge_of, parts, dask=cluster.scheduler_address)
    assert [int(parts[str(charge)]["charge"]) for charge in range(30)] == list(range(30))


def test_an_absent_dask_scheduler_gets_a_sentence(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(AmpTFError, match="no Dask scheduler answers at 12345"):
        run_all({"2": 2}, charge_of, Parts(tmp_path / "parts", {}), dask="12345")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared water-cluster minima")
def test_the_published_minima_are_read():
    minima = cluster_search.read_minima(SHARED, range(3, 31))
    assert list(minima) == list(range(3, 31))
    assert len(minima[6]) > 50
    assert minima[6].energies[0] == pytest.approx(-46.5315552 * units.KCAL_PER_MOL, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared water-cluster minima")
@pytest.mark.parametrize("size", range(6, 21))
def test_the_search_finds_what_the_database_knows(size):
    """Our lowest minimum beside the database's lowest one, relaxed on AMOEBA: at most 1 kJ/mol above it, but for four sizes."""
    groups = [group for group in read_reference_data(water_clusters.SHIPPED_FILE).groups if group.frame_properties["size"][0] == size]
    lowest = min(group.frame_properties["cluster_energy"].min() for group in groups)
    known = cluster_search.read_minima(SHARED, range(3, 31))[size].positions[0]
    _, relaxed = cluster_search.amoeba_water(size).minimize(known, 0.5)
    missed = {12: 9.2, 13: 2.6, 17: 7.3, 19: 10.8}
    if size in missed:
        assert lowest - relaxed == pytest.approx(missed[size], abs=0.1)
    else:
        assert lowest < relaxed + 1.0


FIELD = {"mm_positions": np.array([[0.0, 0.0, 3.0], [0.0, 0.9, 3.3], [3.0, 0.3, -1.0]]), "mm_charges": np.array([-0.9, 0.45, 0.45])}
EMBEDDED = Calculation(MONOMER_NUMBERS, monomer_positions() + [[0.0, 0.0, 0.0], [0.01, 0.0, 0.02], [0.0, 0.01, 0.0]], "cc-pvdz", **FIELD)
ISOLATED = Calculation(MONOMER_NUMBERS, EMBEDDED.positions, "cc-pvdz")


def test_the_gradient_of_pyscf_in_a_field_is_that_of_its_energy():
    engine, step = PySCFEngine(), 1e-3
    _, gradient = engine.energy_and_gradient(EMBEDDED)
    for atom, axis in ((0, 2), (1, 0)):
        energies = []
        for sign in (1, -1):
            positions = EMBEDDED.positions.copy()
            positions[atom, axis] += sign * step
            energies.append(engine.energy_and_gradient(Calculation(MONOMER_NUMBERS, positions, "cc-pvdz", **FIELD))[0])
        assert gradient[atom, axis] == pytest.approx((energies[0] - energies[1]) / (2 * step), abs=0.2)


@NEEDS_PSI4
def test_psi4_and_pyscf_agree_in_a_field():
    """Energies are the same function, gradients differ by the density fitting of psi4."""
    psi4, pyscf = Psi4Engine(), PySCFEngine()
    assert psi4.energy(EMBEDDED) == pytest.approx(pyscf.energy(EMBEDDED), abs=1e-7 * units.HARTREE)
    effects = []
    for engine in (psi4, pyscf):
        (energy, gradient), (isolated_energy, isolated_gradient) = map(engine.energy_and_gradient, (EMBEDDED, ISOLATED))
        effects.append((energy - isolated_energy, gradient - isolated_gradient))
    assert effects[0][0] == pytest.approx(effects[1][0], abs=1e-7 * units.HARTREE)
    np.testing.assert_allclose(effects[0][1], effects[1][1], atol=1e-4 * units.HARTREE / units.BOHR)


@pytest.mark.parametrize("engine", [pytest.param(Psi4Engine, marks=NEEDS_PSI4), PySCFEngine])
def test_a_field_that_does_not_converge_is_told(engine):
    with pytest.raises(CalculationError):
        engine(max_iterations=2).energy_and_gradient(EMBEDDED)


@NEEDS_PSI4
def test_a_failure_of_psi4_is_of_that_calculation_alone():
    with pytest.raises(CalculationError, match="psi4"):
        Psi4Engine().energy(Calculation(MONOMER_NUMBERS, monomer_positions(), "no-such-basis"))
    assert np.isfinite(Psi4Engine().energy(ISOLATED)), "the next calculation runs"
