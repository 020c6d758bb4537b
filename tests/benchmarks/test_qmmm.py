"""The benchmarks of solutes among charges: what they place, and that a small case runs."""

import numpy as np
import pytest

from amp_tf.simulation.solutes import solute_by_name
from benchmarks import far_charges
from common.made_up_systems import surrounded


def test_charges_stand_where_they_should(random):
    solute = solute_by_name("uracil")
    near, far = surrounded(solute, 300, random), far_charges.in_water(solute, 300, random)
    for system in (near, far):
        assert len(system.mm_charges) == 300
        assert abs(system.mm_charges.sum()) < 1e-9
        assert 1.8 < np.linalg.norm(system.positions[:, None] - system.mm_positions, axis=-1).min() < 3.0


@pytest.mark.slow
def test_expanded_and_direct_sums_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(far_charges, "median_time", lambda function, seconds=0: (function(), 1e-3)[1])
    far_charges.main(particles=[3000])
    rows = capsys.readouterr().out
    assert "expanded" in rows
    assert "direct" in rows
    errors = [entry["value"] for entry in far_charges.measure(solute_by_name("uracil"), 3000, False) if entry["metric"].endswith("_error")]
    assert errors == [pytest.approx(0.0, abs=1e-4)] * 3
    assert any(errors)
