"""The raw archive of QM9."""

import bz2
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from amp_tf import cli, units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.qm9 import COLUMNS, ISOLATED_ATOMS, read_qm9, read_uncharacterized
from amp_tf.errors import DataFileError, InputError

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "qm9" / "dsgdb9nsd_subset.xyz.tar.bz2"

WATER = (0.0, 1.8511, 6.31, -0.2928, 0.0687, 0.3615, 19.0002, 0.021375, -76.404702, -76.401867, -76.400922, -76.422349, 6.002)
METHANE = (0.0, 0.0, 13.21, -0.3877, 0.1171, 0.5048, 35.3641, 0.044749, -40.47893, -40.476062, -40.475117, -40.498597, 6.469)


WATER_ATOMS = (("O", 0, 0, 0.12, -0.59), ("H", 0, 0.76, -0.47, 0.295), ("H", 0, -0.76, "-4.7*^-1", 0.295))
CORNERS = ((1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1))
METHANE_ATOMS = [("H", 0.63, 0.63, 0.63, 0), ("C", 0, 0, 0, 0), *(("H", *(0.63 * x for x in corner), 0) for corner in CORNERS[1:])]


def member(number=3, values=WATER[1:], atoms=WATER_ATOMS, rest=""):
    head = "\t".join([f"gdb {number}", "799.58812", "437.90386", "282.94545", *map(str, values)])
    return "\n".join([str(len(atoms)), head, *("\t".join(map(str, atom)) for atom in atoms), rest])


def amp_tf(*arguments):
    """What the command writes."""
    result = CliRunner().invoke(cli.app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def name_of(number):
    return f"dsgdb9nsd_{number:06d}.xyz"


MEMBERS = {name_of(1): member(1, METHANE[1:], METHANE_ATOMS), name_of(3): member(rest="1671.4\t3803.6\t3907.8\nO\tO\nInChI=1S/H2O/h1H2\n")}


def archive(path, members=None, mode="w:bz2"):
    with tarfile.open(path, mode) as file:
        for name, text in (MEMBERS if members is None else members).items():
            content = text if isinstance(text, bytes) else text.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def folder(path, members=None):
    path.mkdir()
    for name, text in (members or MEMBERS).items():
        path.joinpath(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mode", ["w:bz2", "w:gz", "w", None])
def test_molecules_in_our_units(tmp_path, mode):
    methane, water = read_qm9(folder(tmp_path / "members") if mode is None else archive(tmp_path / "qm9.tar.bz2", mode=mode))
    assert [methane.properties["gdb"], water.properties["gdb"]] == [1, 3]
    np.testing.assert_array_equal(methane.atomic_numbers, [6, 1, 1, 1, 1])  # heavy atoms first
    np.testing.assert_array_equal(methane.positions[:2], [[0, 0, 0], [0.63, 0.63, 0.63]])
    assert water.positions[2, 2] == -0.47  # as Mathematica writes it
    np.testing.assert_array_equal(water.charges, [-0.59, 0.295, 0.295])
    assert methane.charges is None  # all zero
    expected = dict(zip(COLUMNS, WATER[1:], strict=True))
    for name in ("mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "cv"):
        assert water.targets[name] == pytest.approx(expected[name] * COLUMNS[name])
    for name in ("u0", "u", "h", "g"):
        atoms = ISOLATED_ATOMS[name]["O"] + 2 * ISOLATED_ATOMS[name]["H"]
        assert water.targets[name] == pytest.approx((expected[name] - atoms) * units.HARTREE)
    assert water.energy == water.targets["u0"] == pytest.approx(-213.1 * units.KCAL_PER_MOL, abs=0.1)


def test_energies_of_isolated_atoms_are_those_of_ideal_gases():
    """U = U0 + 3/2 RT and H = U + RT, to the last digit given."""
    thermal = units.GAS_CONSTANT * 298.15 / units.HARTREE
    for symbol, u0 in ISOLATED_ATOMS["u0"].items():
        assert ISOLATED_ATOMS["u"][symbol] == pytest.approx(u0 + 1.5 * thermal, abs=1.1e-6)
        assert ISOLATED_ATOMS["h"][symbol] == pytest.approx(u0 + 2.5 * thermal, abs=1.1e-6)


def test_the_command(tmp_path):
    source = archive(tmp_path / "dsgdb9nsd.xyz.tar.bz2")
    told = amp_tf("convert", source, tmp_path / "qm9.h5", "--format", "qm9")
    assert "2 frames in 2 group(s) with energies, charges, alpha, cv, g, gap" in told
    data = read_reference_data(tmp_path / "qm9.h5")
    assert data.provenance.level_of_theory == "B3LYP/6-31G(2df,p)"
    assert data.target_names == sorted(COLUMNS)
    assert [group.frame_properties["gdb"].tolist() for group in data.groups] == [[1.0], [3.0]]
    assert data.groups[1].target_units["mu"] == "e*angstrom"
    assert "target homo" in amp_tf("info", tmp_path / "qm9.h5")


def test_molecules_of_the_list_are_left_out(tmp_path):
    listed = tmp_path / "uncharacterized.txt"
    listed.write_text("Failed the consistency check\n\nindex  SMILES of GDB9, of B3LYP\n-----\n    3\tO\tO\tO\n----\n1 compounds\n")
    assert read_uncharacterized(listed) == {3}
    source = archive(tmp_path / "qm9.tar.bz2")
    assert [frame.properties["gdb"] for frame in read_qm9(source, listed)] == [1]
    with pytest.raises(InputError, match="--level-of-theory has no meaning for --format qm9"):
        amp_tf("convert", source, tmp_path / "o.h5", "--format", "qm9", "--level-of-theory", "B3LYP")


LISTS = [
    ("none\n", "no number of a molecule"),
    ("3\n3\n", "a molecule twice"),
    ("3 O O\n4 N N\n3 compounds\n", "lists 2 molecules and says 3"),
]


@pytest.mark.parametrize(("text", "complaint"), LISTS)
def test_lists_that_are_none(tmp_path, text, complaint):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataFileError, match=complaint):
        read_uncharacterized(tmp_path / "list.txt")


ALTERED = [
    (member(4), "its second line must be 'gdb 3' and fifteen numbers"),
    (member(values=WATER[2:]), "its second line must be 'gdb 3'"),
    ("\n".join(member().split("\n")[:4]), "must have 3 lines 'symbol x y z charge'"),
    (member().replace("3", "2", 1), "must have 2 lines 'symbol x y z charge' of H, C, N, O or F, and no more"),
    (member().replace("3", "0", 1), "must have 0 lines"),
    (member().replace("O\t", "S\t"), "must have 3 lines 'symbol x y z charge' of H, C, N, O or F"),
    (member().replace("0.0687", "0.1687"), "the gap, 0.3615 hartree, is not the difference"),
    (member().replace("-76.401867", "-77.401867"), "U0 < U < H and G < H must hold"),
    (member().replace("6.31", "6.3l"), "'6.3l' is no finite number"),
    (member().replace("6.31", "nan"), "'nan' is no finite number"),
    ("", "here a frame must begin with the number of its lines"),
    (b"3\n\xff", "is no text"),
    (b"3\n" * 60_000, "has 120000 bytes, which no molecule of QM9 has"),
]


@pytest.mark.parametrize(("content", "complaint"), ALTERED, ids=range(len(ALTERED)))
@pytest.mark.parametrize("kind", [archive, folder])
def test_an_altered_member_is_named(tmp_path, kind, content, complaint):
    source = kind(tmp_path / "source", MEMBERS | {name_of(3): content})
    with pytest.raises(DataFileError, match=f"source: {name_of(3)}: .*{complaint}.*; get the archive again"):
        read_qm9(source)


def test_other_members_are_refused(tmp_path):
    with pytest.raises(DataFileError, match=r"readme\.txt: is no molecule of QM9"):
        read_qm9(archive(tmp_path / "a.tar", {"readme.txt": "hello"}))
    for name, text in {"uncharacterized.txt": "3 O", "notes": None}.items():
        beside = folder(tmp_path / name)
        beside.joinpath(name).mkdir() if text is None else beside.joinpath(name).write_text(text)
        with pytest.raises(DataFileError, match=f"{name}: is no molecule of QM9.*; take it out of the folder"):
            read_qm9(beside)
    with pytest.raises(DataFileError, match="there is no molecule"):
        read_qm9(archive(tmp_path / "b.tar", {}))
    twice = archive(tmp_path / "c.tar", {name_of(3): member(), f"again/{name_of(3)}": member()})
    with pytest.raises(DataFileError, match=f"again/{name_of(3)}: comes twice"):
        read_qm9(twice)


@pytest.mark.parametrize(("mode", "size"), [("w", 1600), ("w", 2048), ("w", 2100), ("w:gz", -20), ("w:bz2", -20), ("w:xz", -20)])
def test_a_truncated_archive_is_named_with_the_member(tmp_path, mode, size):
    """In the middle of a member, between two, in a header, and in what packs it all."""
    whole = archive(tmp_path / "whole", mode=mode).read_bytes()
    (tmp_path / "short").write_bytes(whole[:size])
    with pytest.raises(DataFileError, match=r"short: no archive, or truncated after (dsgdb9nsd_00000|its first)"):
        read_qm9(tmp_path / "short")


def test_what_follows_an_archive_is_not_unpacked(tmp_path):
    whole = archive(tmp_path / "whole", mode="w").read_bytes()
    (tmp_path / "long").write_bytes(bz2.compress(whole + bytes(1 << 22)))
    with pytest.raises(DataFileError, match=r"more follows than the end of an archive"):
        read_qm9(tmp_path / "long")


def test_what_is_no_archive(tmp_path):
    for content in (b"", b"no archive at all\n"):
        (tmp_path / "none.tar.bz2").write_bytes(content)
        with pytest.raises(DataFileError, match=r"none\.tar\.bz2: no archive"):
            read_qm9(tmp_path / "none.tar.bz2")
    with pytest.raises(DataFileError, match=r"nowhere\.tar: no archive"):
        read_qm9(tmp_path / "nowhere.tar")


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="needs the shared part of QM9")
def test_real_molecules():
    frames = read_qm9(ARCHIVE)
    assert len(frames) == 22_011
    assert len({tuple(frame.atomic_numbers) for frame in frames}) == 449
    assert all(-20_000 < frame.energy < 0 for frame in frames)
    heats = np.array([frame.targets["h"] - frame.targets["u"] for frame in frames])
    n_atoms = np.array([len(frame.atomic_numbers) for frame in frames])
    np.testing.assert_allclose(heats, (1 - n_atoms) * units.GAS_CONSTANT * 298.15, atol=0.1)
