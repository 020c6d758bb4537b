"""What the plausibility of data tells: signs of gradients, numbers of electrons, charges, molecules that a periodic box has torn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.data.plausibility import check_plausible
from amp_tf.data.reference_data import FrameGroup, Provenance, ReferenceData
from amp_tf.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
PROVENANCE = Provenance(engine="e", engine_version="1", level_of_theory="t", builder_command="", random_seed=None, energy_reference="")
METHANOL = np.array([[-0.05, 0.66, 0], [-0.05, -0.76, 0], [-1.09, 0.98, 0], [0.44, 1.07, 0.89], [0.44, 1.07, -0.89], [0.86, -1.06, 0]])


def springs(positions):
    """Energy and gradients of springs between all atoms, kJ/mol and angstrom."""
    vectors = positions[:, None] - positions[None]
    rest, lengths = squareform(pdist(METHANOL)), np.linalg.norm(vectors, axis=-1) + np.eye(6)
    stretched = (lengths - rest) * (1 - np.eye(6))
    stiffness = np.where(rest < 1.6, 3000.0, 200.0)
    return 0.25 * np.sum(stiffness * stretched**2), np.sum((stiffness * stretched / lengths)[..., None] * vectors, axis=1)


def trajectory(random, n_frames=20, turned=True):
    frames = METHANOL + 0.05 * random.normal(size=(n_frames, 6, 3))
    if turned:
        frames = np.array([Rotation.random(random_state=number).apply(frame) + number for number, frame in enumerate(frames)])
    energies, gradients = zip(*map(springs, frames), strict=True)
    return FrameGroup("methanol", np.array([6, 8, 1, 1, 1, 1]), frames, np.array(energies), np.array(gradients))


def of(*groups):
    return ReferenceData(PROVENANCE, groups, "here")


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("n_frames", [10, 50])
def test_forces_taken_for_gradients_are_refused(random, turned, n_frames):
    group = trajectory(random, n_frames, turned)
    check_plausible(of(group))
    with pytest.raises(InputError, match=r"between near frames energies fall where their gradients say that they rise \(correlation -"):
        check_plausible(of(dataclasses.replace(group, qm_gradients=-group.qm_gradients)))


def test_forces_of_groups_of_few_frames_are_refused_together(random):
    whole = trajectory(random, 24)
    groups = [dataclasses.replace(whole.subset(range(first, first + 3)), name=f"m{first}") for first in range(0, 24, 3)]
    check_plausible(of(*groups))
    with pytest.raises(InputError, match="here: between near frames energies fall"):
        check_plausible(of(*(dataclasses.replace(group, qm_gradients=-group.qm_gradients) for group in groups)))


def test_forces_of_atoms_and_particles_are_refused_too():
    group = read_reference_data(ROOT / "datasets" / "uracil_sample.h5").groups[0]
    with pytest.raises(InputError, match="gradients look like forces; change their sign"):
        check_plausible(of(dataclasses.replace(group, qm_gradients=-group.qm_gradients, mm_gradients=-group.mm_gradients)))


@pytest.mark.parametrize("seed", range(20))
def test_gradients_without_relation_to_energies_are_not_taken_for_forces(seed):
    random = np.random.default_rng(seed)
    group = trajectory(random)
    check_plausible(of(dataclasses.replace(group, energies=random.permutation(group.energies))))


def test_copies_of_a_frame_say_nothing_of_signs(random):
    check_plausible(of(trajectory(random).subset([0] * 10)))


@pytest.mark.parametrize(
    ("numbers", "charge", "complaint"),
    [
        ([7, 1, 1, 1, 1], 0.0, r"an odd number of electrons at charge \+0 e; give the right --charge"),
        ([8, 1], 0.0, "an odd number of electrons"),
        ([8, 1, 1], 1.0, r"an odd number of electrons at charge \+1 e"),
        ([8, 1, 1], 0.5, r"a total charge of 0\.5 e, no whole number"),
        ([7, 1, 1, 1, 1], 1.0, None),
        ([8, 1], -1.0, None),
    ],
)
def test_electrons_must_be_paired(numbers, charge, complaint):
    positions = np.array([[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [-0.6, 0.6, -0.6], [0.6, -0.6, -0.6]])[: len(numbers)]
    data = of(FrameGroup("a", np.array(numbers), positions[None], np.zeros(1), total_charge=charge))
    if complaint is None:
        check_plausible(data)
    else:
        with pytest.raises(InputError, match=f"group 'a': {complaint}"):
            check_plausible(data)


def test_charges_of_particles_are_looked_at():
    water = np.array([[[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]])
    mm = {"mm_offsets": np.array([0, 2]), "mm_positions": np.array([[5.0, 0, 0], [5.0, 3, 0]])}
    check_plausible(of(FrameGroup("a", np.array([8, 1, 1]), water, np.zeros(1), mm_charges=np.array([-0.8, 0.8]), **mm)))
    with pytest.raises(InputError, match=r"group 'a', frame 0: charges up to 14\.6 that sum to 0 are no charges in e"):
        check_plausible(of(FrameGroup("a", np.array([8, 1, 1]), water, np.zeros(1), mm_charges=np.array([-14.6, 14.6]), **mm)))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("cut", np.linspace(-0.3, 0.3, 5))
def test_a_molecule_wrapped_in_a_box_is_told(axis, cut):
    group = read_reference_data(ROOT / "datasets" / "uracil_sample.h5").groups[0]
    positions = group.qm_positions[3] - group.qm_positions[3].mean(axis=0)
    positions[:, axis] += 11.0 * (positions[:, axis] < cut * np.ptp(positions[:, axis]))
    wrapped = FrameGroup("a", group.qm_atomic_numbers, positions[None], np.zeros(1))
    with pytest.warns(UserWarning, match=r"here: group 'a', frame 0: .*atoms? \d.*a molecule wrapped in a box must be made whole"):
        check_plausible(of(wrapped))
