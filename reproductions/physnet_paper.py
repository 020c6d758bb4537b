"""What PhysNet's paper reports (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019), kcal/mol, kcal/mol/angstrom, D and e.

Mean absolute errors: the mean of five runs, and of the ensemble of these.
"""

QM9 = {50_000: (0.30, 0.24), 100_000: (0.19, 0.14), 110_426: (0.19, 0.14)}
"""Table 3: energies by the number of molecules for training and validation."""

MD17 = {
    "aspirin": ((0.12, 0.12), (0.06, 0.04)), "ethanol": ((0.05, 0.05), (0.03, 0.02)), "malonaldehyde": ((0.07, 0.07), (0.04, 0.03)),
    "naphthalene": ((0.12, 0.12), (0.04, 0.03)), "salicylic acid": ((0.11, 0.11), (0.04, 0.03)), "toluene": ((0.10, 0.10), (0.03, 0.03)),
    "uracil": ((0.10, 0.10), (0.03, 0.03)),
}  # fmt: skip
"""Table 4: energies and forces after 50 000 frames for training and validation."""

SN2 = {
    "with long range": {
        "energy": (0.009, 0.009), "qm_gradients": (0.012, 0.009), "dipole": (0.0044, 0.0042), "total_charge": (0.00023, 0.00019),
    },
    "without": {"energy": (0.071, 0.070), "qm_gradients": (0.035, 0.032)},
}  # fmt: skip
"""Table 6, by our labels: 405 000 frames for training and validation."""

TAIL_ERROR = 1.0
"""Figures 5 and 6: about so much errs the model without long range where fragments are far apart."""
