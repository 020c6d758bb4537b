"""The paper's model and training of solutes in water: AMP(3)-DP of Tables 1, 2 and 6."""

SOLUTES = {"Uracil": "uracil", "RA": "retinoic-acid", "SAM": "sam-cysteine", "Uracil-PBE": "uracil-pbe"}
"""The systems of the tables and the names of their solutes; the last one's geometries are uracil's, of another theory."""

PAPER_SETTINGS = {
    "learning_rate": 5e-4,
    "final_learning_rate": 1e-5,
    "clip_norm": 1.0,
    "gradient_weight": 0.8,
    "mm_gradient_factor": 100.0,
}
"""A.2 and A.5."""

MODEL = {"type": "AMP", "max_order": 3, "direct_polarization": True, "pairwise_coulomb": True}
