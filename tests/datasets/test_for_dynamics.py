"""Frames that give a potential walls: each kind keeps its rule, its share is recorded, and a killed build goes on."""

import shutil

import numpy as np
import pytest
from ase.data import covalent_radii

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import EngineError
from amp_tf.simulation.solutes import Solute, bonds, solute_from_smiles
from datasets import qmmm_solutes
from datasets.engines import Calculation
from datasets.for_dynamics import HIGHEST_ENERGY, SHARES, _open_bonds, normal_modes, stretched, without_clashes
from datasets.parts import Parts
from datasets.qmmm_sampling import Sampling
from tests.datasets.test_qmmm_solutes import BOX, WATER, PointChargeEngine

SAMPLING = Sampling(n_frames=20, stride=2, zone=7.0, equilibration=0.02, qm_equilibration=2, block=4)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    output = tmp_path_factory.mktemp("dynamics") / "water.h5"
    digest, failures = qmmm_solutes.sample(output, WATER, PointChargeEngine(), SAMPLING, 1, "test", BOX, for_dynamics=True)
    return output, digest, failures


def test_groups_of_each_kind_in_their_shares(built):
    output, _, failures = built
    data = read_reference_data(output)
    sizes = {group.name: len(group) for group in data.groups}
    expected = {"water": 20} | {f"water, {kind}": round(20 * share) for kind, share in SHARES.items()}
    assert data.provenance.settings["shares"] == sizes
    assert sum(sizes.values()) + len(failures) == sum(expected.values())
    assert {name: sizes[name] for name in expected if "stretched" not in name} == {
        name: number for name, number in expected.items() if "stretched" not in name
    }


def test_each_kind_keeps_its_rule(built):
    groups = {group.name.partition(", ")[2]: group for group in read_reference_data(built[0]).groups}

    def lengths(kind):
        positions = groups[kind].qm_positions
        return np.linalg.norm(positions[:, 1:] - positions[:, :1], axis=2)

    assert np.all(np.diff(groups["gas"].mm_offsets) == 0)
    assert np.all(np.abs(lengths("") - 0.96) < 0.15)
    assert np.std(lengths("hot")) > np.std(lengths(""))
    changed = np.abs(lengths("stretched") - 0.96).max(axis=1)
    assert np.median(changed) > 0.1
    assert lengths("stretched").max() < 2.6 * (covalent_radii[1] + covalent_radii[8]) + 1e-6
    factors = [np.unique(np.round(np.abs(groups["scaled charges"].system(frame).mm_charges) / 0.4238, 3)) for frame in range(3)]
    assert all(len(factor) == 2 and factor[1] == pytest.approx(2 * factor[0], abs=2e-3) for factor in factors)
    assert len({factor[0] for factor in factors}) == 3
    for group in groups.values():
        energies = group.frame_properties["isolated_energy"]
        assert energies.max() < groups[""].frame_properties["isolated_energy"].max() + HIGHEST_ENERGY


def test_the_same_command_again_changes_nothing_and_a_killed_one_goes_on(built):
    output, digest, _ = built
    folder, before = output.with_name("water.h5.trajectory"), read_reference_data(output)
    assert sample_again(output) == digest
    (folder / "hot00001.npz").unlink()
    (folder / "hessian.npz").unlink()
    output.unlink()
    sample_again(output)
    for old, new in zip(before.groups, read_reference_data(output).groups, strict=True):
        np.testing.assert_allclose(new.qm_positions, old.qm_positions, atol=1e-7)
        np.testing.assert_allclose(new.energies, old.energies, atol=1e-5)


def sample_again(output):
    return qmmm_solutes.sample(output, WATER, PointChargeEngine(), SAMPLING, 1, "test", BOX, for_dynamics=True)[0]


def test_snapshots_are_never_left_out_for_their_energy(built, monkeypatch, tmp_path):
    output = tmp_path / "water.h5"
    for kept in ("trajectory", "parts"):
        shutil.copytree(built[0].with_name(f"water.h5.{kept}"), tmp_path / f"water.h5.{kept}")
    monkeypatch.setattr(qmmm_solutes, "HIGHEST_ENERGY", -1e6)
    _, failures = qmmm_solutes.sample(output, WATER, PointChargeEngine(), SAMPLING, 1, "test", BOX, for_dynamics=True)
    assert {group.name: len(group) for group in read_reference_data(output).groups} == {"water": 20}
    assert len(failures) == round(20 * sum(SHARES.values()))
    assert all("above all snapshots" in failure for failure in failures)


def test_the_mode_of_two_atoms(tmp_path):
    """Springs of 4 000 kJ/mol/angstrom²: the wavenumber is sqrt(k/mu)/(2 pi c), the energy of a mode half of kT."""
    hydroxide = Solute("hydroxide", np.array([8, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0]]), -1)
    modes = normal_modes(hydroxide, PointChargeEngine(), Parts(tmp_path, {}))
    reduced = 15.999 * 1.008 / (15.999 + 1.008)
    assert modes.wavenumbers == pytest.approx([53.0884 * np.sqrt(4000.0 / reduced)], rel=1e-3)
    random = np.random.default_rng(0)
    lengths = [np.linalg.norm(np.diff(hydroxide.positions + modes.sample(500.0, random), axis=0)) for _ in range(4000)]
    energies = 2000.0 * (np.array(lengths) - 0.96) ** 2
    assert energies.mean() == pytest.approx(0.5 * 8.314463e-3 * 500.0, rel=0.1)


def test_bonds_in_no_ring_and_the_side_that_moves():
    solute = solute_from_smiles("C1CC1CO", "cyclopropyl methanol")
    found = _open_bonds(bonds(solute.atomic_numbers, solute.positions))
    assert len(found) == len(solute.atomic_numbers) - 3  # of n bonds three are those of the ring
    assert all(2 * len(moving) <= len(solute.atomic_numbers) for _, moving in found)
    of_carbons = [moving for stays, moving in found if {stays, moving[0]} == {2, 3}]
    assert [len(moving) for moving in of_carbons] == [5]  # CH2OH


def test_stretching_moves_one_bond_alone():
    random, solute = np.random.default_rng(1), solute_from_smiles("CO", "methanol")
    frame = Calculation(
        solute.atomic_numbers, solute.positions, mm_positions=solute.positions[:3] + 5.0, mm_charges=np.array([-0.8, 0.4, 0.4])
    )
    bonded = np.argwhere(np.triu(bonds(solute.atomic_numbers, solute.positions)))
    for _ in range(20):
        moved = stretched(frame, solute, random)
        before, after = (
            np.linalg.norm(np.diff(positions[bonded], axis=1)[:, 0], axis=1) for positions in (frame.positions, moved.positions)
        )
        assert np.count_nonzero(np.abs(after - before) > 1e-9) == 1
        assert len(moved.mm_charges) in (0, 3)


def test_water_that_an_atom_comes_too_close_to_is_left_out():
    waters = np.array([[[4.0, 0.0, 0.0], [3.0, 0.0, 0.0], [4.5, 0.8, 0.0]], [[9.0, 0.0, 0.0], [10.0, 0.0, 0.0], [9.0, 1.0, 0.0]]])
    frame = Calculation(
        np.array([8, 1]), np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]), mm_positions=waters.reshape(-1, 3), mm_charges=np.arange(6.0)
    )
    clear = without_clashes(frame)
    np.testing.assert_array_equal(clear.mm_charges, [3.0, 4.0, 5.0])
    np.testing.assert_array_equal(clear.mm_positions, waters[1])


def test_an_engine_that_fails_for_the_modes_is_named(tmp_path):
    with pytest.raises(EngineError, match="did not converge"):
        normal_modes(WATER, PointChargeEngine(fails_on=3), Parts(tmp_path, {}))
    assert "hessian" not in Parts(tmp_path, {})
