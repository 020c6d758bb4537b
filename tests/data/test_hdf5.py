"""The data contract: what is written comes back, and every kind of damage is named."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from amp_tf.data.hdf5 import read_reference_data, write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
from amp_tf.errors import AmpTFError, DataFileError, InputError
from datasets.water_dimer import SHIPPED_FILE

VERSION_01 = Path(__file__).with_name("version_0.1.h5")
"""Frames 0, 90 and 180 of the water dimer, as version 0.1 wrote them."""

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
    monkeypatch.setattr("amp_tf.data.reference_data._BLOCK", 2)
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
    monkeypatch.setattr("amp_tf.data.reference_data._BLOCK", 2)
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


def test_a_file_of_version_01_is_still_read(water_dimer_file):
    old, new = read_reference_data(VERSION_01), read_reference_data(water_dimer_file)
    assert old.sha256 == "22664468d8ce52ba8bf1cef47c8bfdcb1f9866c2d76442c154bdb0a75134a268"
    assert old.provenance.level_of_theory == new.provenance.level_of_theory
    for name, array in new.groups[0].subset([0, 90, 180]).arrays().items():
        np.testing.assert_array_equal(old.groups[0].arrays()[name], array, err_msg=name)


def test_the_content_of_the_shipped_water_dimer_is_that_of_version_01(water_dimer_file):
    assert read_reference_data(water_dimer_file).sha256 == "d54f383eb81b5475ab1b46015eaa9f7d7eed801aa5d1732fc6ea52431bf056d0"


@pytest.mark.parametrize("path", sorted(SHIPPED_FILE.parent.glob("*_*.h5")), ids=lambda path: path.name)
def test_shipped_files_are_in_the_layout_with_checksums(path):
    """Superblock of version 3; no attribute whose text lies elsewhere in the file."""
    assert path.read_bytes()[8] == 3
    with h5py.File(path) as file:
        for name in file.attrs:
            kind = file.attrs.get_id(name).get_type()
            assert kind.get_class() != h5py.h5t.STRING or not kind.is_variable_str(), name


def test_text_comes_back_as_it_was(tmp_path, random):
    """Not ASCII, empty, with blanks at the end, longer than HDF5 keeps in a header."""
    provenance = PROVENANCE.model_copy(update={"engine": "", "level_of_theory": "Å ", "settings": {"long": "ü" * 70_000}})
    write_reference_data(tmp_path / "data.h5", provenance, (make_group(random),))
    assert read_reference_data(tmp_path / "data.h5").provenance == provenance


@pytest.mark.parametrize("change", [{"engine": "a\0b"}, {"settings": {"a": object()}}, {"random_seed": 2**80}, {"engine": "\udcff"}])
def test_provenance_that_no_file_can_hold_is_refused(file, random, change):
    before = file.read_bytes()
    with pytest.raises(DataFileError, match="the provenance cannot be written"):
        write_reference_data(file, PROVENANCE.model_copy(update=change), (make_group(random),))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_cannot_be_read_back_does_not_take_the_place_of_a_file(file, random, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr("amp_tf.data.hdf5._INTEGERS", {"mm_offsets": "<i4", "qm_atomic_numbers": "<f8"})
    with pytest.raises(DataFileError, match=r"data\.h5 was not written: it could not be read back"):
        write_reference_data(file, PROVENANCE, (make_group(random),))
    assert file.read_bytes() == before


FILL_THE_DISK = """
import resource, signal
import numpy as np
from amp_tf.data.hdf5 import write_reference_data
from amp_tf.data.reference_data import FrameGroup, Provenance
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
n = 4000
words = dict.fromkeys(("engine", "engine_version", "level_of_theory", "builder_command", "energy_reference"), "test")
group = FrameGroup("a", np.array([8, 1]), np.random.default_rng(0).uniform(size=(n, 2, 3)), np.zeros(n))
try:
    write_reference_data("{path}", Provenance(**words, random_seed=0), (group,))
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 100, 3_000, 100_000])
def test_a_full_disk_is_one_sentence_and_no_crash(tmp_path, limit):
    code = FILL_THE_DISK.format(limit=limit, path=tmp_path / "data.h5")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"The disk of {tmp_path} is full: free some space.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_program_writes_is_in_use(file):
    with open(file) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataFileError, match="in use by another program"):
            read_reference_data(file)
    assert len(read_reference_data(file)) == 3


def test_a_streamed_file_that_changes_after_the_check_is_noticed(file, monkeypatch):
    monkeypatch.setattr("amp_tf.data.hdf5.HELD_PARTICLES", 4)
    group = read_reference_data(file).groups[0]
    assert len(group.system(0).mm_charges) == 2
    content = file.read_bytes()
    with open(file, "rb+") as same:  # the same file, not another one in its place
        same.write(content)
    os.utime(file, ns=(0, 1))
    with pytest.raises(DataFileError, match=r"data\.h5 was changed after it was checked"):
        group.system(0)


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


def replace_dataset(make, name="pair/energies"):
    """What ``make(file, name)`` puts in the place of a dataset."""

    def damage(path):
        with h5py.File(path, "r+") as file:
            del file[name]
            make(file, name)

    return damage


def external_storage(file, name):
    file.create_dataset(name, (3,), "<f8", external=[("/etc/passwd", 0, 24)])


def external_link(file, name):
    file[name] = h5py.ExternalLink("other.h5", "energies")


def soft_link(file, name):
    file[name] = h5py.SoftLink("/pair/charges")


def virtual(file, name):
    layout = h5py.VirtualLayout((3,), "<f8")
    layout[:] = h5py.VirtualSource(file.filename + ".other", "energies", (3,))
    file.create_virtual_dataset(name, layout)


def a_group(file, name):
    file.create_group(name)


def nothing(file, name):
    file[name] = h5py.Empty("<f8")


def declared(*shape, **how):
    return lambda file, name: file.create_dataset(name, shape, "<f8", **how)


def large_chunk(file, name):
    file.create_dataset(name, (3,), "<f8", chunks=(2**28,), maxshape=(None,), compression="gzip")


def of_type(kind):
    return lambda file, name: file.create_dataset(name, data=np.zeros(3, kind))


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
        (drop_dataset("pair/energies"), "has no energies; give them"),
        (drop_dataset("pair/mm_charges"), "come together or not at all"),
        (add_dataset, r"unknown datasets \['forces'\]"),
        (replace_dataset(external_storage), "energies lies outside the file"),
        (replace_dataset(external_link), "energies is a link"),
        (replace_dataset(soft_link), "energies is a link"),
        (replace_dataset(virtual), "energies lies outside the file"),
        (replace_dataset(a_group), "energies is no dataset"),
        (replace_dataset(nothing), "energies is empty"),
        (replace_dataset(declared(10**9)), "energies declares 8e[+]09 bytes, but the file holds 0"),
        (replace_dataset(declared(10**12, chunks=True, compression="gzip")), "energies declares 8e[+]12 bytes"),
        (replace_dataset(declared(10**6, 10**6, chunks=(1, 1))), "energies declares 8e[+]12 bytes"),
        (replace_dataset(declared(10**10), "pair/mm_charges"), "mm_charges declares 8e[+]10 bytes"),
        (replace_dataset(declared(10**10), "pair/frame_properties/angle"), "frame_properties/angle declares 8e[+]10 bytes"),
        (replace_dataset(large_chunk), "energies declares"),
        (replace_dataset(of_type(complex)), "energies holds NaN, infinite or non-numeric"),
        (replace_dataset(of_type(bool)), "energies holds NaN, infinite or non-numeric"),
        (replace_dataset(of_type("S3")), "energies holds NaN, infinite or non-numeric"),
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
        ({"energies": np.zeros(0)}, "energies has shape"),
        ({"energies": np.zeros(0), "qm_positions": np.zeros((0, 2, 3))}, "holds no frame"),
        ({"qm_gradients": np.zeros((3, 3, 3))}, r"qm_gradients has shape \[3, 3, 3\], expected \[3, 2, 3\]"),
        ({"qm_positions": np.zeros((3, 2, 3))}, "frame 0: atoms 0 and 1 lie on one point"),
        ({"mm_offsets": np.array([0, 3, 2, 5])}, "mm_offsets must rise"),
        ({"dipoles": np.zeros((2, 3))}, "dipoles has shape"),
        ({"charges": np.zeros((3, 3))}, r"charges has shape \[3, 3\], expected \[3, 2\]"),
        ({"qm_atomic_numbers": np.array([8, 0])}, "positive integers of elements"),
        ({"qm_atomic_numbers": np.array([8.7, 1.0])}, "positive integers of elements"),
        ({"qm_atomic_numbers": np.array([7.9999999, 1.0])}, "positive integers of elements"),
        ({"mm_offsets": np.array([0, 1.5, 2, 5])}, "mm_offsets must be whole numbers"),
        ({"energies": np.zeros(3, complex)}, "energies holds NaN, infinite or non-numeric"),
        ({"energies": np.ones(3, bool)}, "energies holds NaN, infinite or non-numeric"),
        ({"energies": np.zeros(3, "M8[s]")}, "energies holds NaN, infinite or non-numeric"),
        ({"energies": ["1", "2", "3"]}, "energies holds NaN, infinite or non-numeric"),
        (
            {"mm_positions": np.zeros((5, 3)), "qm_positions": np.array([[[0.0, 0, 0], [0, 0, 1]]] * 3)},
            r"MM particle 0 is 0\.000 angstrom from QM atom 0",
        ),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(random, change, sentence):
    with pytest.raises(DataFileError, match=sentence):
        make_group(random, **change)


class Foreign:
    """An array of another package, with a unit or with a fault."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __array__(self, dtype=None, copy=None):
        if hasattr(self, "unit"):
            return np.zeros(3)
        raise ZeroDivisionError("no array")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.ma.masked_equal([1.0, 2.0, 3.0], 2.0), "holds masked values"),
        (Foreign(unit="hartree"), "has a unit of its own"),
        (Foreign(), r"must be an array of numbers, got Foreign \(no array\)"),
        ([[1.0], [2.0, 3.0], []], "must be an array of numbers, got list"),
    ],
)
def test_what_is_no_plain_array_is_refused(random, value, sentence):
    with pytest.raises(InputError, match=f"energies {sentence}"):
        make_group(random, energies=value)
    with pytest.raises(InputError, match=f"angle {sentence}"):
        FrameGroup("a", np.array([8, 1]), np.ones((3, 2, 3)) * [[0.0], [1.0]], np.zeros(3), frame_properties={"angle": value})


def test_lists_become_arrays(random):
    group = make_group(random, energies=[1.0, 2.0, 3.0], qm_gradients=[[[0.0] * 3] * 2] * 3)
    assert group.arrays()["qm_gradients"].shape == (3, 2, 3)
    assert group.arrays()["energies"].shape == (3,)


def test_names_and_charges_are_checked(random):
    arrays = make_group(random).arrays()
    positions, energies = arrays["qm_positions"], arrays["energies"]
    for name in ("a/b", "/", "", ".", "..", "a\0b", "a\nb", "\udcff", 3):
        with pytest.raises(DataFileError, match="must be a word"):
            FrameGroup(name, np.array([8, 1]), positions, energies)
        with pytest.raises(DataFileError, match="must be a word"):
            FrameGroup("a", np.array([8, 1]), positions, energies, frame_properties={name: energies})
    with pytest.raises(InputError, match="total_charge holds NaN"):
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


def test_damaged_tables_of_names_do_not_end_the_process(file):
    """HDF5 frees pointers that it never set where the names of a group of more than eight are damaged, and makes a table of them;
    MALLOC_PERTURB_ fills fresh memory with what is no pointer, so that it would show each time."""
    code = """
import pathlib, sys
from amp_tf.data.arrays import read_hdf5
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import AmpTFError
file = pathlib.Path(sys.argv[1])
whole = file.read_bytes()
keys = {"atomic_numbers": "pair/qm_atomic_numbers", "positions": "pair/qm_positions", "energies": "pair/energies"}
for signature in (b"FRHP", b"FHDB", b"BTHD", b"BTLF"):
    place = whole.index(signature)
    while place >= 0:
        for byte in (place, place + 6, place + 12, place + 20):
            content = bytearray(whole)
            content[byte] ^= 165
            file.write_bytes(bytes(content))
            for reading in (read_reference_data, lambda path: read_hdf5(path, keys, "angstrom", "kJ/mol")):
                try:
                    reading(file)
                except AmpTFError:
                    print("refused")
        place = whole.find(signature, place + 1)
"""
    environment = os.environ | {"MALLOC_PERTURB_": "85", "PYTHONMALLOC": "malloc"}
    ended = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("refused") >= 32  # each of the 8 tables, 4 bytes each, at least by one of the readers


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("qm_positions", None, "group 'pair' has no qm_positions; give them"), ("energies", None, "has no energies"),
        ("qm_atomic_numbers", None, "has no qm_atomic_numbers"), ("frame_properties", None, "frame_properties are arrays by their names"),
        ("frame_properties", [1.0], "frame_properties are arrays by their names"),
    ],
)  # fmt: skip
def test_groups_without_what_they_need_are_refused(name, value, sentence):
    needed = {"qm_atomic_numbers": np.array([8, 1]), "qm_positions": np.eye(2, 3)[None], "energies": np.zeros(1)}
    FrameGroup("pair", **needed)
    with pytest.raises(DataFileError, match=sentence):
        FrameGroup("pair", **needed | {name: value})


def test_groups_of_the_same_name_are_refused(tmp_path, random):
    group = make_group(random)
    with pytest.raises(DataFileError, match="distinct names"):
        write_reference_data(tmp_path / "twice.h5", PROVENANCE, (group, group))


def test_a_copied_file_is_the_same_data(file, tmp_path):
    shutil.copy(file, tmp_path / "copy.h5")
    assert read_reference_data(tmp_path / "copy.h5").sha256 == read_reference_data(file).sha256
