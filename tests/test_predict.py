"""amp-tf predict: from reference data and extended xyz to both, the same numbers as ``compute``."""

import time

import ase
import ase.io
import numpy as np
import pytest

import amp_tf
from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from amp_tf.predict import predict_file
from amp_tf.systems import System
from datasets.qmmm_solutes import SHIPPED_FILE


@pytest.fixture(scope="module")
def potential():
    return amp_tf.AMP(
        ("H", "C", "N", "O"), max_order=2, n_layers=1, n_features=8, n_radial_weights=4, direct_polarization=True, pairwise_coulomb=True,
        provenance={"total_charges": [0.0], "level_of_theory": "GFN2-xTB"},
    )  # fmt: skip


def test_from_reference_data_to_both_formats(potential, tmp_path):
    source = read_reference_data(SHIPPED_FILE).groups[0]
    assert predict_file(potential, SHIPPED_FILE, tmp_path / "out.h5") == len(source)
    assert predict_file(potential, SHIPPED_FILE, tmp_path / "out.xyz") == len(source)
    data, atoms = read_reference_data(tmp_path / "out.h5"), ase.io.read(tmp_path / "out.xyz", index=3)
    assert data.provenance.level_of_theory == "AMP trained on GFN2-xTB"
    group = data.groups[0]
    expected = potential.compute_systems([source.system(3)])
    span = slice(group.mm_offsets[3], group.mm_offsets[4])
    np.testing.assert_allclose(group.energies[3], expected["energy"][0], atol=1e-2)
    np.testing.assert_allclose(group.mm_gradients[span], expected["mm_gradients"][0], atol=1e-3)
    np.testing.assert_allclose(group.charges[3], expected["charges"][0], atol=1e-4)
    np.testing.assert_allclose(atoms.get_potential_energy() * units.EV, expected["energy"][0], atol=1e-2)
    np.testing.assert_allclose(-atoms.get_forces() * units.EV, expected["qm_gradients"][0], atol=1e-2)
    np.testing.assert_allclose(atoms.calc.results["charges"], expected["charges"][0], atol=1e-4)


def test_from_extended_xyz_in_the_order_of_the_file(potential, tmp_path):
    water, dimer = ase.Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), ase.Atoms("O2", [[0, 0, 0], [1.2, 0, 0]])
    ase.io.write(tmp_path / "in.xyz", [water, dimer, water], format="extxyz")
    with pytest.warns(UserWarning, match="without surroundings"):
        assert predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.extxyz") == 3
    frames = ase.io.read(tmp_path / "out.extxyz", index=":")
    assert [len(frame) for frame in frames] == [3, 2, 3]
    energy = potential.compute(water.numbers, water.positions)["energy"]
    assert frames[2].get_potential_energy() * units.EV == pytest.approx(energy, abs=1e-4)
    with pytest.warns(UserWarning, match="without surroundings"):
        assert predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.h5") == 3
    assert [len(group) for group in read_reference_data(tmp_path / "out.h5").groups] == [1, 2]


def test_dipoles_of_ions_in_files_are_about_the_origin(tmp_path):
    """As programs of quantum chemistry give them and training expects them; ``compute`` gives them about the centroid."""
    ion = amp_tf.PhysNet(("H", "O"), n_layers=1, n_features=8, n_radial=4, charges=True, dtype="float64")
    hydroxide = ase.Atoms("OH", [[5.0, -2.0, 1.0], [5.0, -2.0, 1.97]], info={"charge": -1})
    ase.io.write(tmp_path / "in.xyz", hydroxide, format="extxyz")
    for name in ("out.xyz", "out.h5"):
        predict_file(ion, tmp_path / "in.xyz", tmp_path / name)
    result = ion.compute(hydroxide.numbers, hydroxide.positions, total_charge=-1.0)
    expected = result["charges"] @ hydroxide.positions
    np.testing.assert_allclose(ase.io.read(tmp_path / "out.xyz").calc.results["dipole"], expected, atol=1e-7)
    np.testing.assert_allclose(read_reference_data(tmp_path / "out.h5").groups[0].dipoles[0], expected)
    np.testing.assert_allclose(result["dipole"], expected + hydroxide.positions.mean(axis=0), atol=1e-12)


def test_from_extended_xyz_with_point_charges(potential, tmp_path):
    water, source = ase.Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), tmp_path / "in.xyz"
    ase.io.write(source, water, format="extxyz")
    with pytest.warns(UserWarning, match=r"no frame has MM particles \(--pc gives them\); these are energies without surroundings"):
        predict_file(potential, source, tmp_path / "out.h5")
    (tmp_path / "pc.xyz").write_text("1\n0.5 0 0 4\n")
    assert predict_file(potential, source, tmp_path / "out.h5", pc=tmp_path / "pc.xyz") == 1
    expected = potential.compute(water.numbers, water.positions, [[0, 0, 4.0]], [0.5])
    np.testing.assert_allclose(read_reference_data(tmp_path / "out.h5").groups[0].mm_gradients, expected["mm_gradients"], atol=1e-5)
    (tmp_path / "pc.xyz").write_text("1\n0.5 0 0 14\n")
    predict_file(potential, source, tmp_path / "out.h5", pc=tmp_path / "pc.xyz", cell=(10.0, 10.0, 10.0))
    np.testing.assert_allclose(read_reference_data(tmp_path / "out.h5").groups[0].mm_positions, [[0, 0, 4.0]])
    with pytest.raises(InputError, match="--cell goes with --pc"):
        predict_file(potential, source, tmp_path / "out.h5", cell=(10.0, 10.0, 10.0))
    with pytest.raises(InputError, match="--pc goes with extended xyz"):
        predict_file(potential, SHIPPED_FILE, tmp_path / "out.h5", pc=tmp_path / "pc.xyz")


def test_what_frames_state_and_their_order_are_kept(potential, tmp_path):
    water, dimer = ase.Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), ase.Atoms("O2", [[0, 0, 0], [1.2, 0, 0]])
    frames = [water, dimer, water.copy(), dimer.copy()]
    for number, frame in enumerate(frames):
        frame.info = {"name": f"frame {number}", "step": 10 * number, "REF_energy": 1.5}
        frame.set_tags([number] * len(frame))
    ase.io.write(tmp_path / "in.xyz", frames, format="extxyz")
    with pytest.warns(UserWarning, match="without surroundings"):
        predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.xyz")
    for frame, expected in zip(ase.io.read(tmp_path / "out.xyz", index=":"), frames, strict=True):
        assert frame.info == {**expected.info, "charge": 0.0}
        assert frame.get_tags().tolist() == expected.get_tags().tolist()
    fits_not = r"name, tags of the frames fit no \.h5 file; its source_frame tells which frame of in\.xyz has them"
    with pytest.warns(UserWarning, match=fits_not), pytest.warns(UserWarning, match="without surroundings"):
        predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.h5")
    properties = [group.frame_properties for group in read_reference_data(tmp_path / "out.h5").groups]
    assert [of_group["source_frame"].tolist() for of_group in properties] == [[1, 3], [0, 2]]
    assert [of_group["step"].tolist() for of_group in properties] == [[10, 30], [0, 20]]
    with pytest.warns(UserWarning, match="without surroundings"):
        predict_file(potential, tmp_path / "out.h5", tmp_path / "again.h5")
    again = [group.frame_properties["source_frame"].tolist() for group in read_reference_data(tmp_path / "again.h5").groups]
    assert again == [[1, 3], [0, 2]]


@pytest.mark.parametrize("blank", ["\n", "  \r\n"])
def test_blank_lines_are_no_end(potential, tmp_path, blank):
    frame = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    (tmp_path / "in.xyz").write_text(blank + blank.join([frame] * 3))
    with pytest.warns(UserWarning, match="without surroundings"):
        assert predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.xyz") == 3


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        ("3\n\nO 0 0 0\nH 1.81 0 0\nH -0.45 1.76 0\n", r"frame 1.*atoms 0 \(O, 1\.81 angstrom\).*they look like bohr; give angstrom"),
        ("3\n\nO 0 0 0\nH 0.096 0 0\nH -0.024 0.093 0\n", r"frame 1.*they look like nm; give angstrom"),
        ("3\n\nO 0 0 0\nH 0.96 0 0\nH 9.76 0.93 0\n", r"frame 1.*atoms 2 \(H, 8\.85 angstrom\).*a molecule wrapped in a box"),
        ("2\n\nO 0 0 0\nH 0.96 0 0\n", r"frame 1: an odd number of electrons at charge \+0 e"),
    ],
)
def test_frames_that_are_no_chemistry_are_told(potential, tmp_path, rows, warning):
    (tmp_path / "in.xyz").write_text("3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n" + rows)
    with pytest.warns(UserWarning, match=rf"in\.xyz, {warning}"), pytest.warns(UserWarning, match="without surroundings"):
        predict_file(potential, tmp_path / "in.xyz", tmp_path / "out.h5")


@pytest.mark.parametrize(("scale", "hint"), [(1 / units.BOHR, "bohr"), (0.1, "nm")])
def test_compute_tells_of_lengths_in_another_unit(potential, scale, hint):
    water = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    with pytest.warns(UserWarning, match=f"system 0: .*they look like {hint}; give angstrom"):
        potential.compute([8, 1, 1], water * scale)
    with pytest.warns(UserWarning, match=f"system 1: .*they look like {hint}; give angstrom"):
        potential.compute([[8, 1, 1]] * 2, [water, water * scale])


def test_compute_takes_the_nearest_images_of_molecules_in_a_cell(potential, random):
    water = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    places = np.array([[x, y, z] for x in (-4, 0, 4) for y in (-4, 0, 4) for z in (-4, 0, 4) if (x, y, z) != (0, 0, 0)], dtype=float)
    around = (places[:, None] + random.uniform(-0.3, 0.3, size=(26, 1, 3)) + water).reshape(-1, 3)
    charges = np.tile([-0.8, 0.4, 0.4], 26)
    expected = potential.compute([8, 1, 1], water, around, charges)
    torn = around + 12.0 * random.integers(-2, 3, size=around.shape)
    found = potential.compute([8, 1, 1], water, torn, charges, cell=[12.0, 12.0, 12.0])
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-3)
    np.testing.assert_allclose(found["mm_gradients"], expected["mm_gradients"], atol=1e-3)
    with pytest.raises(InputError, match=r"MM particle 77 is 1e\+06 cells away from the atoms"):
        potential.compute([8, 1, 1], water, np.concatenate([torn[:-1], [[0, 0, 1e20]]]), charges, cell=[12.0, 12.0, 12.0])
    for cell in ([12.0, 12.0], 12.0, np.zeros(3), np.full(3, np.nan)):
        with pytest.raises(InputError, match="cell"):
            potential.compute([8, 1, 1], water, torn, charges, cell=cell)


@pytest.mark.parametrize(
    ("cell", "n_mm", "sentence"),
    [
        ([1.2, 1.2, 1.2], 30, "would be 18.5 in each cubic angstrom"),
        ([5.0, 5.0, 5.0], 900, "would be 7.22 in each cubic angstrom"),
        (np.diag([3.0, 3.0, 3.0]) + np.eye(3, k=1), 1737, "in each cubic angstrom"),
        ([0.5, 50.0, 50.0], 30, "two faces of it are 0.5 angstrom apart, less than a molecule"),
        ([[20.0, 0, 0], [19.0, 1.0, 0], [0, 0, 20.0]], 30, "two faces of it are 1 angstrom apart, less than a molecule"),
        ([4.5, 30.0, 30.0], 30, "the atoms reach over 1.11 of its lengths"),
    ],
)
def test_cells_that_hold_no_system_are_refused_at_once(random, cell, n_mm, sentence):
    around = random.uniform(6.0, 20.0, size=(n_mm, 3))
    started = time.perf_counter()
    with pytest.raises(InputError, match=f"the cell is too small: .*{sentence}; give its edges or vectors in angstrom"):
        System([8, 8], [[0.0, 0, 0], [5.0, 0, 0]], 0.0, around, np.zeros(n_mm), cell=cell)
    assert time.perf_counter() - started < 1.0


def test_waters_one_image_away_are_told(potential):
    water = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    grid = (np.arange(4) - 1.5) * 4.0
    places = np.array([[x, y, z] for x in grid for y in grid for z in grid])
    places[:, 0] += 16.0 * (places[:, 0] < 0)
    around, charges = (places[:, None] + water).reshape(-1, 3), np.tile([-0.8, 0.4, 0.4], 64)
    with pytest.warns(UserWarning, match=r"the middle of the 192 MM particles is .* particle \d+ is farthest \(in a periodic box give its"):
        potential.compute([8, 1, 1], water, around, charges)
    potential.compute([8, 1, 1], water, around, charges, cell=[16.0] * 3)


def test_a_total_charge_that_was_not_trained_is_refused(potential, tmp_path):
    with pytest.raises(InputError, match=r"trained on total charges of 0 e, not \+1 e"):
        potential.compute([8, 1], [[0, 0, 0], [0, 0, 1.0]], total_charge=1.0)


def test_the_frame_that_cannot_be_predicted_is_named(potential, tmp_path):
    water = ase.Atoms("OH2", [[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    ase.io.write(tmp_path / "sulfur.xyz", [water, ase.Atoms("SH2", water.positions)], format="extxyz")
    with pytest.raises(InputError, match=r"sulfur\.xyz, frame 1: the model knows H, C, N, O, not S"), pytest.warns(match="no frame has MM"):
        predict_file(potential, tmp_path / "sulfur.xyz", tmp_path / "out.h5")
    ase.io.write(tmp_path / "qm.xyz", [water, water], format="extxyz")
    (tmp_path / "pc.xyz").write_text("1\n0.5 3 0 0\n\n1\n0.5 0.2 0 0\n")
    with pytest.raises(InputError, match=r"qm\.xyz, frame 1: MM particle 0 is 0\.200 angstrom from QM atom 0"):
        predict_file(potential, tmp_path / "qm.xyz", tmp_path / "out.h5", pc=tmp_path / "pc.xyz")
    with pytest.raises(InputError, match="system 1: MM particle 0 is"):
        potential.compute([water.numbers] * 2, [water.positions] * 2, [[[3.0, 0, 0]], [[0.2, 0, 0]]], [[0.5], [0.5]])


def test_a_model_that_does_not_see_charges_stands_for_the_charge_of_its_data():
    trained = amp_tf.GNN(("H", "O"), n_features=4, n_layers=1, provenance={"total_charges": [-1.0]})
    hydroxide = {"atomic_numbers": [8, 1], "positions": [[0, 0, 0], [0, 0, 1.0]]}
    assert np.isfinite(trained.compute(**hydroxide, total_charge=-1.0)["energy"])
    for potential, charge in ((trained, 1.0), (amp_tf.GNN(("H", "O"), n_features=4, n_layers=1), -1.0)):
        with pytest.raises(InputError, match="this model does not see the total charge"):
            potential.compute(**hydroxide, total_charge=charge)


def test_unknown_endings_are_refused(potential, tmp_path):
    with pytest.raises(InputError, match="is the source; choose another output"):
        predict_file(potential, SHIPPED_FILE, SHIPPED_FILE)
    with pytest.raises(InputError, match="the ending must be"):
        predict_file(potential, SHIPPED_FILE, tmp_path / "out.json")
    (tmp_path / "in.pdb").touch()
    with pytest.raises(InputError, match="amp-tf convert reads other formats"):
        predict_file(potential, tmp_path / "in.pdb", tmp_path / "out.h5")
