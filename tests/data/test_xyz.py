"""Extended xyz as people write it: every frame is read, or the line that cannot be is named; total charge and spin by any name."""

import ase
import ase.io
import numpy as np
import pytest

from amp_tf.data.convert import read_geometries, read_xyz
from amp_tf.data.xyz import read_atoms
from amp_tf.errors import AmpTFError, DataFileError, InputError

ATOMS = "O 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
FRAME = f"3\nenergy=1.5\n{ATOMS}"


def written(tmp_path, text, name="a.xyz"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / name


@pytest.mark.parametrize("blank", ["\n", "  \t\n", "\n\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_between_frames(tmp_path, blank, end):
    text = blank + blank.join([FRAME] * 3) + blank
    assert len(read_xyz(written(tmp_path, text.replace("\n", end)))) == 3
    assert len(read_xyz(written(tmp_path, b"\xef\xbb\xbf" + text.rstrip().encode()))) == 3


def test_a_blank_second_line_is_one(tmp_path):
    frames = read_geometries(written(tmp_path, f"3\n\n{ATOMS}\n3\n   \n{ATOMS}"))
    np.testing.assert_array_equal(frames[1].positions[1], [0.96, 0, 0])


BROKEN = {
    "text after a frame": (FRAME + "the end\n" + FRAME, "line 6: here a frame must begin with .* its lines, alone, but .*the end"),
    "blank line among atoms": ("3\n\nO 0 0 0\n\nH 1 0 0\nH 0 1 0\n", "line 4: 4 columns are expected, .*, but there are 0"),
    "a line too few": ("3\n\nO 0 0 0\nH 1 0 0\n", "line 1: 3 atoms are announced, but only 2 lines follow"),
    "a line too many": (f"2\n\n{ATOMS}", "line 5: here a frame must begin"),
    "a huge count": (f"1000000000000\n\n{ATOMS}", "line 1: 1000000000000 atoms are announced"),
    "a count with words": (f"3 atoms\n\n{ATOMS}", "line 1: here a frame must begin"),
    "a negative count": ("-1\n\n", "line 1: here a frame must begin"),
    "a count with _": (f"0_3\n\n{ATOMS}", "line 1: here a frame must begin"),
    "no atoms": ("0\n\n", "line 1: a frame of 0 atoms"),
    "a count alone": ("3", "line 1: 3 atoms are announced, but only 0 lines follow"),
    "an empty file": ("", "there is no frame"),
    "blank lines alone": ("\n \n", "there is no frame"),
    "a column too many": ("1\n\nO 0 0 0 0.4\n", "line 3: 4 columns are expected, .* but there are 5; name all in Properties="),
    "a column too few": ("1\n\nO 0 0\n", "line 3: 4 columns are expected"),
    "1_0": ("1\n\nO 1_0 0 0\n", "line 3: '1_0' is no finite number"),
    "another alphabet's digits": ("1\n\nO ١ 0 0\n", "line 3: '١' is no finite number"),
    "nan": ("2\n\nO 0 0 0\nH nan 0 0\n", "line 4: 'nan' is no finite number"),
    "1e999": ("1\n\nO 1e999 0 0\n", "line 3: '1e999' is no finite number"),
    "a word": ("1\n\nO a 0 0\n", "line 3: 'a' is no finite number"),
    "Fortran's exponents": ("1\n\nO 1.0D0 0 0\n", "line 3: '1.0D0' is no finite number"),
    **{
        f"ghost {word}": (f"1\n\n{word} 0 0 0\n", f"line 3: '{word}' is a ghost or dummy atom")
        for word in ("Bq", "X", "Xx", "Gh", "O-Bq", "bq1", "@H")
    },
    "O1": ("2\n\nH 1 0 0\nO1 0 0 0\n", "line 4: 'O1' is no chemical symbol; write 'O'"),
    "a number": ("1\n\n8 0 0 0\n", "line 3: '8' is no chemical symbol; write 'O'"),
    "no element": ("1\n\n?! 0 0 0\n", "line 3: '[?]!' is no chemical symbol; correct it"),
    "a key twice": (f"3\nenergy=1 energy=2\n{ATOMS}", "line 2: the key 'energy' is given twice"),
    **{
        pair: (f"1\nenergy=1 {pair}\nO 0 0 0\n", "line 2: .* holds .*; put a blank between two pairs")
        for pair in (
            'name="x"charge=1', "name=x,charge=1", "name=x;spin=1", "name=x,energy=1", "name=charge=1", "name=x|Q=1", "name=[a]charge=1",
            "name='x'b=1", 'name = "x"charge=1', "name=it's charge=1", 'name="x step=1', "name=[x step=1",
        )
    },
    "no key": ("1\nname=x =1\nO 0 0 0\n", "line 2: '=1' has no key"),
    "no positions": ("1\nProperties=species:S:1\nO\n", "line 2: Properties=species:S:1 must name"),
    "Properties cut off": ("1\nProperties=species:S\nO\n", "line 2: Properties=species:S is no list"),
    "Properties of words": ("1\nProperties=species:S:one:pos:R:3\nO 0 0 0\n", "line 2: Properties=.* is no list"),
    "Properties twice": ("1\nProperties=species:S:1:pos:R:3:a:R:1:a:R:1\nO 0 0 0 1 1\n", "line 2: Properties=.* is no list"),
    "a huge column": ("1\nProperties=species:S:1:pos:R:3:a:R:1000000000\nO 0 0 0 1\n", "line 3: 1000000004 columns are expected"),
    "Z of no element": ("1\nProperties=Z:I:1:pos:R:3\n200 0 0 0\n", "line 2: atomic numbers must be those of elements"),
    "Z and species": ("1\nProperties=species:S:1:Z:I:1:pos:R:3\nO 7 0 0 0\n", "line 2: the columns species and Z contradict"),
    "a broken Lattice": ('1\nLattice="1 2 3"\nO 0 0 0\n', "line 2: .*Lattice"),
    "a broken pbc": ('1\npbc="a b c d"\nO 0 0 0\n', "line 2: "),
    "binary": (b"\x89HDF\r\n\x1a\n\x00\x00\xff\xfe", "cannot be read as text"),
    "zero bytes": (b"3\n\0\n", "cannot be read as text"),
    "latin-1": ("1\ncafé\nO 0 0 0\n".encode("latin-1"), "cannot be read as text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_read_is_named_by_its_line(tmp_path, kind):
    text, complaint = BROKEN[kind]
    with pytest.raises(DataFileError, match=rf"a\.xyz(, |: ){complaint}") as caught:
        read_atoms(written(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["none.xyz", ".", "\0", "a" * 300 + ".xyz"])
def test_what_is_no_file_is_one_sentence(tmp_path, where):
    with pytest.raises(DataFileError, match=r"no such file|no regular file|cannot be read"):
        read_atoms(tmp_path / where)


@pytest.mark.parametrize("word", ["D", "T", "2H", "d"])
def test_isotopes_are_said(tmp_path, word):
    with pytest.warns(UserWarning, match=rf"line 4: {word} is taken for H; isotopes have the same energies"):
        atoms = read_atoms(written(tmp_path, f"3\n\nO 0 0 0\n{word} 0.96 0 0\n{word} -0.24 0.93 0\n"))[0]
    assert atoms.numbers.tolist() == [8, 1, 1]


def test_values_and_columns_are_kept(tmp_path):
    line = "Properties=species:S:1:pos:R:3:tags:I:1:fixed:L:1 name='a b' step = 7 run=1_0 note=\"x=1 y\" flag"
    atoms = read_atoms(written(tmp_path, f"1\n{line}\no 0 0 -1e-1 5 T\n"))[0]
    assert atoms.info == {"name": "a b", "step": 7, "run": "1_0", "note": "x=1 y", "flag": True}
    assert (atoms.arrays["tags"].tolist(), atoms.arrays["fixed"].tolist()) == ([5], [True])
    comment = "it's free text"
    assert read_atoms(written(tmp_path, f"1\n{comment}\nO 0 0 0\n"))[0].info == {"comment": comment}


@pytest.mark.parametrize(
    ("line", "info"),
    [
        ("name= charge=-1", {"name": "", "charge": -1}),
        ("config_type= total_charge=1 a=", {"config_type": "", "total_charge": 1, "a": ""}),
        ("name= charge = 1", {"name": "", "charge": 1}),
        ('name="" charge= -1', {"name": "", "charge": -1}),
        ("i =        0, time =      0.500, E =       -17.25", {"i": 0, "time": 0.5, "E": -17.25}),
        ("CSD_code = WIXKOE | q = -1 | S = 0 | MND = 6", {"CSD_code": "WIXKOE", "q": -1, "S": 0, "MND": 6, "comment": "| | |"}),
        ("smiles=CC=O inchi=InChI=1S/C4H10O2/c1-3(5)4(2)6/h3-6H,1-2H3/t3-,4+ id=a== route=opt=tight,scf=fine", {
            "smiles": "CC=O", "inchi": "InChI=1S/C4H10O2/c1-3(5)4(2)6/h3-6H,1-2H3/t3-,4+", "id": "a==", "route": "opt=tight,scf=fine"}),
        ("step 12 energy=-1 flag", {"comment": "step 12 flag", "energy": -1}),
        ('1 conformer comment="of a" step=2', {"comment": "of a 1 conformer", "step": 2}),
        ("=== water ===", {"comment": "=== water ==="}),
    ],
)  # fmt: skip
def test_pairs_take_nothing_of_each_other(tmp_path, line, info):
    atoms = read_atoms(written(tmp_path, f"1\n{line}\nO 0 0 0\n"))[0]
    assert atoms.info | ({} if atoms.calc is None else atoms.calc.results) == info


def test_what_ase_writes_with_an_empty_value_keeps_its_charge(tmp_path):
    ase.io.write(tmp_path / "a.xyz", ase.Atoms("OH", [[0, 0, 0], [0.97, 0, 0]], info={"name": "", "charge": -1}), format="extxyz")
    assert read_geometries(tmp_path / "a.xyz")[0].charge == -1


@pytest.mark.parametrize(
    ("line", "charge"),
    [
        ("", 0), ("charge=1", 1), ("total_charge=1", 1), ("Charge=1", 1), ("Q=-1", -1), ("net_charge=-2 name=a", -2),
        ("totalCharge=1.0", 1),
        ("charge=1 total_charge=1", 1), ("spin=1", 0), ("multiplicity=1 charge=1", 1), ("0 1", 0), ("step 12", 0), ("uhf=0", 0),
        ("charge: 0, multiplicity: 1", 0), ("discharged 3 times", 0),
        ("chg=1", 1), ("mol_chg=-1", -1), ("S=0 q=1", 1), ("nopen=0", 0), ("0 1 water", 0), ("0, 1", 0), ("1 1 charge=1", 1),
        ("charge=1 name=a_cation", 1), ('charge=-1 note="total charge is -1"', -1), ("charge=0 cation-anion pair", 0),
        ("spin=1 energy=-1 doublet", 0), ("total_magnetization=0.0", 0), ("2S+1=1", 0),
        # what is ordinary
        ("1", 0), ("17", 0), ("-76.4", 0), ("-1.5 -2", 0), ("water 1", 0), ("frame 3 of 10", 0), ("gdb 1\t157.7118\t157.70997", 0),
        (" energy: -5.070544 gnorm: 0.000387 xtb: 6.6.1 (8d0f1dd)", 0), ("Coordinates from ORCA-job opt E -76.32", 0),
        ("        -10.45126760        !CONF1", 0), ("1 0.5 -76.4", 0), ("UHF 6-31G* energy", 0), ("i = 1, time = 1.0, E = -17.2", 0),
        ("(+)-limonene", 0), ("2-(dimethylamino)ethanol", 0), ("[2+2] cycloaddition", 0), ("zwitterion of glycine", 0),
        ("step 1 energy=-1", 0), ("-1.25e2 1", 0), ("a=b title", 0), ("2- conformer", 0), ("q 3", 0), ("0 1 cation-anion", 0),
        ("Step: 12 Energy: -5.0", 0), ("name=spin_trap S=45.3", 0), ("charges by Mulliken", 0), ("partial charge 0.3", 0), ("singlet", 0),
        ("nspin=2 ispin=2 step=1 force_field=2", 0), ("charge-transfer complex, multipole 2", 0), ("uncharged", 0), ("1 conformer", 0),
        ("inchi=InChI=1S/C4H10O2/c1-3(5)4(2)6/h3-6H,1-2H3/t3-,4+", 0), ("basis=6-31+G* name=water-2", 0), ("dft-d3 2 2.5", 0),
    ],
)  # fmt: skip
def test_total_charges_by_any_name(tmp_path, line, charge):
    assert read_geometries(written(tmp_path, f"3\n{line}\n{ATOMS}"))[0].charge == charge


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("charge=1 Q=0", "a frame has charge=1 and Q=0, which contradict each other"),
        ("1 1", "the line '1 1' looks like a charge and a multiplicity; write charge=1 spin=1"),
        ("0 2", "the line '0 2' looks like a charge and a multiplicity"),
        ("a cation, charge: +1", "the line 'a cation, charge: .1' speaks of a charge or spin"),
        ("Charge 1 energy=2", "the line 'Charge 1' speaks of a charge or spin"),
        ("charge energy=2", "must be a number, got True"),
        ("name= charge=abc", "must be a number, got 'abc'"),
        ("charge=", "must be a number, got ''"),
        ("1 1 energy=-1", "the line '1 1' looks like a charge and a multiplicity; write charge=1 spin=1"),
        ("energy=-1 0 2", "the line '0 2' looks like a charge and a multiplicity"),
        ("1, 1", "the line '1, 1' looks like a charge and a multiplicity"),
        ("1 1 hydronium", "the line '1 1 hydronium' looks like a charge and a multiplicity"),
        ("0 1 charge=1", "which contradict each other"),
        ("1 1 charge=-1", "looks like a charge and a multiplicity"),
        *((line, "looks like a charge; write charge=") for line in ("-1", "+1", "-1 acetate", "energy=-1.5 -1")),
        *(
            (line, "speaks of a charge or spin; write charge= and spin=1 instead")
            for line in (
                "energy=-1 charge:1",
                "energy=-1 doublet",
                "doublet=T",
                "Charge: 0, Multiplicity: 2",
                "Charge: 0, Multiplicity: 3",
                "total charge is 1",
                "chrg 1",
                "Chg: -1",
                "mult: 3",
                "triplet state",
                "a cation",
                "sulfate_dianion",
                "name=water_cation",
                'note="charge 1"',
                "charge 0 spin 1/2",
                "net charge (e): -2",
                "SO4 2-",
                "a (2+) ion",
                "an ion of +1 charge",
                "charge: 1+",
                "2 unpaired electrons",
                "uhf 2",
                "open-shell",
                "spin is 2",
                "charge=1 Charge: 2",
                "comment=triplet",
                "total_charge: 1.0",
                "2S+1 3",
            )
        ),
        ("chg=1 charge=0", "contradict each other"),
        ("ion_chg=1", "ion_chg=1 of a frame may be its total charge"),
        *(
            (f"{key}=2", f"{key}=2 of a frame; closed shells alone")
            for key in ("nopen", "S", "total_magnetization", "n_unpaired_electrons", "spin_mult", "magnetic_moment")
        ),
        ("S=0.5", "S=0.5 of a frame; closed shells alone"),
        ("multiplicity 2", "the line 'multiplicity 2' speaks of a charge or spin"),
        ("spin=2", "spin=2 of a frame; closed shells alone are supported"),
        ("charge=1 Multiplicity=3", "Multiplicity=3 of a frame; closed shells alone"),
        ("uhf=1", "uhf=1 of a frame; closed shells alone"),
        ("magmom=2.0", "magmom=2.0 of a frame; closed shells alone"),
        ("charge=abc", "must be a number, got 'abc'"),
        ("charge=1e", "must be a number, got '1e'"),
        ("charge=T", "must be a number, got True"),
        ("charge=nan", "must be a number, got "),
        ('charge="1 2"', "must be a number, got "),
        ("charge=1_0", "must be a number, got '1_0'"),
        ("cluster_charge=1", "cluster_charge=1 of a frame may be its total charge, which is 0"),
    ],
)
def test_charges_and_spins_that_cannot_be_are_refused(tmp_path, line, complaint):
    with pytest.raises(InputError, match=f"frame 1: .*{complaint}|frame 1 .*{complaint}"):
        read_geometries(written(tmp_path, f"3\n\n{ATOMS}3\n{line}\n{ATOMS}"))


@pytest.mark.parametrize(
    ("column", "values", "line", "complaint"),
    [
        ("initial_charges", (1, 1, 1), "", r"initial_charges of a frame sum to 3 e, but its total charge is 0 e"),
        ("initial_charges", (1, 1, 1), "charge=0", r"initial_charges of a frame sum to 3 e"),
        ("charges", (0.5, 0.3, 0.2), "", r"charges of a frame sum to 1 e, but its total charge is 0 e"),
        ("initial_magmoms", (1, 0, 0), "", "a frame has initial_magmoms; only closed shells"),
        ("magmoms", (0, -1, 1), "", "a frame has magmoms; only closed shells"),
        *(
            (name, (1, 0, 0), "", f"{name} of a frame sum to 1 e")
            for name in ("formal_charge", "initial_charge", "q", "partial_charges", "mulliken_charge", "chg")
        ),
        ("formal_charge", (1, 0, 0), "charge=0", "formal_charge of a frame sum to 1 e"),
        *(
            (name, (1, 0, 0), "charge=0", f"a frame has {name}; only closed")
            for name in ("magmom", "spin", "initial_magmom", "spin_population")
        ),
    ],
)
def test_columns_speak_of_charge_and_spin_too(tmp_path, column, values, line, complaint):
    rows = "".join(f"{row} {value}\n" for row, value in zip(ATOMS.splitlines(), values, strict=True))
    path = written(tmp_path, f"3\nProperties=species:S:1:pos:R:3:{column}:R:1 {line}\n{rows}")
    with pytest.raises(InputError, match=complaint):
        read_geometries(path)


@pytest.mark.parametrize("column", ["nuclear_charges", "core_charge", "mass", "tags", "spin_up"])
def test_columns_of_other_numbers_are_read(tmp_path, column):
    rows = "".join(f"{row} 6\n" for row in ATOMS.splitlines())
    assert read_geometries(written(tmp_path, f"3\nProperties=species:S:1:pos:R:3:{column}:R:1\n{rows}"))[0].charge == 0
    assert read_geometries(written(tmp_path, f'3\npartial_charges="-0.8 0.4 0.4" weights="1 1 1"\n{ATOMS}'))[0].charge == 0


def test_an_option_and_a_frame_must_agree_on_the_charge(tmp_path):
    path = written(tmp_path, f"3\ntotal_charge=1\n{ATOMS}")
    assert read_geometries(path, charge=1.0)[0].charge == 1.0
    with pytest.raises(InputError, match=r"states a charge of 1 e, not \+0 e; correct the file or --charge"):
        read_geometries(path, charge=0.0)
    assert read_geometries(written(tmp_path, f"3\n-1 1\n{ATOMS}"), charge=-1.0)[0].charge == -1.0


def test_random_damage_is_read_or_refused(tmp_path, random):
    """Bytes that are changed, cut or doubled: the same three frames, or one sentence."""
    whole = (f"3\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 charge=0 name=a\n{ATOMS}".replace("0\n", "0 1 2 3\n") * 3).encode()
    assert len(read_xyz(written(tmp_path, whole))) == 3
    n_read, refusals = 0, []
    for _ in range(300):
        damaged, place = bytearray(whole), int(random.integers(len(whole)))
        kind = random.integers(3)
        if kind == 0:
            damaged[place] = random.integers(256)
        else:
            damaged[place : place + 20] = b"" if kind == 1 else damaged[place : place + 20] * 2
        try:
            n_read += len(read_xyz(written(tmp_path, bytes(damaged)))) > 0
        except (AmpTFError, UserWarning) as error:  # a warning, where what looks like a label is not read
            refusals.append(str(error))
    assert 0 < n_read < 300
    assert not [refusal for refusal in refusals if "\n" in refusal]
