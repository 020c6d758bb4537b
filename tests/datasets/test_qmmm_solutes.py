"""QM/MM data of solutes: engines against finite differences, start structures, the zone, resuming, relabelling, bad input."""

import shutil
from collections import Counter
from dataclasses import replace

import ase
import ase.io
import numpy as np
import pytest
from ase.data import chemical_symbols
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.reference_data import ReferenceData
from amp_tf.errors import AmpTFError, EngineError, InputError
from amp_tf.files import locked
from amp_tf.simulation import water_box
from amp_tf.simulation.solutes import Solute, bonds, lennard_jones, solute_by_name, solute_from_smiles, solute_from_xyz
from datasets import qmmm_solutes
from datasets.engines import Calculation, CalculationError, EmbeddedResult, EmbeddingEngine, PySCFDFTEngine, XTBEngine
from datasets.engines.pyscf_dft import core_potentials
from datasets.parts import Parts
from datasets.qmmm_sampling import Sampling, Trajectory, embedded_zone, relaxed, sampling_record
from datasets.water_dimer import MONOMER_NUMBERS, monomer_positions

needs_xtb = pytest.mark.skipif(shutil.which("xtb") is None, reason="the program xtb is not installed")
MM_POSITIONS, MM_CHARGES = np.array([[3.0, 0.2, 0.0], [-2.6, 0.5, 0.3], [0.3, -2.9, 1.1]]), np.array([0.5, -0.5, 0.3])


class PointChargeEngine(EmbeddingEngine):
    """Harmonic bonds and fixed charges: an engine that is exact, fast and always installed."""

    name, install = "model", "nothing"

    def __init__(self, fails_on: int | None = None, error: AmpTFError = CalculationError("springs: did not converge")):  # noqa: B008
        super().__init__("springs")
        self.fails_on, self.error, self.n_calls = fails_on, error, 0

    def version(self):
        return "1"

    def embedded(self, calculation: Calculation) -> EmbeddedResult:
        self.n_calls += 1
        if self.fails_on is not None and self.n_calls >= self.fails_on:
            raise self.error
        positions = np.asarray(calculation.positions)
        charges = np.where(np.arange(len(positions)) == 0, -0.8, 0.4)
        vectors = positions[1:] - positions[0]
        lengths = np.linalg.norm(vectors, axis=1)
        energy, gradients = float(np.sum(2000.0 * (lengths - 0.96) ** 2)), np.zeros_like(positions)
        pull = 4000.0 * (lengths - 0.96)[:, None] * vectors / lengths[:, None]
        gradients[1:] += pull
        gradients[0] -= pull.sum(axis=0)
        mm_gradients = np.zeros((0, 3))
        if calculation.mm_charges is not None and len(calculation.mm_charges):
            apart = positions[:, None] - calculation.mm_positions
            distances = np.linalg.norm(apart, axis=-1)
            pairs = units.COULOMB_CONSTANT * charges[:, None] * calculation.mm_charges / distances
            energy += pairs.sum()
            pair_gradients = -(pairs / distances**2)[..., None] * apart
            gradients += pair_gradients.sum(axis=1)
            mm_gradients = -pair_gradients.sum(axis=0)
        tells = 0.01 * lengths.mean() * np.array([-2.0, 1.0, 1.0])[: len(charges)]  # reported alone: frames differ
        return EmbeddedResult(energy, gradients, mm_gradients, charges + tells, charges @ positions)


ENGINES = [
    pytest.param(XTBEngine, {"step": 1e-3, "tolerance": 2e-2}, marks=needs_xtb, id="xtb"),
    pytest.param(lambda: PySCFDFTEngine("pbe", "def2-svp"), {"step": 2e-3, "tolerance": 2e-2}, id="pyscf"),
    pytest.param(PointChargeEngine, {"step": 1e-4, "tolerance": 1e-4}, id="model"),
]


@pytest.mark.parametrize(("make", "settings"), ENGINES)
def test_gradients_of_every_engine_are_derivatives_of_its_energy(make, settings):
    engine, step = make(), settings["step"]
    result = engine.embedded(Calculation(MONOMER_NUMBERS, monomer_positions(), mm_positions=MM_POSITIONS, mm_charges=MM_CHARGES))
    np.testing.assert_allclose(result.qm_gradients.sum(axis=0) + result.mm_gradients.sum(axis=0), 0.0, atol=1e-2)
    assert result.charges.sum() == pytest.approx(0.0, abs=1e-5)
    isolated = Calculation(MONOMER_NUMBERS, monomer_positions())
    assert engine.energy(isolated) == pytest.approx(engine.embedded(isolated).energy, abs=1e-5)
    assert make().energy(isolated) == pytest.approx(engine.energy(isolated), abs=1e-5)  # whatever was computed before
    assert abs(engine.energy(isolated) - result.energy) > 0.1

    def energy(kind, row, axis, sign):
        moved = {"qm": monomer_positions().copy(), "mm": MM_POSITIONS.copy()}
        moved[kind][row, axis] += sign * step
        return engine.embedded(Calculation(MONOMER_NUMBERS, moved["qm"], mm_positions=moved["mm"], mm_charges=MM_CHARGES)).energy

    for kind, row, axis in (("qm", 0, 0), ("qm", 1, 2), ("mm", 0, 0), ("mm", 1, 2), ("mm", 2, 1)):
        numerical = (energy(kind, row, axis, 1) - energy(kind, row, axis, -1)) / (2 * step)
        found = getattr(result, f"{kind}_gradients")[row, axis]
        assert found == pytest.approx(numerical, abs=settings["tolerance"]), (kind, row, axis)


@needs_xtb
def test_a_far_charge_sees_the_charges_of_xtb_by_coulombs_law():
    """The unit of the point charges' positions: a mistake of bohr for angstrom would change the energy by a factor of about four."""
    engine, far = XTBEngine(), np.array([[0.0, 0.0, 30.0]])
    isolated = engine.embedded(Calculation(MONOMER_NUMBERS, monomer_positions()))
    assert isolated.mm_gradients.shape == (0, 3)
    field = Calculation(MONOMER_NUMBERS, monomer_positions(), mm_positions=far, mm_charges=np.array([1.0]))
    distances = np.linalg.norm(monomer_positions() - far, axis=1)
    expected = units.COULOMB_CONSTANT * np.sum(isolated.charges / distances)
    assert engine.embedded(field).energy - isolated.energy == pytest.approx(expected, rel=0.02)


def test_an_engine_that_is_not_there_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="xtb is not installed; install it with: conda install"):
        XTBEngine().version()
    with pytest.raises(EngineError, match="the method must be gfn2"):
        XTBEngine("pm6")
    with pytest.raises(InputError, match="unknown engine 'orca'; choose one of xtb, pyscf"):
        qmmm_solutes.make_engine("orca", None, None, 1)


@pytest.mark.parametrize(("name", "n_atoms", "n_molecules"), [("uracil", 12, 1), ("retinoic-acid", 50, 1), ("sam-cysteine", 63, 2)])
def test_the_solutes_of_the_paper(name, n_atoms, n_molecules):
    solute = solute_by_name(name)
    assert (len(solute.atomic_numbers), solute.charge) == (n_atoms, 0)
    assert connected_components(bonds(solute.atomic_numbers, solute.positions))[0] == n_molecules


def test_lennard_jones_parameters_follow_from_the_neighbours():
    """σ in angstrom and ε in kJ/mol of uracil's oxygen and nitrogen atoms and of its two kinds of hydrogen atoms."""
    uracil = solute_by_name("uracil")
    bonded = bonds(uracil.atomic_numbers, uracil.positions)
    sigma, epsilon = lennard_jones(uracil)
    kinds = {}
    for atom, number in enumerate(uracil.atomic_numbers):
        kinds.setdefault((number, *sorted(uracil.atomic_numbers[bonded[atom]])), []).append((sigma[atom], epsilon[atom]))
    np.testing.assert_allclose(kinds[8, 6], [(2.9599, 0.8786)] * 2, atol=1e-4)
    np.testing.assert_allclose(kinds[7, 1, 6, 6], [(3.2500, 0.7113)] * 2, atol=1e-4)
    np.testing.assert_allclose(kinds[1, 7], [(1.0691, 0.0657)] * 2, atol=1e-4)
    np.testing.assert_allclose(kinds[1, 6], [(2.6495, 0.0657)] * 2, atol=1e-4)
    oxygen, _, hydrogen = lennard_jones(Solute("hydroxyl", np.array([8, 6, 1]), np.array([[0.0, 0, 0], [1.4, 0, 0], [-0.3, 0.9, 0]]), -1))[
        1
    ]
    np.testing.assert_allclose([oxygen, hydrogen], [0.8803, 0.0], atol=1e-4)


def test_the_methyl_group_of_sam_faces_the_sulfur_of_cysteine():
    solute = solute_by_name("sam-cysteine")
    sulfurs = np.flatnonzero(solute.atomic_numbers == 16)
    methyl = 0  # first atom of the SMILES
    assert cdist(solute.positions[[methyl]], solute.positions[sulfurs]).max() < 4.5
    apart = cdist(solute.positions[:49], solute.positions[49:])
    assert apart.min() >= 2.9


def test_a_smiles_of_ones_own_and_bad_ones():
    methanol = solute_from_smiles("CO", "methanol")
    assert Counter(chemical_symbols[number] for number in methanol.atomic_numbers) == {"C": 1, "O": 1, "H": 4}
    assert solute_from_smiles("CC(=O)[O-]").charge == -1
    with pytest.raises(InputError, match=r"RDKit cannot read the SMILES 'C1CC'"):
        solute_from_smiles("C1CC")
    with pytest.raises(InputError, match="an odd number of electrons"):
        solute_from_smiles("[CH3]")
    with pytest.raises(InputError, match="no Lennard-Jones parameters for Fe"):
        lennard_jones(Solute("iron", np.array([26]), np.zeros((1, 3)), 0))
    with pytest.raises(InputError, match="unknown solute 'benzene'; choose one of uracil"):
        solute_by_name("benzene")


def test_a_solute_from_an_xyz_file(tmp_path):
    (tmp_path / "hydroxide.xyz").write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    assert solute_from_xyz(tmp_path / "hydroxide.xyz", -1).charge == -1
    with pytest.raises(InputError, match="an odd number of electrons at charge"):
        solute_from_xyz(tmp_path / "hydroxide.xyz", 0)
    (tmp_path / "charged.xyz").write_text("2\ncharge=-1\nO 0 0 0\nH 0 0 0.97\n")
    assert solute_from_xyz(tmp_path / "charged.xyz").charge == -1
    with pytest.raises(InputError, match=r"states a charge of -1 e, not \+1 e; correct the file or --charge"):
        solute_from_xyz(tmp_path / "charged.xyz", 1)
    (tmp_path / "charged.xyz").write_text("2\ncharge=0.5\nO 0 0 0\nH 0 0 0.97\n")
    with pytest.raises(InputError, match=r"states a charge of 0\.5 e, no whole number"):
        solute_from_xyz(tmp_path / "charged.xyz")
    for line in ("-1 1", "total_charge=-1 charge=0", "charge=-1 spin=3"):
        (tmp_path / "other.xyz").write_text(f"2\n{line}\nO 0 0 0\nH 0 0 0.97\n")
        with pytest.raises(InputError, match=r"looks like a charge|contradict each other|closed shells alone"):
            solute_from_xyz(tmp_path / "other.xyz")
    for name in ("several.xyz", "several.pdb"):
        ase.io.write(tmp_path / name, [ase.Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])] * 5)
        with pytest.raises(InputError, match=rf"{name}: 5 structures, of which a simulation starts from one; give a file of one frame"):
            solute_from_xyz(tmp_path / name)
    (tmp_path / "broken.xyz").write_text("two\natoms\n")
    with pytest.raises(InputError, match="ASE cannot read a structure"):
        solute_from_xyz(tmp_path / "broken.xyz", 0)


def test_the_zone_holds_whole_molecules_of_the_nearest_image(random):
    """Against a search over all 27 images, for a solute that sits at the edge of the box."""
    box, zone, n_waters = 20.0, 6.0, 200
    oxygens = random.uniform(0.0, box, size=(n_waters, 3))
    water = np.concatenate(
        [oxygens[:, None] + 30.0 * box, oxygens[:, None] + 30.0 * box + random.normal(scale=0.5, size=(n_waters, 2, 3))], 1
    )
    solute = np.array([[0.3, 19.8, 10.0], [1.5, 20.4, 10.2]])
    qm, mm, numbers = embedded_zone(np.concatenate([water.reshape(-1, 3), solute]), 3 * n_waters, box, zone)
    shifts = box * np.stack(np.meshgrid(*[np.arange(-32, -27)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = {m for m in range(n_waters) for shift in shifts if cdist(water[m] + shift, solute).min() < zone}
    assert set(numbers // 3) == expected
    assert len(numbers) == 3 * len(expected)
    assert np.all(cdist(mm, qm).min(axis=1).reshape(-1, 3).min(axis=1) < zone)
    np.testing.assert_allclose(mm[1::3] - mm[::3], (water[:, 1] - water[:, 0])[numbers[::3] // 3], atol=1e-9)
    np.testing.assert_allclose(qm.max(axis=0), -qm.min(axis=0))
    with pytest.raises(InputError, match=r"too long for a box of 13\.0 angstrom"):
        embedded_zone(np.concatenate([water.reshape(-1, 3), solute]), 3 * n_waters, 13.0, zone)


SAMPLING = Sampling(n_frames=5, stride=2, zone=7.0, equilibration=0.02, qm_equilibration=2, block=2)
WATER = Solute("water", MONOMER_NUMBERS, monomer_positions(), 0)
BOX = 23.0


def trajectory(folder, engine, sampling=SAMPLING):
    return Trajectory(WATER, np.array([-0.8, 0.4, 0.4]), engine, sampling, Parts(folder, sampling_record(sampling, BOX)), BOX, 1)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A finished file of a water molecule in water."""
    output = tmp_path_factory.mktemp("water") / "water.h5"
    digest, failures = qmmm_solutes.sample(output, WATER, PointChargeEngine(), SAMPLING, 1, "test", BOX)
    assert not failures
    return output, digest


def test_every_frame_is_what_the_engine_gives_at_its_geometry(sampled):
    data = read_reference_data(sampled[0])
    group = data.groups[0]
    assert len(group) == SAMPLING.n_frames
    assert np.all(np.diff(group.mm_offsets) % 3 == 0)
    assert np.diff(group.mm_offsets).min() > 90
    reference = data.provenance.settings["reference_energy_kj_per_mol"]
    for frame in range(len(group)):
        system = group.system(frame)
        calculation = Calculation(system.atomic_numbers, system.positions, mm_positions=system.mm_positions, mm_charges=system.mm_charges)
        result = PointChargeEngine().embedded(calculation)
        assert group.energies[frame] == pytest.approx(result.energy - reference, abs=1e-2)
        np.testing.assert_allclose(group.qm_gradients[frame], result.qm_gradients, atol=1e-3)
        span = slice(group.mm_offsets[frame], group.mm_offsets[frame + 1])
        np.testing.assert_allclose(group.mm_gradients[span], result.mm_gradients, atol=1e-3)
        np.testing.assert_allclose(group.charges[frame], result.charges, atol=1e-9)
        assert np.linalg.norm(system.mm_positions[1::3] - system.mm_positions[::3], axis=1) == pytest.approx(1.0, abs=1e-3)  # SPC/E
    moved = np.abs(np.diff(group.qm_positions, axis=0)).max(axis=(1, 2))
    assert np.all(moved > 1e-4)


def test_the_same_command_again_changes_nothing(sampled):
    output, digest = sampled
    engine = PointChargeEngine()
    assert qmmm_solutes.sample(output, WATER, engine, SAMPLING, 1, "test", BOX)[0] == digest


def test_a_killed_trajectory_goes_on_from_its_last_block(tmp_path):
    """A failure in the third block loses that block alone; what was finished stays as it was, and no frame comes twice."""
    engine = PointChargeEngine(fails_on=14)
    with pytest.raises(AmpTFError, match=r"stopped \(springs: did not converge\); the finished blocks are kept"):
        trajectory(tmp_path, engine).run()
    kept = sorted(path.name for path in tmp_path.glob("block*.npz"))
    assert kept
    assert len(kept) < 3
    before = {name: (tmp_path / name).read_bytes() for name in kept}
    again = trajectory(tmp_path, PointChargeEngine())
    again.run()
    assert {name: (tmp_path / name).read_bytes() for name in kept} == before
    snapshots = np.array(list(again.snapshots()))
    assert len(snapshots) == SAMPLING.n_frames
    assert len({snapshot.tobytes() for snapshot in snapshots}) == SAMPLING.n_frames
    steps = np.linalg.norm(np.diff(snapshots[:, 0], axis=0), axis=1)  # an oxygen atom in a femtosecond: no jump at the seam, no stop
    assert steps.max() < 0.1
    assert steps.min() > 1e-4


def test_a_trajectory_goes_on_with_the_velocities_of_its_last_block(tmp_path):
    first = trajectory(tmp_path, PointChargeEngine(), Sampling(**vars(SAMPLING) | {"n_frames": 2}))
    first.run()
    block = first.parts["block00000"]
    again = first._qmmm(len(block["positions"]) - 3, first.box, block, 1)
    state = again.context.getState(positions=True, velocities=True)
    np.testing.assert_allclose(state.getVelocities(asNumpy=True)._value * 10, block["velocities"], atol=1e-4)
    np.testing.assert_allclose(state.getPositions(asNumpy=True)._value * 10, block["positions"], atol=1e-4)


def test_the_forces_of_the_dynamics_are_derivatives_of_its_energy(sampled, tmp_path):
    """Engine, Lennard-Jones and Ewald terms together, by moving atoms of the solute and of a water molecule near to it."""
    output, _ = sampled
    settings = sampling_record(SAMPLING, BOX) | {"engine": "model", "version": "1", "level_of_theory": "springs"}
    parts = Parts(output.with_name(f"{output.name}.trajectory"), settings | {"solute": qmmm_solutes.solute_identity(WATER)})
    run = Trajectory(WATER, np.array([-0.8, 0.4, 0.4]), PointChargeEngine(), SAMPLING, parts, BOX, 1)
    start = parts["block00001"]
    n_water = len(start["positions"]) - 3
    simulation = run._qmmm(n_water, run.box, start, 2)

    def energy_and_forces(positions):
        simulation.context.setPositions(positions / 10)
        state = simulation.context.getState(energy=True, forces=True)
        return state.getPotentialEnergy()._value, -state.getForces(asNumpy=True)._value / 10

    _, _, numbers = embedded_zone(start["positions"], n_water, run.box, 3.5)
    _, gradients = energy_and_forces(start["positions"])
    step = 0.01

    def both_ways(atom, axis):
        moved = np.stack([start["positions"]] * 2)
        moved[:, atom, axis] += [step, -step]
        return moved

    def crosses_the_zone(moved):
        """Where a molecule enters or leaves, the energy jumps."""
        zones = [embedded_zone(positions, n_water, run.box, SAMPLING.zone)[2] for positions in moved]
        return not np.array_equal(*zones)

    for atom in (n_water, n_water + 1, numbers[0], numbers[1]):
        axis = next(int(axis) for axis in np.argsort(-np.abs(gradients[atom])) if not crosses_the_zone(both_ways(atom, axis)))
        moved = both_ways(atom, axis)
        numerical = (energy_and_forces(moved[0])[0] - energy_and_forces(moved[1])[0]) / (2 * step)
        assert abs(numerical) > 1.0
        assert gradients[atom, axis] == pytest.approx(numerical, rel=0.05, abs=1.0), atom


def test_the_relaxed_solute_starts_with_the_energy_of_its_vibrations(tmp_path):
    """Twice the kinetic energy, since it has no potential energy yet; the water has been equilibrated."""
    run = trajectory(tmp_path, PointChargeEngine())
    start = run._equilibrate()
    n_water = len(start["positions"]) - 3
    simulation = run._qmmm(n_water, float(start["box"]), start, 0)
    velocities = simulation.context.getState(velocities=True).getVelocities(asNumpy=True)._value.copy()
    simulation.context.setVelocitiesToTemperature(SAMPLING.temperature, run._seed(3))
    thermal = simulation.context.getState(velocities=True).getVelocities(asNumpy=True)._value
    np.testing.assert_allclose(velocities[:n_water], thermal[:n_water], atol=1e-5)
    np.testing.assert_allclose((velocities[n_water:] ** 2).sum(), 2.0 * (thermal[n_water:] ** 2).sum(), rtol=1e-4)


def test_the_equilibration_leaves_the_solute_as_it_was(tmp_path):
    """The barostat changes the box and must shift the solute as a whole."""
    longer = Sampling(**vars(SAMPLING) | {"equilibration": 0.4})
    found = trajectory(tmp_path, PointChargeEngine(), longer)._equilibrate()
    assert abs(float(found["box"]) - BOX) > 1e-3
    np.testing.assert_allclose(cdist(found["positions"][-3:], found["positions"][-3:]), cdist(WATER.positions, WATER.positions), atol=1e-5)


def test_a_longer_trajectory_goes_on_from_a_shorter_one(tmp_path):
    trajectory(tmp_path, PointChargeEngine()).run()
    first = list(trajectory(tmp_path, PointChargeEngine()).snapshots())
    longer = Sampling(**vars(SAMPLING) | {"n_frames": 7})
    more = trajectory(tmp_path, PointChargeEngine(), longer)
    more.run()
    np.testing.assert_array_equal(list(more.snapshots())[: SAMPLING.n_frames], first)


def test_other_settings_do_not_go_on_from_a_trajectory(tmp_path):
    trajectory(tmp_path, PointChargeEngine()).parts["equilibrated"] = {"positions": np.zeros(3)}
    with pytest.raises(InputError, match="holds parts of another engine, version or setting"):
        trajectory(tmp_path, PointChargeEngine(), Sampling(**vars(SAMPLING) | {"temperature": 350.0}))


def test_a_box_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a box of 12 angstrom is too small for water: it needs 22\.0 angstrom"):
        Trajectory(WATER, np.zeros(3), PointChargeEngine(), SAMPLING, Parts(tmp_path, {}), 12.0)


def test_relabel_computes_the_same_geometries_anew(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    qmmm_solutes.relabel(source, tmp_path / "new.h5", PointChargeEngine(), 1, "test")
    new = read_reference_data(tmp_path / "new.h5")
    np.testing.assert_array_equal(new.groups[0].qm_positions, source.groups[0].qm_positions)
    np.testing.assert_allclose(np.diff(new.groups[0].energies), np.diff(source.groups[0].energies), atol=1e-2)
    assert new.provenance.settings["geometries_sha256"] == source.sha256


def test_groups_of_one_molecule_have_one_zero(sampled, tmp_path):
    """As snapshots and distorted frames of it have."""
    source = read_reference_data(sampled[0])
    (group,) = source.groups
    parts = [replace(group.subset(np.array(numbers)), name=name) for name, numbers in {"late": [2, 3], "early": [0, 1]}.items()]
    qmmm_solutes.relabel(replace(source, groups=tuple(parts)), tmp_path / "new.h5", PointChargeEngine(), 1, "test")
    found = read_reference_data(tmp_path / "new.h5")
    references = found.provenance.settings["reference_energies_kj_per_mol"]
    assert references["late"] == references["early"]
    energies = {of.name: of.energies for of in found.groups}
    together = np.concatenate([energies["early"], energies["late"]])
    np.testing.assert_allclose(np.diff(together), np.diff(group.energies[:4]), atol=1e-4)


def test_one_process_at_a_time_samples_into_a_file(tmp_path):
    solute = qmmm_solutes.solute_by_name("uracil")
    with locked(tmp_path / "o.h5.trajectory"), pytest.raises(InputError, match="is in use by another run"):
        qmmm_solutes.sample(tmp_path / "o.h5", solute, PointChargeEngine(), Sampling(2), 1, "test")


def test_heavy_elements_have_the_core_potentials_of_their_basis():
    """Hydrogen iodide has its bond of 1.61 angstrom; without them its energy knows no minimum."""
    engine = PySCFDFTEngine()
    energies = [engine.energy(Calculation(np.array([53, 1]), np.array([[0.0, 0, 0], [0, 0, bond]]))) for bond in (1.4, 1.62, 1.9)]
    assert energies[1] < min(energies[0], energies[2])
    assert core_potentials(engine._import(), "def2-svp", np.array([1, 17])) == {}


def test_the_coarse_grid_is_only_where_pyscf_starts():
    """Energies in a field and, from that density, alone are those of PySCF's own settings."""
    engine, bohr = PySCFDFTEngine(), monomer_positions() / units.BOHR
    pyscf = engine._import()
    atoms = [(int(number), tuple(place)) for number, place in zip(MONOMER_NUMBERS, bohr, strict=True)]
    state = pyscf.dft.RKS(pyscf.M(atom=atoms, unit="Bohr", basis="def2-svp", verbose=0), xc="pbe").density_fit()
    embedded = pyscf.qmmm.mm_charge(state.copy(), MM_POSITIONS / units.BOHR, MM_CHARGES, unit="Bohr")
    field = Calculation(MONOMER_NUMBERS, monomer_positions(), mm_positions=MM_POSITIONS, mm_charges=MM_CHARGES)
    assert engine.embedded(field).energy == pytest.approx(embedded.kernel() * units.HARTREE, abs=1e-4)
    assert engine.energy(Calculation(MONOMER_NUMBERS, monomer_positions())) == pytest.approx(state.kernel() * units.HARTREE, abs=1e-4)


def test_relabel_takes_frames_that_are_spread_evenly(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    chosen = qmmm_solutes.spread(source, 3)
    np.testing.assert_array_equal(chosen.groups[0].qm_positions, source.groups[0].qm_positions[[0, 2, 4]])
    assert len(qmmm_solutes.spread(source, 99)) == len(qmmm_solutes.spread(source, None)) == len(source) == 5
    qmmm_solutes.relabel(chosen, tmp_path / "new.h5", PointChargeEngine(), 1, "test")
    assert len(read_reference_data(tmp_path / "new.h5")) == 3


def test_relabel_labels_the_geometries_of_xyz_files(sampled, tmp_path):
    group = read_reference_data(sampled[0]).groups[0]
    systems = [group.system(frame) for frame in range(2)]
    with open(tmp_path / "pc.xyz", "w") as pc:
        for system in systems:
            np.savetxt(pc, np.column_stack([system.mm_charges, system.mm_positions]), header=str(len(system.mm_charges)), comments="")
    ase.io.write(tmp_path / "qm.xyz", [ase.Atoms(system.atomic_numbers, system.positions) for system in systems], format="extxyz")
    data = qmmm_solutes.geometries(tmp_path / "qm.xyz", tmp_path / "pc.xyz")
    qmmm_solutes.relabel(data, tmp_path / "new.h5", PointChargeEngine(), 1, "test")
    new = read_reference_data(tmp_path / "new.h5")
    np.testing.assert_allclose(np.diff(new.groups[0].energies), np.diff(group.energies[:2]), atol=1e-2)
    assert new.provenance.settings["geometries_sha256"] == data.sha256


def test_geometries_with_blank_lines_are_all_relabelled(tmp_path):
    frame = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "qm.xyz").write_text(f"\n{frame}  \n\n{frame}\n{frame}\n")
    (tmp_path / "pc.xyz").write_text("\n1\n-1 4 0 0\n\n \n1\n-1 5 0 0\n1\n-1 6 0 0\n")
    data = qmmm_solutes.geometries(tmp_path / "qm.xyz", tmp_path / "pc.xyz", 0)
    assert data.groups[0].mm_positions[:, 0].tolist() == [4.0, 5.0, 6.0]
    (tmp_path / "pc.xyz").write_text("1\n-1 4 0 0 0 0\n")
    with pytest.raises(InputError, match=r"line 2: not a frame of point charges .*four numbers"):
        qmmm_solutes.geometries(tmp_path / "qm.xyz", tmp_path / "pc.xyz")


def test_relabel_with_other_charges_computes_anew_and_never_over_its_source(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    group = source.groups[0]
    halved = ReferenceData(source.provenance, (replace(group, mm_charges=0.5 * group.mm_charges),), "halved.h5", "0")
    energies = []
    for data in (source, halved):
        qmmm_solutes.relabel(data, tmp_path / "new.h5", PointChargeEngine(), 1, "test")
        energies.append(read_reference_data(tmp_path / "new.h5").groups[0].energies)
    assert np.abs(np.diff(energies[0]) - np.diff(energies[1])).max() > 0.1
    with pytest.raises(InputError, match="is the source of the geometries; choose another output"):
        qmmm_solutes.relabel(source, sampled[0], PointChargeEngine(), 1, "test")


def test_another_geometry_does_not_go_on_from_a_trajectory(tmp_path):
    linear = Solute("water", MONOMER_NUMBERS, np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.96, 0, 0]]), 0)
    assert qmmm_solutes.solute_identity(linear) != qmmm_solutes.solute_identity(WATER)
    with pytest.raises(InputError, match="must be a word without"):
        qmmm_solutes.sample(tmp_path / "a.h5", replace(WATER, name="my/water"), PointChargeEngine(), SAMPLING, 1, "test")


@pytest.mark.parametrize("error", [CalculationError("springs: did not converge"), CalculationError("springs: broke")])
def test_frames_on_which_the_engine_fails_are_left_out_and_named(error, sampled, tmp_path):
    source = read_reference_data(sampled[0])
    engine = PointChargeEngine(fails_on=7, error=error)  # two calculations a frame
    _, failures = qmmm_solutes.relabel(source, tmp_path / "new.h5", engine, 1, "test")
    assert len(failures) == 2
    assert failures[0].startswith("water_000003_")
    assert str(error) in failures[0]
    assert len(read_reference_data(tmp_path / "new.h5")) == 3


def test_where_every_calculation_fails_nothing_is_kept(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    with pytest.raises(EngineError, match=r"all 5 calculations failed, the first: water_000000_.*: springs: did not converge"):
        qmmm_solutes.relabel(source, tmp_path / "new.h5", PointChargeEngine(1), 1, "test")
    assert qmmm_solutes.relabel(source, tmp_path / "new.h5", PointChargeEngine(), 1, "test")[1] == []


def test_an_engine_that_is_gone_ends_the_build_and_records_no_failure(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    with pytest.raises(AmpTFError, match=r"springs: killed\. 3 of 5 calculations are finished"):
        qmmm_solutes.relabel(source, tmp_path / "new.h5", PointChargeEngine(7, EngineError("springs: killed")), 1, "test")
    assert qmmm_solutes.relabel(source, tmp_path / "new.h5", PointChargeEngine(), 1, "test")[1] == []


def test_relabel_refuses_open_shells_and_parts_of_electrons(sampled, tmp_path):
    source = read_reference_data(sampled[0])
    for charge, complaint in ((1.0, r"an odd number of electrons at charge \+1"), (0.4, "a total charge of 0.4 e, no whole number")):
        data = replace(source, groups=tuple(replace(group, total_charge=charge) for group in source.groups))
        with pytest.raises(InputError, match=rf"group 'water'.*{complaint}"):
            qmmm_solutes.relabel(data, tmp_path / "new.h5", PointChargeEngine(), 1, "test")
    assert not (tmp_path / "new.h5.parts").exists()


def test_the_sample_that_ships():
    data = read_reference_data(qmmm_solutes.SHIPPED_FILE)
    group = data.groups[0]
    assert (len(group), len(group.qm_atomic_numbers), data.provenance.level_of_theory) == (50, 12, "GFN2-xTB")
    for frame in (0, 49):
        span = slice(group.mm_offsets[frame], group.mm_offsets[frame + 1])
        total = group.qm_gradients[frame].sum(axis=0) + group.mm_gradients[span].sum(axis=0)
        np.testing.assert_allclose(total, 0.0, atol=0.05)
        system = group.system(frame)
        vectors = system.mm_positions[:, None] - system.positions
        fields = np.einsum(
            "ijx,j,i->ix", vectors / cdist(system.mm_positions, system.positions)[:, :, None] ** 3, group.charges[frame], system.mm_charges
        )
        np.testing.assert_allclose(group.mm_gradients[span], -units.COULOMB_CONSTANT * fields, atol=1e-2)  # xtb: charges on charges alone


@needs_xtb
def test_relaxing_lowers_the_gradient():
    solute = solute_from_smiles("CO", "methanol")
    found, energy, charges = relaxed(solute, XTBEngine())
    result = XTBEngine().embedded(Calculation(found.atomic_numbers, found.positions))
    assert result.energy == pytest.approx(energy, abs=0.1)
    assert np.abs(result.qm_gradients).max() < 20.0
    assert charges.sum() == pytest.approx(0.0, abs=1e-5)


def test_the_zone_of_the_shipped_water_model_is_neutral():
    assert sum(water_box.WATER_CHARGES) == pytest.approx(0.0, abs=1e-12)
