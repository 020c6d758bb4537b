"""Reference data like QM9's: the level of theory, the builder, and its comparison with the archive."""

import numpy as np
import pytest
from typer.testing import CliRunner

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.qm9 import COLUMNS, ISOLATED_ATOMS
from amp_tf.errors import EngineError, InputError
from datasets import qm9_like
from datasets.engines import pyscf_qm9
from datasets.engines.base import CalculationError
from datasets.rotations import straightened
from tests.data.test_qm9 import WATER, folder

PUBLISHED = dict(zip(COLUMNS, WATER[1:], strict=True))
TOLERANCE = {"mu": 2e-4, "alpha": 0.01, "homo": 1e-4, "lumo": 1e-4, "gap": 1e-4, "r2": 1e-3, "cv": 1e-3}
START = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])


@pytest.fixture(scope="module")
def water():
    """All properties of a water molecule, from a geometry that is not optimized: some seconds."""
    return pyscf_qm9.properties(np.array([8, 1, 1]), START)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_water_is_that_of_the_archive(water, name):
    """To the digits that are published; energies to 0.003 kcal/mol."""
    assert water.values[name] == pytest.approx(PUBLISHED[name], abs=TOLERANCE.get(name, 5e-6))


def test_the_geometry_is_a_minimum(water):
    """O-H and H-O-H of the archive's dsgdb9nsd_000003: 0.96190 angstrom, 103.76 degrees."""
    bonds = water.positions[1:] - water.positions[0]
    lengths = np.linalg.norm(bonds, axis=1)
    np.testing.assert_allclose(lengths, 0.962, atol=5e-4)
    assert np.degrees(np.arccos(bonds[0] @ bonds[1] / np.prod(lengths))) == pytest.approx(103.8, abs=0.2)
    np.testing.assert_allclose(water.charges, [-0.5897, 0.2949, 0.2949], atol=1e-3)


def test_the_isolated_hydrogen_atom():
    """The published energy of the atom comes from the same basis and functional."""
    import pyscf

    atom = pyscf.M(atom="H 0 0 0", basis={"H": pyscf_qm9.basis_set("H")}, spin=1, cart=True, verbose=0)
    assert pyscf.dft.UKS(atom, xc=pyscf_qm9.FUNCTIONAL).run().e_tot == pytest.approx(ISOLATED_ATOMS["u0"]["H"], abs=2e-6)


def test_d_shells_are_cartesian_and_f_shells_pure():
    kept = pyscf_qm9._pure_f(pyscf_qm9._molecule(np.array([6]), np.zeros((1, 3))))
    assert kept.shape == (3 + 6 + 12 + 10, 3 + 6 + 12 + 7)


@pytest.fixture
def quick(monkeypatch):
    """Water's published values for every molecule but hydrogen fluoride, which fails."""

    def properties(numbers, positions):
        if 9 in numbers:
            raise CalculationError("no convergence.")
        return pyscf_qm9.Properties(np.asarray(positions) + 0.01, np.zeros(len(numbers)), dict(PUBLISHED), 2)

    monkeypatch.setattr(qm9_like, "properties", properties)


def run(*arguments):
    return CliRunner().invoke(qm9_like.app, list(map(str, arguments)))


def test_build(quick, tmp_path):
    """A molecule that fails is left out and named, and the rest keeps its order."""
    output = tmp_path / "like.h5"
    result = run("build", "O", "F", "C", "--output", output, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "left out: F, molecule_" in result.stderr
    assert "no convergence" in result.stderr
    file = output.with_name("like.h5.parts") / f"{result.stderr.split('F, ')[1].split(':')[0]}.npz"
    assert file.is_file()  # which the last line tells to delete
    data = read_reference_data(output)
    assert [group.qm_atomic_numbers.tolist() for group in data.groups] == [[8, 1, 1], [6, 1, 1, 1, 1]]
    assert data.provenance.settings["molecules"] == ["O", "C"]
    assert data.groups[0].frame_properties["symmetry_number"] == 2
    assert data.provenance.level_of_theory == "B3LYP/6-31G(2df,p)"
    atoms = ISOLATED_ATOMS["u0"]["O"] + 2 * ISOLATED_ATOMS["u0"]["H"]
    assert data.groups[0].targets["u0"][0] == pytest.approx((PUBLISHED["u0"] - atoms) * units.HARTREE)
    assert data.groups[0].targets["mu"][0] == pytest.approx(PUBLISHED["mu"] * units.DEBYE)


def test_a_geometry_of_a_file_is_built(quick, tmp_path):
    (tmp_path / "water.xyz").write_text("3\n\nH 0 0 0.96\nO 0 0 0\nH 0.93 0 -0.24\n")
    assert run("build", "--xyz", tmp_path / "water.xyz", "--output", tmp_path / "o.h5", "--workers", 1).exit_code == 0
    group = read_reference_data(tmp_path / "o.h5").groups[0]
    np.testing.assert_allclose(group.qm_positions[0, 0] - group.qm_positions[0, 1], [0, 0, -0.96])


def test_where_all_fail_nothing_is_kept(quick, tmp_path):
    result = run("build", "F", "--output", tmp_path / "o.h5", "--workers", 1)
    assert result.exit_code == 1
    assert "all 1 calculations failed" in result.stderr
    assert not (tmp_path / "o.h5").exists()


@pytest.mark.parametrize(
    ("smiles", "complaint"),
    [
        ("C.O", "has several fragments"),
        ("C[NH3+]", "has a charge of [+]1 e"),
        ("CS", "holds S; B3LYP/6-31G"),
        ("C(", "RDKit cannot read the SMILES"),
        ("[CH3]", "odd number of electrons|open shell|unpaired"),
    ],
)
def test_molecules_that_qm9_has_not(smiles, complaint):
    with pytest.raises(InputError, match=complaint):
        qm9_like.from_smiles(smiles)


def test_what_ships_is_small_and_closed():
    molecules = [qm9_like.from_smiles(smiles) for smiles in qm9_like.SHIPPED]
    assert 55 <= len(molecules) <= 65
    assert max(np.count_nonzero(molecule.atomic_numbers > 1) for molecule in molecules) <= 4
    assert {number for molecule in molecules for number in molecule.atomic_numbers} == {1, 6, 7, 8, 9}


def test_the_molecules_that_ship_have_properties_of_minima():
    """Water as in the archive, and of all: what must be positive, negative or larger than another."""
    data = read_reference_data(qm9_like.SHIPPED_FILE)
    names = data.provenance.settings["molecules"]
    assert len(data) == len(names) >= 55
    assert len(names) + len(data.provenance.settings["left_out"]) == len(qm9_like.SHIPPED)
    (water,) = (group for group in data.groups if sorted(group.qm_atomic_numbers) == [1, 1, 8])
    for name, tolerance in TOLERANCE.items():
        assert water.targets[name][0] / COLUMNS[name] == pytest.approx(PUBLISHED[name], abs=tolerance)
    for group in data.groups:
        found = group.targets
        np.testing.assert_allclose(found["gap"], found["lumo"] - found["homo"])
        assert np.all((found["h"] < found["u"]) & (found["u"] < found["u0"]) & (found["u0"] < 0.0))  # atoms move more than a molecule
        assert np.all((found["g"] > found["h"]) & (found["zpve"] > 0.0))  # and have more entropy
        assert np.all((found["homo"] < 0.0) & (found["mu"] >= 0.0) & (found["alpha"] > 0.0))


def test_the_archive_is_compared(quick, tmp_path):
    source = folder(tmp_path / "members")
    result = run("check", source, "--member", 3, "--folder", tmp_path / "parts", "--workers", 1)
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0]: line.split()[-12:] for line in result.stdout.splitlines()}
    assert [float(word) for word in rows["gdb 3"]] == pytest.approx([0.0] * 12, abs=1e-9)
    assert "symmetry numbers: gdb 3 (2); g contains RT ln of them" in result.stdout
    assert isinstance(run("check", source, "--member", 7, "--folder", tmp_path / "parts").exception, InputError)


def test_without_a_rough_minimum_the_optimization_starts_where_it_was_told(monkeypatch):
    def fails(self, start):
        raise CalculationError("no convergence.")

    atoms, hessian = pyscf_qm9._roughly_optimized(np.array([8, 1, 1]), START)
    assert np.abs(atoms.positions - START).max() > 1e-3
    assert np.linalg.eigvalsh(hessian)[-2:] == pytest.approx(2 * 52.0, rel=0.25)  # both ends of O-H, 8.4 mdyn/angstrom each
    monkeypatch.setattr(pyscf_qm9._RoughCalculator, "converged", fails)
    atoms, hessian = pyscf_qm9._roughly_optimized(np.array([8, 1, 1]), START)
    np.testing.assert_array_equal(atoms.positions, START)
    assert hessian is None


def test_no_minimum_is_told(monkeypatch):
    """Ammonia held flat by symmetry vibrates with an imaginary frequency."""
    monkeypatch.setattr(pyscf_qm9, "_optimized", lambda numbers, positions: positions)
    monkeypatch.setattr(pyscf_qm9, "_polarizability", lambda *_: np.eye(3))
    angles = 2 * np.pi * np.arange(3) / 3
    flat = np.concatenate([np.zeros((1, 3)), np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)])
    with pytest.raises(CalculationError, match="is no minimum"):
        pyscf_qm9.properties(np.array([7, 1, 1, 1]), flat)


@pytest.fixture
def unsolvable(monkeypatch):
    """PySCF's solver of the response equations gives up."""

    def solve(*_, **__):
        raise RuntimeError("Krylov solver failed to converge.")

    for module in (pyscf_qm9._import().scf.cphf, pyscf_qm9._import().hessian.rhf.cphf):
        monkeypatch.setattr(module, "solve", solve)


def test_a_response_without_convergence_fails_that_molecule(unsolvable, monkeypatch):
    numbers = np.array([8, 1, 1])
    atoms, hessian = pyscf_qm9._roughly_optimized(numbers, START)
    np.testing.assert_array_equal(atoms.positions, START)
    assert hessian is None
    monkeypatch.setattr(pyscf_qm9, "_optimized", lambda numbers, positions: positions)
    with pytest.raises(CalculationError, match=r"the response to a field did not converge \(Krylov solver failed"):
        pyscf_qm9.properties(numbers, START)
    monkeypatch.setattr(pyscf_qm9, "_polarizability", lambda *_: np.eye(3))
    with pytest.raises(CalculationError, match="the Hessian did not converge"):
        pyscf_qm9.properties(numbers, START)


def test_linear_molecules_are_put_on_their_line(monkeypatch):
    """Before anything is computed of them."""
    line = np.array([[0.0, 0.005, 0.0], [0.0, 0.0, 1.153], [0.0, 0.0, -1.07]])
    seen = []

    def converged(numbers, positions):
        seen.append(positions)
        raise CalculationError("far enough.")

    monkeypatch.setattr(pyscf_qm9, "_optimized", lambda numbers, positions: positions)
    monkeypatch.setattr(pyscf_qm9, "_converged", converged)
    with pytest.raises(CalculationError, match="far enough"):
        pyscf_qm9.properties(np.array([6, 7, 1]), line)
    np.testing.assert_array_equal(seen[0], straightened(line))
    assert not np.array_equal(seen[0], line)


@pytest.mark.slow
def test_noise_of_the_geometry_decides_nothing(water, monkeypatch):
    """Hydrogen cyanide bent by 0.005 angstrom, and water with its mirror planes broken: neither vibrations nor symmetry numbers change."""
    monkeypatch.setattr(pyscf_qm9, "_optimized", lambda numbers, positions: positions)
    monkeypatch.setattr(pyscf_qm9, "_polarizability", lambda *_: np.eye(3))
    line = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.153], [0.0, 0.0, -1.07]])
    straight, bent = (pyscf_qm9.properties(np.array([6, 7, 1]), line + [[0, off, 0], [0, 0, 0], [0, 0, 0]]) for off in (0.0, 0.005))
    assert straight.symmetry_number == bent.symmetry_number == 1
    for name in ("zpve", "g", "cv"):
        assert bent.values[name] == pytest.approx(straight.values[name], rel=1e-4)
    broken = pyscf_qm9.properties(np.array([8, 1, 1]), water.positions + [[0, 0, 0], [1e-4, 1e-4, 0], [0, 0, 0]])
    assert water.symmetry_number == broken.symmetry_number == 2
    assert broken.values["g"] == pytest.approx(water.values["g"], abs=1e-5)


def test_an_atom_of_another_element(monkeypatch):
    with pytest.raises(CalculationError, match="is known for H, C, N, O, F, not S"):
        pyscf_qm9.properties(np.array([16, 1, 1]), START)
    assert issubclass(CalculationError, EngineError)
