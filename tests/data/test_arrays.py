"""HDF5 files and .npy folders of others: types, shapes, one group for each molecule, damaged and oversized files."""

import fcntl
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from amp_tf.data.arrays import read_amp_qmmm, read_hdf5
from amp_tf.errors import AmpTFError, DataFileError, InputError

KEYS = {"atomic_numbers": "N", "positions": "R", "energies": "E"}
UNITS = ("angstrom", "hartree")
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
N_FRAMES = 4


@pytest.fixture
def arrays(random):
    return {"N": np.array([8, 1, 1]), "R": WATER + 0.01 * random.normal(size=(N_FRAMES, 3, 3)), "E": random.normal(size=N_FRAMES)}


def written(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"N": np.array([8.0, 1.0, 1.0])},
        {"N": np.array([8, 1, 1], dtype="uint8")},
        {"N": np.array([[8], [1], [1]])},
        {"N": np.tile([8, 1, 1], (N_FRAMES, 1))},
        {"N": np.tile([8, 1, 1], (N_FRAMES, 1))[..., None]},
        {"E": np.arange(N_FRAMES)},
        {"E": np.arange(N_FRAMES, dtype=float)[:, None]},
        {"Q": np.full((N_FRAMES, 3, 1), 0.5)},
        {"Q": np.full((N_FRAMES, 3), 0.5, dtype=">f4")},
    ],
)
def test_shapes_and_types_that_mean_the_same(tmp_path, arrays, changes):
    keys = KEYS | ({"charges": "Q"} if "Q" in changes else {})
    frames = read_hdf5(written(tmp_path / "a.h5", arrays | changes), keys, *UNITS)
    assert [frame.atomic_numbers.tolist() for frame in frames] == [[8, 1, 1]] * N_FRAMES
    assert np.ndim(frames[0].energy) == 0
    assert "Q" not in changes or frames[0].charges.tolist() == [0.5] * 3


def test_single_atoms_are_no_column(tmp_path):
    one = {"N": np.array([[2], [10]]), "R": np.zeros((2, 1, 3)), "E": np.zeros(2)}
    frames = read_hdf5(written(tmp_path / "a.h5", one), KEYS, *UNITS)
    assert [frame.atomic_numbers.tolist() for frame in frames] == [[2], [10]]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("N", np.array([5.9999999, 1, 1]), r"atomic_numbers are no whole numbers, such as 5\.9999999"),
        ("N", np.array([8, np.nan, 1]), "atomic_numbers are no whole numbers, such as nan"),
        ("N", np.array([8, np.inf, 1]), "atomic_numbers are no whole numbers, such as inf"),
        ("N", np.array([8, 1e30, 1]), "atomic_numbers are no whole numbers"),
        ("N", np.array([True, True, True]), "atomic_numbers are no numbers, but bool"),
        ("N", np.array([b"O", b"H", b"H"]), "atomic_numbers are no numbers"),
        ("E", np.zeros(N_FRAMES, complex), "energies are no numbers, but complex128"),
        ("E", np.zeros(N_FRAMES, bool), "energies are no numbers, but bool"),
        ("E", np.zeros(N_FRAMES, [("a", float)]), "energies are no numbers"),
        ("E", h5py.Empty("f8"), "E is empty; write it"),
        ("E", np.float64(1.0), "R|positions has shape"),
        ("R", np.zeros((N_FRAMES, 3)), r"positions has shape \[3\]"),
        ("R", np.zeros((N_FRAMES, 3, 3), complex), "positions are no numbers, but complex128"),
        ("R", np.zeros((N_FRAMES + 1, 3, 3)), "positions has shape .* energies have 4 frames"),
    ],
)
def test_types_and_shapes_that_cannot_be_are_refused(tmp_path, arrays, name, value, complaint):
    with pytest.raises(DataFileError, match=complaint):
        read_hdf5(written(tmp_path / "a.h5", arrays | {name: value}), KEYS, *UNITS)


def test_one_group_for_each_molecule_becomes_one_data_set(tmp_path, arrays):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, numbers, n_frames in (("b/x", [8, 1, 1], 2), ("a/y", [16, 1, 1], 4), ("c/z", [8, 1, 1], 1)):
            file[f"{name}/N"], file[f"{name}/R"], file[f"{name}/E"] = numbers, arrays["R"][:n_frames], arrays["E"][:n_frames, None]
        file["all"] = [1]
    keys = {ours: f"*/*/{name}" for ours, name in KEYS.items()}
    frames = read_hdf5(tmp_path / "a.h5", keys, *UNITS)
    assert [frame.atomic_numbers[0] for frame in frames] == [16] * 4 + [8] * 3
    with pytest.raises(InputError, match=r"there is no dataset \*/N; the file holds a/y/E"):
        read_hdf5(tmp_path / "a.h5", keys | {"atomic_numbers": "*/N"}, *UNITS)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["b/x/R"]
    with pytest.raises(InputError, match=r"b/x has no dataset \*/\*/R, which others have"):
        read_hdf5(tmp_path / "a.h5", keys, *UNITS)


def test_coarse_energies_give_a_warning(tmp_path, arrays):
    coarse = arrays | {"E": np.float32(-76.0 + arrays["E"])}
    with pytest.warns(UserWarning, match=r"in single precision, in which so large ones differ by 0\.02 kJ/mol or not at all"):
        read_hdf5(written(tmp_path / "a.h5", coarse), KEYS, *UNITS)
    for energies, unit in ((coarse["E"] + np.float32(76.0), "hartree"), (coarse["E"], "kJ/mol"), (np.float64(coarse["E"]), "hartree")):
        read_hdf5(written(tmp_path / "b.h5", arrays | {"E": energies}), KEYS, "angstrom", unit)


def test_values_that_are_not_in_the_file_are_refused(tmp_path, arrays):
    (tmp_path / "raw").write_bytes(bytes(96))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["N"], file["R"] = arrays["N"], arrays["R"]
        file.create_dataset("E", (N_FRAMES,), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
        file.create_dataset("huge", (10**12,), "f8", chunks=(1000,))
        file["soft"] = h5py.SoftLink("/E")
    for name, complaint in {"E": "kept in another file", "huge": "were never written", "soft": "there is no dataset soft"}.items():
        with pytest.raises(InputError, match=complaint):
            read_hdf5(tmp_path / "a.h5", KEYS | {"energies": name}, *UNITS)


def test_damaged_hdf5_is_read_or_refused_in_one_sentence(tmp_path, arrays, random):
    whole = written(tmp_path / "a.h5", arrays).read_bytes()
    refusals = []
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.h5").write_bytes(whole[:size])
        with pytest.raises(DataFileError, match=r"cannot be read as HDF5") as caught:
            read_hdf5(tmp_path / "b.h5", KEYS, *UNITS)
        refusals.append(str(caught.value))
    assert not [refusal for refusal in refusals if "\n" in refusal]


@pytest.mark.parametrize(
    ("make", "stands"), [(Path.mkdir, "a folder, no file"), (os.mkfifo, "a device or pipe, no regular file"), (str, "no such file")]
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, stands):
    make(tmp_path / "a.h5")
    with pytest.raises(DataFileError, match=stands):
        read_hdf5(tmp_path / "a.h5", KEYS, *UNITS)


def test_a_file_that_is_being_written_is_in_use(tmp_path, arrays):
    with open(written(tmp_path / "a.h5", arrays), "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does
        with pytest.raises(DataFileError, match=r"a\.h5: in use by another program, which is writing it; wait until"):
            read_hdf5(tmp_path / "a.h5", KEYS, *UNITS)


@pytest.mark.parametrize("layout", [{}, {"chunks": (1, 3, 3)}, {"chunks": (3, 3, 2), "compression": "gzip"}])
@pytest.mark.parametrize("n_written", [0, 1, N_FRAMES])
def test_values_that_were_never_written_are_refused(tmp_path, arrays, layout, n_written):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["N"], file["E"] = arrays["N"], arrays["E"]
        dataset = file.create_dataset("R", (N_FRAMES, 3, 3), "f8", fillvalue=1.0, **layout)
        if n_written:
            dataset[:n_written] = arrays["R"][:n_written]
    if n_written == N_FRAMES or (n_written and not layout):  # without chunks the file has room for all, or for none
        assert len(read_hdf5(tmp_path / "a.h5", KEYS, *UNITS)) == N_FRAMES
    else:
        with pytest.raises(DataFileError, match=r"R declares \[4, 3, 3\] values, which were never written, or not all"):
            read_hdf5(tmp_path / "a.h5", KEYS, *UNITS)


def test_numbers_of_frames_are_compared_before_anything_is_read(tmp_path, arrays, monkeypatch):
    path = written(tmp_path / "a.h5", arrays | {"E": np.zeros(400)})
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read"))
    with pytest.raises(DataFileError, match=r"positions has shape \[4, 3, 3\], energies have 400 frames"):
        read_hdf5(path, KEYS, *UNITS)


def of_folder(path, arrays):
    path.mkdir()
    named = {
        "species": np.tile(arrays["N"], (N_FRAMES, 1)), "coordinates": arrays["R"], "energies": arrays["E"],
        "engrad": np.ones((N_FRAMES, 3, 3)), "pc_coordinates": np.full((N_FRAMES, 2, 3), 5.0),
        "pc_charges": np.tile([0.5, -0.5], (N_FRAMES, 1)), "pcgrad": np.ones((N_FRAMES, 2, 3)),
    }  # fmt: skip
    for name, array in named.items():
        np.save(path / f"orca_{name}.npy", array)
    return path


def test_files_that_are_no_npy_are_one_sentence(tmp_path, arrays):
    folder = of_folder(tmp_path / "npy", arrays)
    assert len(read_amp_qmmm(folder)) == N_FRAMES
    np.save(folder / "orca_energies.npy", np.float32(arrays["E"][:, None] - 76.0))
    with pytest.warns(UserWarning, match="in single precision"):
        assert len(read_amp_qmmm(folder)) == N_FRAMES
    np.save(folder / "orca_energies.npy", arrays["E"])
    path = folder / "orca_energies.npy"
    whole = path.read_bytes()
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("a.txt", "text")
    huge = whole.replace(b"'shape': (4,), }         ", b"'shape': (4000000000,), }")
    assert huge != whole
    damaged = [b"", b"text", whole[:20], whole[:-8], huge, (tmp_path / "a.npz").read_bytes(), (tmp_path / "b.zip").read_bytes()]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(AmpTFError, match=r"orca_energies\.npy: (cannot be read as \.npy|holds several arrays)") as caught:
            read_amp_qmmm(folder)
        assert "\n" not in str(caught.value)
