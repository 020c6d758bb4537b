"""Readers of other formats: units, refusals that name what was found, plausibility of energies."""

from pathlib import Path

import ase
import ase.io
import h5py
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from amp_tf import cli, units
from amp_tf.data import convert
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.plausibility import check_plausible
from amp_tf.errors import AmpTFError, DataFileError, InputError

ROOT = Path(__file__).resolve().parent.parent.parent
N_FRAMES, NUMBERS = 6, np.array([8, 1, 1])
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


@pytest.fixture
def arrays(random):
    """Frames in hartree, bohr-based gradients and angstrom, with four MM particles of which the last two of frame 0 are padding."""
    mm_positions, mm_charges = random.uniform(4.0, 9.0, size=(N_FRAMES, 4, 3)), random.normal(size=(N_FRAMES, 4))
    mm_positions[0, 2:], mm_charges[0, 2:] = 0.0, 0.0
    qm_gradients, mm_gradients = 0.02 * random.normal(size=(N_FRAMES, 3, 3)), 0.001 * random.normal(size=(N_FRAMES, 4, 3))
    mm_gradients[0, 2:] = 0.0
    qm_gradients[:, 0] -= qm_gradients.sum(axis=1) + mm_gradients.sum(axis=1)
    return {
        "species": np.tile(NUMBERS, (N_FRAMES, 1)),
        "coordinates": WATER + 0.03 * random.normal(size=(N_FRAMES, 3, 3)),
        "energies": -76.0 + 0.01 * random.normal(size=N_FRAMES),
        "engrad": qm_gradients,
        "pc_coordinates": mm_positions,
        "pc_charges": mm_charges,
        "pcgrad": mm_gradients,
        "charges": random.normal(size=(N_FRAMES, 3)),
        "dipoles": random.normal(size=(N_FRAMES, 3)),
    }


def write_npy(folder, arrays, prefix="orca"):
    folder.mkdir(exist_ok=True)
    for name in arrays.keys() - {"charges"}:  # which their data do not have
        np.save(folder / f"{prefix}_{name}.npy", arrays[name])
    return folder


def converted(source, output, *options):
    """The data after ``amp-tf convert``."""
    arguments = ["convert", str(source), str(output), "--level-of-theory", "test", *options]
    result = CliRunner().invoke(cli.app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return read_reference_data(output)


def test_the_authors_folders(tmp_path, arrays):
    data = converted(write_npy(tmp_path / "npy", arrays), tmp_path / "out.h5", "--format", "amp_qmmm")
    group = data.groups[0]
    assert len(group) == N_FRAMES
    np.testing.assert_array_equal(group.qm_positions, arrays["coordinates"])
    np.testing.assert_allclose(group.energies, arrays["energies"] * units.HARTREE)
    np.testing.assert_allclose(group.qm_gradients, arrays["engrad"] * units.HARTREE / units.BOHR)
    np.testing.assert_allclose(group.dipoles, arrays["dipoles"] * units.BOHR)
    np.testing.assert_array_equal(np.diff(group.mm_offsets), [2, 4, 4, 4, 4, 4])
    np.testing.assert_array_equal(group.mm_charges[:2], arrays["pc_charges"][0, :2])
    np.testing.assert_allclose(group.mm_gradients[2:6], arrays["pcgrad"][1] * units.HARTREE / units.BOHR)


def test_an_option_that_would_be_ignored_is_refused(tmp_path, arrays):
    with pytest.raises(InputError, match="--energy-unit has no meaning for --format amp_qmmm"):
        converted(write_npy(tmp_path / "npy", arrays), tmp_path / "out.h5", "--format", "amp_qmmm", "--energy-unit", "eV")


def test_the_xtb_twins_are_in_bohr(tmp_path, arrays):
    folder = write_npy(tmp_path / "npy", arrays, "xtb")
    data = converted(folder, tmp_path / "out.h5", "--format", "amp_qmmm", "--prefix", "xtb", "--no-plausibility-check")
    np.testing.assert_allclose(data.groups[0].qm_positions, arrays["coordinates"] * units.BOHR)
    np.testing.assert_allclose(data.groups[0].mm_positions[:2], arrays["pc_coordinates"][0, :2] * units.BOHR)


def test_ragged_arrays_of_objects_are_read_only_when_asked(tmp_path, arrays):
    lengths = [2, 4, 3, 4, 4, 1]
    for name in ("pc_coordinates", "pc_charges", "pcgrad"):
        ragged = np.empty(N_FRAMES, dtype=object)
        ragged[:] = [part[:length] for part, length in zip(arrays[name], lengths, strict=True)]
        arrays[name] = ragged
    folder = write_npy(tmp_path / "npy", arrays)
    with pytest.raises(DataFileError, match="needs --allow-pickle, if you trust it"):
        convert.read_amp_qmmm(folder)
    data = converted(folder, tmp_path / "out.h5", "--format", "amp_qmmm", "--allow-pickle")
    np.testing.assert_array_equal(np.diff(data.groups[0].mm_offsets), lengths)


def test_missing_files_are_named_beside_those_that_are_there(tmp_path, arrays):
    del arrays["pcgrad"]
    with pytest.raises(InputError, match=r"lacks orca_pcgrad\.npy; it holds orca_coordinates\.npy"):
        convert.read_amp_qmmm(write_npy(tmp_path / "npy", arrays))


def test_charges_and_positions_of_different_length(tmp_path, arrays):
    arrays["pc_charges"] = arrays["pc_charges"][:, :3]
    with pytest.raises(DataFileError, match=r"frame 0: mm_positions has shape \[4, 3\], but there are 3 atoms and 3 MM charges"):
        convert.read_amp_qmmm(write_npy(tmp_path / "npy", arrays))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"energies": np.zeros((N_FRAMES, 3))}, r"frame 0: energies has shape \[3\]"),
        ({"energies": np.array(["a"] * N_FRAMES)}, "frame 0: energies are no numbers"),
        ({"species": np.array([[b"O", b"H", b"H"]] * N_FRAMES)}, "frame 0: atomic_numbers are no numbers"),
        ({"species": NUMBERS - 1e-7}, "atomic_numbers are no whole numbers"),
        ({"species": np.full((N_FRAMES, 3), True)}, "frame 0: atomic_numbers are no numbers, but bool"),
        ({"energies": np.zeros(N_FRAMES, complex)}, "frame 0: energies are no numbers, but complex"),
        ({"energies": np.zeros(N_FRAMES, "M8[s]")}, "frame 0: energies are no numbers, but datetime"),
        ({"species": np.full((N_FRAMES, 3), 200)}, "atomic numbers must be those of elements"),
        ({"species": np.tile(NUMBERS, (4, 1))}, r"atomic_numbers has shape \[4, 3\], energies have 6 frames"),
        ({"pcgrad": np.zeros((N_FRAMES, 2, 3))}, r"mm_gradients has shape \[2, 3\], but there are 3 atoms and 4 MM charges"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, arrays, changes, complaint):
    folder = write_npy(tmp_path / "npy", arrays | changes)
    with pytest.raises(DataFileError, match=complaint):
        convert.as_reference_data(convert.read_amp_qmmm(folder), "npy", "test", "test")


def test_an_empty_file_a_periodic_frame_and_a_charge_that_is_no_number(tmp_path, arrays):
    folder = write_npy(tmp_path / "npy", arrays)
    (folder / "orca_energies.npy").write_bytes(b"")
    with pytest.raises(DataFileError, match=r"orca_energies\.npy: cannot be read"):
        convert.read_amp_qmmm(folder)
    (tmp_path / "a.xyz").write_text('1\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T" energy=1.0\nO 0 0 0\n')
    with pytest.raises(InputError, match="frame 0: periodic; only isolated molecules"):
        convert.read_xyz(tmp_path / "a.xyz")
    (tmp_path / "b.xyz").write_text("1\ncharge=abc energy=1.0\nO 0 0 0\n")
    with pytest.raises(InputError, match="must be a number, got 'abc'"):
        convert.read_xyz(tmp_path / "b.xyz")


@pytest.fixture
def hdf5(tmp_path, arrays):
    path = tmp_path / "source.h5"
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[f"run/{name}"] = array
    return path


KEYS = {
    "atomic_numbers": "run/species", "positions": "run/coordinates", "energies": "run/energies", "qm_gradients": "run/engrad",
    "mm_positions": "run/pc_coordinates", "mm_charges": "run/pc_charges", "mm_gradients": "run/pcgrad",
    "charges": "run/charges",
}  # fmt: skip


def test_hdf5_with_a_key_map(tmp_path, hdf5, arrays):
    keys = [option for ours, name in KEYS.items() for option in ("--key", f"{ours}={name}")]
    unit = ["--length-unit", "angstrom", "--energy-unit", "hartree", "--gradient-unit", "hartree/bohr"]
    data = converted(hdf5, tmp_path / "out.h5", "--format", "hdf5", *keys, *unit)
    np.testing.assert_allclose(data.groups[0].qm_gradients, arrays["engrad"] * units.HARTREE / units.BOHR)
    np.testing.assert_allclose(data.groups[0].energies, arrays["energies"] * units.HARTREE)
    np.testing.assert_array_equal(data.groups[0].charges, arrays["charges"])


def test_forces_become_gradients_by_their_sign(hdf5, arrays):
    keys = {key.replace("gradients", "forces"): name for key, name in KEYS.items()}
    frames = convert.read_hdf5(hdf5, keys, "angstrom", "hartree", "hartree/bohr")
    np.testing.assert_allclose(frames[1].qm_gradients, -arrays["engrad"][1] * units.HARTREE / units.BOHR)
    np.testing.assert_allclose(frames[1].mm_gradients, -arrays["pcgrad"][1] * units.HARTREE / units.BOHR)


@pytest.mark.parametrize(
    ("changes", "unit", "complaint"),
    [
        ({"qm_forces": "run/engrad"}, "eV", "--key qm_forces=… and qm_gradients=… are the same but for the sign, give one"),
        ({"energies": "run/E"}, "eV", "there is no dataset run/E; the file holds run/charges"),
        ({"energies": None}, "eV", "give --key energies=DATASET; the file holds"),
        ({"forces": "run/engrad"}, "eV", "--key forces=… is unknown, known are atomic_numbers"),
        ({}, None, "--energy-unit must be one of kJ/mol, kcal/mol, eV, hartree, got None; the source does not state"),
    ],
)
def test_what_is_ambiguous_is_refused(hdf5, changes, unit, complaint):
    keys = {key: name for key, name in (KEYS | changes).items() if name}
    with pytest.raises(InputError, match=complaint.replace("(", r"\(")):
        convert.read_hdf5(hdf5, keys, "angstrom", unit)


def write_xyz(path, arrays, key="energy"):
    frames = []
    columns = [arrays[name] for name in ("coordinates", "energies", "engrad", "charges")]
    for positions, energy, gradients, charges in zip(*columns, strict=True):
        atoms = ase.Atoms(NUMBERS, positions, info={"charge": 1})
        if key == "energy":
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-gradients, charges=charges)
        else:
            atoms.info[key] = energy
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


def test_extended_xyz(tmp_path, arrays):
    data = converted(write_xyz(tmp_path / "a.xyz", arrays), tmp_path / "out.h5", "--format", "xyz", "--no-plausibility-check")
    group = data.groups[0]
    assert group.total_charge == 1.0
    np.testing.assert_allclose(group.energies, arrays["energies"] * units.EV)
    np.testing.assert_allclose(group.qm_gradients, arrays["engrad"] * units.EV, atol=1e-5)
    np.testing.assert_allclose(group.charges, arrays["charges"], atol=1e-7)
    frames = ase.io.read(tmp_path / "a.xyz", index=":")
    del frames[1].calc.results["charges"]
    ase.io.write(tmp_path / "b.xyz", frames, format="extxyz")
    assert converted(tmp_path / "b.xyz", tmp_path / "b.h5", "--format", "xyz", "--no-plausibility-check").groups[0].charges is None
    assert group.mm_offsets is None


def test_a_frame_without_energy_names_its_keys(tmp_path, arrays):
    with pytest.raises(InputError, match="frame 0: there is no key 'energy'; the frame holds E_ref, charge, numbers, positions"):
        convert.read_xyz(write_xyz(tmp_path / "a.xyz", arrays, key="E_ref"))


def test_emle_files(tmp_path, arrays):
    arrays["pc_coordinates"][0, 2:] = 6.0, 7.0, 8.0
    with open(tmp_path / "pc.xyz", "w") as file:
        for charges, positions in zip(arrays["pc_charges"], arrays["pc_coordinates"], strict=True):
            file.write(f"{len(charges)}\n" + "".join(f"{q} {x} {y} {z}\n" for q, (x, y, z) in zip(charges, positions, strict=True)) + "\n")
    write_xyz(tmp_path / "qm.xyz", arrays)
    data = converted(tmp_path / "qm.xyz", tmp_path / "out.h5", "--format", "emle", "--no-plausibility-check")
    np.testing.assert_allclose(data.groups[0].mm_charges, arrays["pc_charges"].ravel())
    np.testing.assert_allclose(data.groups[0].mm_positions, arrays["pc_coordinates"].reshape(-1, 3))
    (tmp_path / "pc.xyz").write_text("2\n0.1 1 2 3\n")
    with pytest.raises(DataFileError, match="line 1: not a frame of point charges"):
        list(convert.read_point_charges(tmp_path / "pc.xyz"))


@pytest.mark.parametrize(("unit", "factor"), [("eV/angstrom", units.EV), ("hartree/bohr", units.HARTREE / units.BOHR)])
def test_energies_and_gradients_in_the_same_wrong_unit_are_noticed(tmp_path, arrays, unit, factor):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["N"], file["R"] = arrays["species"], arrays["coordinates"]
        energy = units.EV if unit == "eV/angstrom" else units.HARTREE
        file["E"], file["G"] = arrays["energies"] * units.HARTREE / energy, arrays["engrad"] * units.HARTREE / units.BOHR / factor
    keys = [f"--key={pair}" for pair in ("atomic_numbers=N", "positions=R", "energies=E", "qm_gradients=G")]
    options = ["--format", "hdf5", *keys, "--length-unit", "angstrom"]
    with pytest.raises(AmpTFError, match=rf"where molecules at room temperature have about 100 \(they look like {unit}\)"):
        converted(tmp_path / "in.h5", tmp_path / "out.h5", *options, "--energy-unit", "kJ/mol")
    right = [*options, "--energy-unit", unit.split("/")[0], "--gradient-unit", unit]
    assert np.sqrt(np.mean(converted(tmp_path / "in.h5", tmp_path / "out.h5", *right).groups[0].qm_gradients ** 2)) > 50.0


def test_energies_in_the_wrong_unit_are_noticed(tmp_path, arrays):
    arrays["energies"] = arrays["energies"] / units.HARTREE  # labelled hartree, as if they were already kJ/mol
    with pytest.raises(AmpTFError, match=r"their gradients suggest about .* kJ/mol \(they look like"):
        converted(write_npy(tmp_path / "npy", arrays), tmp_path / "out.h5", "--format", "amp_qmmm")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"coordinates": 1.0 / units.BOHR},
            r"hydrogen atoms are 1\.8.* \(they look like bohr taken for angstrom\); correct the unit of length",
        ),
        ({"coordinates": units.BOHR}, r"hydrogen atoms are 0\.5.* \(they look like angstrom taken for bohr\)"),
        ({"pcgrad": 51.4}, r"miss that by .* larger sum \(one of them looks like another unit"),
        ({"pcgrad": -1.0}, r"miss that by 200 % of the larger sum \(one of them looks like forces\)"),
        ({"engrad": 27.2, "pcgrad": 27.2, "energies": 27.2}, r"about 100 \(they look too large\); correct the units"),
    ],
)
def test_other_mistakes_of_units_and_signs_are_noticed(tmp_path, arrays, changes, complaint):
    scaled = arrays | {name: arrays[name] * factor for name, factor in changes.items()}
    with pytest.raises(AmpTFError, match=complaint):
        converted(write_npy(tmp_path / "npy", scaled), tmp_path / "out.h5", "--format", "amp_qmmm")


def test_energies_alone_in_the_wrong_unit_are_noticed(tmp_path, arrays):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["N"], file["R"], file["E"] = arrays["species"], arrays["coordinates"], arrays["energies"]
    options = ["--format=hdf5", "--key=atomic_numbers=N", "--key=positions=R", "--key=energies=E", "--length-unit=angstrom"]
    with pytest.raises(AmpTFError, match=r"where thermal motion suggests about 15 kJ/mol \(they look like hartree\)"):
        converted(tmp_path / "in.h5", tmp_path / "out.h5", *options, "--energy-unit=kJ/mol")
    assert len(converted(tmp_path / "in.h5", tmp_path / "out.h5", *options, "--energy-unit=hartree")) == N_FRAMES


@pytest.mark.parametrize("n_frames", [1, 4])
def test_gradients_of_few_frames_are_looked_at_too(tmp_path, arrays, n_frames):
    few = {name: array[-n_frames:] for name, array in arrays.items()} | {"engrad": arrays["engrad"][-n_frames:] / units.HARTREE}
    with pytest.raises(AmpTFError, match=r"where molecules at room temperature have about 100"):
        converted(write_npy(tmp_path / "npy", few), tmp_path / "out.h5", "--format", "amp_qmmm")


def test_the_data_that_ship_are_plausible():
    for name in ("uracil_sample", "water_clusters", "water_dimer"):
        check_plausible(read_reference_data(ROOT / "datasets" / f"{name}.h5"))


def test_convert_says_which_labels_it_found(tmp_path, arrays):
    arguments = [str(write_npy(tmp_path / "npy", arrays)), str(tmp_path / "out.h5"), "--format", "amp_qmmm", "--level-of-theory", "test"]
    result = CliRunner().invoke(cli.app, ["convert", *arguments])
    assert "with energies, qm_gradients, mm_gradients, dipoles; total charge 0 e" in result.output
