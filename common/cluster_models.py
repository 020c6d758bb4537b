"""The eight potentials on water clusters of Figure 3, their sizes by preset, and their data."""

from typing import Any

from amp_tf.data.hdf5 import read_reference_data
from datasets.water_clusters import HYDROGEN_CHARGE, OXYGEN_CHARGE, SHIPPED_FILE

DATA = SHIPPED_FILE
_EMBEDDED = {"type": "AMP", "direct_polarization": True, "pairwise_coulomb": True, "long_range_cutoff": 30.0}
_NODES = {"mm_types": [OXYGEN_CHARGE, HYDROGEN_CHARGE]}
MODELS: dict[str, dict[str, Any]] = {
    **{f"AMP({order})": {**_EMBEDDED, "max_order": order} for order in range(4)},
    "PaiNN": {"type": "PaiNN", **_NODES},
    "SchNet": {"type": "SchNet", **_NODES},
    "GNN": {"type": "GNN", **_NODES},
    "GNN-P": {"type": "GNN", "pairwise_coulomb": True, **_NODES},
}

PAPER_SIZES: dict[str, dict[str, Any]] = {
    "AMP(0)": {"n_radial_weights": 371},
    "AMP(1)": {"n_radial_weights": 99},
    "AMP(2)": {"n_radial_weights": 38},
    "AMP(3)": {"n_radial_weights": 19},
    "PaiNN": {"n_features": 160},
    "SchNet": {"n_features": 256, "n_filters": 256},
    "GNN": {"n_features": 224},
    "GNN-P": {"n_features": 208},
}
"""About one million parameters each (A.4); the paper gives the sizes of PaiNN and SchNet, the others follow from that number."""

LAPTOP_SIZES: dict[str, dict[str, Any]] = {
    "AMP(0)": {"n_features": 64, "n_radial_weights": 254},
    "AMP(1)": {"n_features": 64, "n_radial_weights": 70},
    "AMP(2)": {"n_features": 64, "n_radial_weights": 27},
    "AMP(3)": {"n_features": 64, "n_radial_weights": 14},
    "PaiNN": {"n_features": 88},
    "SchNet": {"n_features": 144, "n_filters": 144},
    "GNN": {"n_features": 120},
    "GNN-P": {"n_features": 112},
}
"""About 0.3 million each, so that two cores train all eight in one to two hours and the weights can ship."""

POLARIZED = ("AMP(1)", "AMP(2)", "AMP(3)")
NEAR = {"near_cutoff": 4.0}
"""Of these in the laptop preset: ``make reproduce-orders`` shows what it changes."""

SIZES = {
    "laptop": {model: {**sizes, **(NEAR if model in POLARIZED else {})} for model, sizes in LAPTOP_SIZES.items()},
    "paper": {model: {**sizes, "message_cutoff": "none"} for model, sizes in PAPER_SIZES.items()},
}
"""By preset: arguments of each model beside those of :data:`MODELS`."""


def data_record() -> dict[str, str]:
    """File and sha256 of the reference data, for a result file."""
    data = read_reference_data(DATA)
    provenance = data.provenance
    record = {"file": f"datasets/{DATA.name}", "sha256": data.sha256, "level_of_theory": provenance.level_of_theory}
    return record | {"engine": f"{provenance.engine} {provenance.engine_version}"}
