"""The data contract: what is written comes back, and every kind of damage is named."""

import contextlib
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from amp_tf.data.hdf5 import FrameGroup, Provenance, read_reference_data, write_reference_data
from amp_tf.errors import AmpTFError, DataFileError

PROVENANCE = Provenance(
    engine="test",
    engine_version="1",
    level_of_theory="none",
    builder_command="pytest",
    random_seed=7,
    energy_reference="zero",
    settings={"a": [1, 2]},
)


def make_group(random, n_frames=3, **change):
    arrays = {
        "qm_atomic_numbers": np.array([8, 1]),
        "qm_positions": random.normal(size=(n_frames, 2, 3)),
        "energies": random.normal(size=n_frames),
        "qm_gradients": random.normal(size=(n_frames, 2, 3)),
        "mm_offsets": np.array([0, 2, 2, 5]),
        "mm_positions": random.normal(size=(5, 3)),
        "mm_charges": random.normal(size=5),
        "mm_gradients": random.normal(size=(5, 3)),
        "charges": random.normal(size=(n_frames, 2)),
        "dipoles": random.normal(size=(n_frames, 3)),
    }
    return FrameGroup("pair", **arrays | change, total_charge=1.0, frame_properties={"angle": np.arange(float(n_frames))})


@pytest.fixture
def file(tmp_path, random):
    path = tmp_path / "data.h5"
    write_reference_data(path, PROVENANCE, (make_group(random),))
    return path


def test_round_trip(file, random):
    data = read_reference_data(file)
    written = make_group(np.random.default_rng(20231))
    assert data.provenance == PROVENANCE
    assert len(data) == 3
    for name, array in written.arrays().items():
        np.testing.assert_array_equal(data.groups[0].arrays()[name], array, err_msg=name)
    assert data.groups[0].total_charge == 1.0


@pytest.mark.parametrize("charge", [-1, np.float64(-1.0), np.int32(-1)])
def test_total_charges_of_any_number_type_are_read_back(tmp_path, random, charge):
    write_reference_data(tmp_path / "data.h5", PROVENANCE, (replace(make_group(random), total_charge=charge),))
    assert read_reference_data(tmp_path / "data.h5").groups[0].total_charge == -1.0


def test_a_subset_keeps_what_belongs_to_its_frames(random):
    group = make_group(random)
    subset = group.subset([2, 0])
    assert len(subset) == 2
    for position, frame in enumerate((2, 0)):
        left, right = subset.system(position), group.system(frame)
        np.testing.assert_array_equal(left.positions, right.positions)
        np.testing.assert_array_equal(left.mm_positions, right.mm_positions)
        np.testing.assert_array_equal(left.mm_charges, right.mm_charges)
        assert subset.energies[position] == group.energies[frame]
        assert subset.frame_properties["angle"][position] == group.frame_properties["angle"][frame]
    np.testing.assert_array_equal(subset.mm_gradients, group.mm_gradients[[2, 3, 4, 0, 1]])


def test_writing_twice_gives_the_same_checksum(file, tmp_path):
    data = read_reference_data(file)
    assert write_reference_data(tmp_path / "again.h5", data.provenance, data.groups) == data.sha256


def test_many_mm_particles_stay_in_the_file(file, random, monkeypatch):
    """They are read frame by frame, and are the same; rewriting the file under its reader harms neither."""
    whole = read_reference_data(file)
    monkeypatch.setattr("amp_tf.data.hdf5.HELD_PARTICLES", 4)
    monkeypatch.setattr("amp_tf.data.hdf5._BLOCK", 2)
    streamed = read_reference_data(file)
    assert streamed.sha256 == whole.sha256
    for name in ("mm_positions", "mm_charges", "mm_gradients"):
        assert isinstance(getattr(streamed.groups[0], name), h5py.Dataset), name
    assert write_reference_data(file, streamed.provenance, streamed.groups) == whole.sha256
    assert read_reference_data(file).sha256 == whole.sha256  # which fails where what was written is not what was hashed
    for frame in range(3):
        np.testing.assert_array_equal(streamed.groups[0].system(frame).mm_positions, whole.groups[0].system(frame).mm_positions)
    subset = streamed.groups[0].subset([2, 0])
    np.testing.assert_array_equal(subset.mm_gradients, whole.groups[0].mm_gradients[[2, 3, 4, 0, 1]])


def test_values_that_are_not_finite_are_found_in_what_stays_in_the_file(random, tmp_path, monkeypatch):
    monkeypatch.setattr("amp_tf.data.hdf5.HELD_PARTICLES", 4)
    monkeypatch.setattr("amp_tf.data.hdf5._BLOCK", 2)
    write_reference_data(tmp_path / "data.h5", PROVENANCE, (make_group(random),))
    with h5py.File(tmp_path / "data.h5", "r+") as opened:
        opened["pair/mm_gradients"][4, 1] = np.nan
    with pytest.raises(DataFileError, match="mm_gradients holds NaN") as failure:
        read_reference_data(tmp_path / "data.h5")
    assert failure.value  # while the error is kept, the file is closed all the same
    with h5py.File(tmp_path / "data.h5", "r+") as opened:
        opened["pair/mm_gradients"][4, 1] = 0.0
    with pytest.raises(DataFileError, match="altered"):
        read_reference_data(tmp_path / "data.h5")


def test_an_interrupted_write_leaves_the_old_file(file, random, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr(h5py.Group, "create_dataset", lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(AmpTFError, match="is full: free some space"):
        write_reference_data(file, PROVENANCE, (make_group(random),))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing is left behind on the full disk"


def test_the_shipped_water_dimer(water_dimer_file):
    data = read_reference_data(water_dimer_file)
    group = data.groups[0]
    assert len(group) == 360
    assert "aug-cc-pvtz" in data.provenance.level_of_theory
    np.testing.assert_array_equal(group.frame_properties["angle"], np.arange(360.0))
    energy = group.energies
    np.testing.assert_allclose(energy[1:180], energy[:180:-1], atol=1e-5, err_msg="mirror image")
    assert np.ptp(energy) == pytest.approx(0.381, abs=0.001)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_energy(path):
    with h5py.File(path, "r+") as file:
        file["pair/energies"][0] += 1e-9


def change_attribute(name, value):
    def damage(path):
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return damage


def drop_attribute(name):
    def damage(path):
        with h5py.File(path, "r+") as file:
            del file.attrs[name]

    return damage


def drop_dataset(name):
    def damage(path):
        with h5py.File(path, "r+") as file:
            del file[name]

    return damage


def add_dataset(path):
    with h5py.File(path, "r+") as file:
        file["pair/forces"] = np.zeros(3)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncate, "truncated, damaged or not an HDF5 file"),
        (lambda path: path.write_text("no HDF5"), "truncated, damaged or not an HDF5 file"),
        (lambda path: path.unlink(), "no such file; build it"),
        (change_energy, "altered after it was written"),
        (change_attribute("engine", "another"), "altered after it was written"),
        (change_attribute("format_version", 0), "format version 0, this amp_tf reads version 1"),
        (change_attribute("format", "other"), "not a reference data file of amp_tf"),
        (change_attribute("unit_of_energy", "eV"), "the unit of energy is 'eV', expected 'kJ/mol'"),
        (change_attribute("surprise", 1), "provenance attributes are incomplete or unknown"),
        (drop_attribute("engine"), "provenance attributes are incomplete or unknown"),
        (drop_attribute("sha256"), "truncated, damaged"),
        (drop_dataset("pair/energies"), "lacks a required dataset"),
        (drop_dataset("pair/mm_charges"), "come together or not at all"),
        (add_dataset, r"unknown datasets \['forces'\]"),
    ],
)
def test_damage_is_named(file, damage, sentence):
    damage(file)
    with pytest.raises(DataFileError, match=sentence):
        read_reference_data(file)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"energies": np.array([1.0, np.nan, 2.0])}, "energies holds NaN"),
        ({"energies": np.zeros(0)}, "holds no frame"),
        ({"qm_gradients": np.zeros((3, 3, 3))}, r"qm_gradients has shape \[3, 3, 3\], expected \[3, 2, 3\]"),
        ({"qm_positions": np.zeros((3, 2, 3))}, "frame 0: atoms 0 and 1 lie on one point"),
        ({"mm_offsets": np.array([0, 3, 2, 5])}, "mm_offsets must rise"),
        ({"dipoles": np.zeros((2, 3))}, "dipoles has shape"),
        ({"charges": np.zeros((3, 3))}, r"charges has shape \[3, 3\], expected \[3, 2\]"),
        ({"qm_atomic_numbers": np.array([8, 0])}, "positive integers of elements"),
        ({"qm_atomic_numbers": np.array([8.7, 1.0])}, "positive integers of elements"),
        (
            {"mm_positions": np.zeros((5, 3)), "qm_positions": np.array([[[0.0, 0, 0], [0, 0, 1]]] * 3)},
            r"MM particle 0 is 0\.000 angstrom from QM atom 0",
        ),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(random, change, sentence):
    with pytest.raises(DataFileError, match=sentence):
        make_group(random, **change)


def test_lists_become_arrays(random):
    group = make_group(random, energies=[1.0, 2.0, 3.0], qm_gradients=[[[0.0] * 3] * 2] * 3)
    assert group.arrays()["qm_gradients"].shape == (3, 2, 3)
    assert group.arrays()["energies"].shape == (3,)


def test_names_and_charges_are_checked(random):
    arrays = make_group(random).arrays()
    positions, energies = arrays["qm_positions"], arrays["energies"]
    with pytest.raises(DataFileError, match="must be a word"):
        FrameGroup("a/b", np.array([8, 1]), positions, energies)
    with pytest.raises(DataFileError, match="total_charge holds NaN"):
        FrameGroup("a", np.array([8, 1]), positions, energies, total_charge=np.nan)


def test_no_flipped_byte_escapes_as_a_raw_error(file, random):
    """Either the data come back unchanged (a byte that HDF5 does not use) or the damage is reported."""
    whole, expected = file.read_bytes(), read_reference_data(file).sha256
    for _ in range(150):
        content = bytearray(whole)
        content[random.integers(len(content))] ^= int(random.integers(1, 256))
        file.write_bytes(bytes(content))
        with contextlib.suppress(DataFileError):
            assert read_reference_data(file).sha256 == expected


def test_groups_of_the_same_name_are_refused(tmp_path, random):
    group = make_group(random)
    with pytest.raises(DataFileError, match="distinct names"):
        write_reference_data(tmp_path / "twice.h5", PROVENANCE, (group, group))


def test_a_copied_file_is_the_same_data(file, tmp_path):
    shutil.copy(file, tmp_path / "copy.h5")
    assert read_reference_data(tmp_path / "copy.h5").sha256 == read_reference_data(file).sha256
