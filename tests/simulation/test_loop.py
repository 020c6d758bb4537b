"""One loop from end to end: a committee, dynamics that collects frames, their labels, joined data, training on both."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("openmm", reason="OpenMM is not installed: pip install 'amp_tf[openmm]'")

from amp_tf.data.hdf5 import read_reference_data
from amp_tf.errors import InputError
from amp_tf.simulation.dynamics import Dynamics, Run
from amp_tf.simulation.scene import SoluteInWater
from amp_tf.training import make_config, train
from datasets import qmmm_solutes
from datasets.engines import Calculation
from datasets.joining import join
from datasets.qmmm_sampling import Sampling
from tests.datasets.test_qmmm_solutes import BOX, WATER, PointChargeEngine

SAMPLING = Sampling(n_frames=10, stride=2, zone=6.0, equilibration=0.02, qm_equilibration=2, block=5)
MODEL = {
    "type": "AMP", "max_order": 1, "n_layers": 1, "n_features": 8, "n_radial_weights": 2, "direct_polarization": True,
    "pairwise_coulomb": True, "near_cutoff": 4.0, "repulsion": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    output = tmp_path_factory.mktemp("loop") / "water.h5"
    qmmm_solutes.sample(output, WATER, PointChargeEngine(), SAMPLING, 1, "test", BOX)
    return output


def trained(data, folder, **changes):
    values = {"data": data, "model": MODEL, "steps": 2, "interval": 2, "batch_size": 2, "start_at_zero": True}
    train(make_config(values | changes), folder, progress=False)
    return folder / "potential.keras"


@pytest.mark.slow
def test_what_a_committee_collects_is_labelled_and_trained_on(sampled, tmp_path):
    committee = [trained(sampled, tmp_path / f"member{seed}", seed=seed) for seed in range(2)]
    collected = tmp_path / "frames.xyz"
    dynamics = Dynamics(
        picoseconds=0.25, time_step=0.5, interval=20, relaxation=0.001, equilibration=0.02, temperature=10.0, zone=6.0, margin=np.inf
    )
    run = Run(tmp_path / "run", committee, SoluteInWater(WATER), dynamics, False, n_threads=1, collect=collected, collect_above=0.0)
    run.run(progress=False)
    assert run.n_collected == 3
    geometries = qmmm_solutes.geometries(collected, tmp_path / "frames.pc.xyz")
    labelled = tmp_path / "labelled.h5"
    qmmm_solutes.relabel(geometries, labelled, PointChargeEngine(), 1, "test")
    joined = tmp_path / "joined.h5"
    join([read_reference_data(sampled), read_reference_data(labelled)], joined, "test")
    data = read_reference_data(joined)
    assert sorted(len(group) for group in data.groups) == [3, 10]
    reference = read_reference_data(sampled).provenance.settings["reference_energy_kj_per_mol"]
    for group in data.groups:
        for frame in range(len(group)):
            system = group.system(frame)
            calculation = Calculation(
                system.atomic_numbers, system.positions, mm_positions=system.mm_positions, mm_charges=system.mm_charges
            )
            assert group.energies[frame] == pytest.approx(PointChargeEngine().embedded(calculation).energy - reference, abs=1e-2)
    better = trained(joined, tmp_path / "better", model={}, start_at_zero=False, start_from=committee[0])
    assert better.is_file()
    twice = tmp_path / "twice.h5"
    join([data, read_reference_data(labelled)], twice, "test")
    assert sorted(len(group) for group in read_reference_data(twice).groups) == [3, 3, 10]


def test_files_that_do_not_belong_together_are_refused(sampled, tmp_path):
    data = read_reference_data(sampled)
    other = dataclasses.replace(data, provenance=data.provenance.model_copy(update={"level_of_theory": "PBE"}))
    with pytest.raises(InputError, match=r"has labels of PBE model, .* of springs model; relabel one of them"):
        join([data, other], tmp_path / "out.h5", "test")
    silent = dataclasses.replace(data, provenance=data.provenance.model_copy(update={"settings": {}}))
    with pytest.raises(InputError, match="does not record where its energies are zero"):
        join([data, silent], tmp_path / "out.h5", "test")
    with pytest.raises(InputError, match=r"the same file|choose another"):
        join([data, data], sampled, "test")
