"""Labels of extended xyz: their names, units and values, and what else frames state."""

import warnings

import ase
import ase.io
import numpy as np
import pytest

from amp_tf import units
from amp_tf.data.convert import read_emle, read_xyz
from amp_tf.data.frames import as_reference_data, left_out
from amp_tf.data.xyz import read_atoms
from amp_tf.errors import InputError

ROWS = ["O 0 0 0 1 2 3", "H 0.96 0 0 -1 -1 -1", "H -0.24 0.93 0 0 -1 -2"]
FORCES = np.array([[1, 2, 3], [-1, -1, -1], [0, -1, -2.0]])


def frame(line="energy=-1.5", column="forces"):
    return f"3\nProperties=species:S:1:pos:R:3:{column}:R:3 {line}\n" + "".join(f"{row}\n" for row in ROWS)


@pytest.fixture
def written(tmp_path):
    def write(*frames):
        (tmp_path / "a.xyz").write_text("".join(frames))
        return tmp_path / "a.xyz"

    return write


@pytest.mark.parametrize(
    "column", ["REF_forces", "force", "dft_forces", "Gradient", "engrad", "F", "f_ref", "F_ref", "dEdR", "dE_dr", "vasp_f"]
)
def test_forces_by_another_name_are_not_lost(written, column):
    kind = "qm_gradients" if "grad" in column.lower() or column.startswith("dE") else "qm_forces"
    with pytest.raises(InputError, match=f"frame 1: {column} looks like forces, which would be lost; give --key {kind}={column}"):
        read_xyz(written(frame(), frame(column=column)))
    read = read_xyz(written(frame(column=column)), keys={kind: column})[0]
    np.testing.assert_allclose(read.qm_gradients, FORCES * units.EV * (1 if kind == "qm_gradients" else -1))


@pytest.mark.parametrize(
    "names", ["fx fy fz", "force_x force_y force_z", "Fx_ref Fy_ref Fz_ref", "grad-x grad-y grad-z", "dEdx dEdy dEdz", "gx gy gz"]
)
def test_forces_in_three_columns_are_not_lost(written, names):
    columns = ":".join(f"{name}:R:1" for name in names.split())
    text = f"3\nProperties=species:S:1:pos:R:3:{columns} energy=1\n" + "".join(f"{row}\n" for row in ROWS)
    with pytest.raises(InputError, match=f"frame 0: {', '.join(names.split())} look like forces, which would be lost; name the three"):
        read_xyz(written(text))


def test_columns_that_may_be_forces_are_told_where_there_are_none(written):
    with pytest.warns(UserWarning, match=r"look like labels and are not read: push \(--key qm_forces=push\)"):
        read_xyz(written(frame(column="push")))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for column in ("velocities", "momenta", "scaled_positions", "displacement"):
            read_xyz(written(frame(column=column)))


@pytest.mark.parametrize(
    "words", ["Eh", "kcal/mol", "(Hartree)", "kJ mol-1", "a.u.", "Ha", "Ry", "meV", "units=Hartree", 'unit="kcal/mol"', "Eh/bohr"]
)
def test_units_beside_energies_are_not_passed_over(written, words):
    path = written(frame(), frame(f"energy=-76.4 {words}"))
    with pytest.raises(
        InputError, match=r"frame 1: the second line speaks of .*, but energies are taken to be in eV and forces in eV/angstrom"
    ):
        read_xyz(path)


def test_words_that_are_no_other_units(written):
    line = "energy=-76.4 eV pbe0 Au step 5 K time=0.5 fs units=metal eV/A"
    assert read_xyz(written(frame(line)))[0].energy == pytest.approx(-76.4 * units.EV)
    path = written(frame("energy=-76.4 Eh"))
    assert read_xyz(path, "hartree", gradient_unit="hartree/bohr")[0].energy == pytest.approx(-76.4 * units.HARTREE)


@pytest.mark.parametrize(("line", "ours"), [("energy=1 REF_energy=2", "energies"), ('energy=1 dft_dipole="1 2 3"', "dipoles")])
def test_other_labels_that_are_not_read_are_told(written, line, ours):
    name = line.split()[1].partition("=")[0]
    with pytest.warns(UserWarning, match=rf"look like labels and are not read: {name} \(--key {ours}={name}\)"):
        read_xyz(written(frame(line)))


def test_properties_that_are_no_labels_are_not_told(written):
    rows = "".join(f"{row} 1 2\n" for row in ROWS)
    columns = "species:S:1:pos:R:3:forces:R:3:energies:R:1:momenta:R:1"
    assert len(read_xyz(written(f"3\nProperties={columns} energy=1 free_energy=1 force_field=2 gradient=F\n{rows}"))) == 1


def test_labels_by_keys(written):
    line = 'E_ref=-2.5 mu="1 2 3"'
    read = read_xyz(written(frame(line)), keys={"energies": "E_ref", "dipoles": "mu"})[0]
    assert read.energy == pytest.approx(-2.5 * units.EV)
    np.testing.assert_array_equal(read.dipole, [1, 2, 3])
    for keys, complaint in {
        ("energies", "E"): "there is no key 'E'; the frame holds E_ref",
        ("dipoles", "d"): "--key dipoles=d names nothing; the frame holds E_ref",
        ("forces", "forces"): "--key forces=… is unknown for extended xyz, known are energies, qm_forces",
    }.items():
        with pytest.raises(InputError, match=complaint):
            read_xyz(written(frame(line)), keys={"energies": "E_ref"} | dict([keys]))


@pytest.mark.parametrize("value", ["abc", "-1.0eV", "T", "1_0", "nan", '"1 2"', "inf", "1,5"])
def test_energies_that_are_no_numbers(written, value):
    with pytest.raises(InputError, match=r"frame 1: energy must be one finite number without a unit, got "):
        read_xyz(written(frame(), frame(f"energy={value}")))


@pytest.mark.parametrize(("line", "column"), [("energy=1 dipole=2", "forces"), ("energy=1", "charges")])
def test_labels_of_another_shape(written, line, column):
    with pytest.raises(InputError, match=r"(dipole|charges) must be finite numbers of shape \[3\] without a unit"):
        read_xyz(written(frame(line, column)))


def test_both_units_are_stated_or_none(written):
    path = written(frame())
    np.testing.assert_allclose(read_xyz(path)[0].qm_gradients, -FORCES * units.EV)
    np.testing.assert_allclose(read_xyz(path, "eV")[0].qm_gradients, -FORCES * units.EV)
    with pytest.raises(InputError, match="give --gradient-unit ENERGY/LENGTH too, such as hartree/angstrom or hartree/bohr"):
        read_xyz(path, "hartree")
    with pytest.raises(InputError, match="--gradient-unit hartree/bohr says nothing of the energies; give --energy-unit too"):
        read_xyz(path, gradient_unit="hartree/bohr")
    read = read_xyz(path, "hartree", gradient_unit="hartree/bohr")[0]
    np.testing.assert_allclose(read.qm_gradients, -FORCES * units.HARTREE / units.BOHR)
    assert read.energy == pytest.approx(-1.5 * units.HARTREE)
    (path.parent / "pc.xyz").write_text("1\n1 5 5 5\n")
    emle = read_emle(path, path.parent / "pc.xyz", "kcal/mol", gradient_unit="kcal/mol/angstrom")[0]
    np.testing.assert_allclose(emle.qm_gradients, -FORCES * units.KCAL_PER_MOL)
    assert read_xyz(written("1\nenergy=1\nHe 0 0 0\n"), "hartree")[0].energy == pytest.approx(units.HARTREE)


@pytest.mark.parametrize("unit", ["foo", "eV", "eV/", "/angstrom", "angstrom/eV", "kJ/mol", "kJ/mol/Angstrom"])
def test_units_of_gradients_that_are_none(written, unit):
    with pytest.raises(InputError, match=rf"--gradient-unit must be ENERGY/LENGTH of kJ/mol, .* and angstrom, bohr, nm, got '{unit}'"):
        read_xyz(written(frame()), "eV", gradient_unit=unit)


def test_a_frame_that_cannot_be_data_names_the_file(written):
    with pytest.raises(InputError, match=r"a\.xyz: group 'O2', frame 0: atoms 0 and 1 lie on one point"):
        as_reference_data(read_xyz(written("2\nenergy=1\nO 0 0 0\nO 0 0 0\n")), "a.xyz", "test", "")


def test_order_and_numbers_of_interleaved_frames_are_kept(written):
    hydroxide = "2\nenergy=1 charge=-1 step=5 name=b\nO 0 0 0\nH 0.96 0 0\n"
    path = written(frame("energy=1 step=3 name=a"), hydroxide, frame("energy=2 step=4.5 temperature=300"))
    frames = read_xyz(path)
    data = as_reference_data(frames, str(path), "test", "")
    water, ion = data.groups
    assert (water.frame_properties["source_frame"].tolist(), ion.frame_properties["source_frame"].tolist()) == ([0, 2], [1])
    assert water.frame_properties["step"].tolist() == [3.0, 4.5]
    assert left_out(frames, data) == ["name", "temperature"]


def test_frames_that_ase_writes_are_read_as_ase_reads_them(tmp_path, random):
    frames = []
    for number in range(3):
        texts = {"name": "a b", "route": "opt=tight,scf=fine", "smiles": "C=C[NH3+]", "quotes": 'it\'s "x" a=b', "flag": True}
        atoms = ase.Atoms("OH2", random.normal(size=(3, 3)), info={**texts, "vector": np.arange(3), "nested": {"a": [1, "x"]}})
        atoms.new_array("tags", np.arange(3) + number)
        atoms.set_array("label", np.array(["a", "bc", "d"]))
        frames.append(atoms)
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    for read, expected in zip(read_atoms(tmp_path / "a.xyz"), ase.io.read(tmp_path / "a.xyz", index=":"), strict=True):
        np.testing.assert_array_equal(read.positions, expected.positions)
        assert read.info.keys() == expected.info.keys()
        for name in ("name", "route", "smiles", "quotes", "flag", "nested"):
            assert read.info[name] == expected.info[name]
        for name in ("tags", "label"):
            np.testing.assert_array_equal(read.arrays[name], expected.arrays[name])
