"""Every number that the figures and tables of the paper state, as data.

Source: M. Thürlemann and S. Riniker, "Anisotropic Message Passing: Graph Neural Networks with Directional and Long-Range Interactions",
ICLR 2023. Tables by their numbers there; units as in the tables.
"""

FIGURE_2A_TEST_MAE = {"AMP(1)": 0.32, "AMP(2)": 0.05}
"""J/mol, fully connected water dimer (section 4.1). For panels B and C the paper draws curves and states no number."""

TABLE_1_SPLITS = ("train", "validation", "test")
TABLE_1 = {
    "Uracil": {
        "unshuffled": {"energy": (0.2, 3.1, 2.5), "qm_gradients": (0.4, 7.3, 7.1), "mm_gradients": (0.04, 0.08, 0.09)},
        "shuffled": {"energy": (0.3, 0.3, 0.3), "qm_gradients": (0.6, 0.6, 0.6), "mm_gradients": (0.03, 0.03, 0.03)},
    },
    "RA": {
        "unshuffled": {"energy": (0.5, 9.1, 12.0), "qm_gradients": (1.2, 5.0, 9.6), "mm_gradients": (0.06, 0.16, 0.19)},
        "shuffled": {"energy": (0.6, 0.6, 0.6), "qm_gradients": (1.4, 1.5, 1.5), "mm_gradients": (0.06, 0.06, 0.06)},
    },
    "SAM": {
        "unshuffled": {"energy": (2.2, 29.1, 44.3), "qm_gradients": (3.3, 16.1, 16.0), "mm_gradients": (0.20, 0.39, 0.34)},
        "shuffled": {"energy": (3.1, 3.2, 3.3), "qm_gradients": (3.2, 3.5, 3.5), "mm_gradients": (0.15, 0.15, 0.15)},
    },
}
"""MAE of AMP(3)-DP, 50 angstrom, train/validation/test; kJ/mol and kJ/mol/angstrom."""

SECTION_4_3_LITERATURE = {
    "HDNNP (Böselt et al. 2021)": {"energy": (2.9, 6.6, 4.8), "qm_gradients": (6.38, 12.6, 12.4), "mm_gradients": (0.62, 0.58, 0.65)},
    "GCNN (Hofstetter et al. 2022)": {"energy": (None, None, 7.3), "qm_gradients": (None, None, 13.52), "mm_gradients": (None, None, 0.58)},
}
"""Uracil, unshuffled, without Δ-learning, as the text of section 4.3 quotes them; train/validation/test."""

TABLE_2_SPLITS = ("train", "test")
TABLE_2 = {
    "Uracil": {
        30: {"energy": (0.3, 0.4), "qm_gradients": (0.8, 0.9), "mm_gradients": (0.06, 0.06)},
        50: {"energy": (0.3, 0.3), "qm_gradients": (0.8, 0.9), "mm_gradients": (0.03, 0.03)},
    },
    "RA": {
        30: {"energy": (5.3, 5.5), "qm_gradients": (2.9, 3.1), "mm_gradients": (0.14, 0.14)},
        50: {"energy": (1.5, 1.6), "qm_gradients": (2.5, 2.7), "mm_gradients": (0.13, 0.13)},
    },
    "SAM": {
        30: {"energy": (6.0, 6.4), "qm_gradients": (6.1, 6.4), "mm_gradients": (0.45, 0.45)},
        50: {"energy": (5.5, 5.7), "qm_gradients": (5.3, 5.5), "mm_gradients": (0.33, 0.33)},
    },
}
"""MAE of AMP(3)-DP by long-range cut-off (angstrom), shuffled; kJ/mol and kJ/mol/angstrom."""

TABLE_3_MODELS = ("SchNet", "DimeNet", "PaiNN", "Allegro", "SEGNN", "PaxNet", "AMP")
TABLE_3 = {
    "U0": ("meV", (14, 8.02, 5.85, 4.7, 15, 5.90, 6.5)),
    "U": ("meV", (19, 7.89, 5.83, 4.4, 13, 5.92, 7.1)),
    "H": ("meV", (14, 8.11, 5.98, 4.4, 16, 6.04, 7.4)),
    "G": ("meV", (14, 8.98, 7.35, 5.7, 15, 7.14, 6.9)),
    "ZPVE": ("meV", (1.7, 1.29, 1.28, None, 1.62, 1.17, 0.88)),
    "HOMO": ("meV", (41, 27.8, 27.6, None, 24, 22.8, 13.3)),
    "LUMO": ("meV", (34, 19.7, 20.4, None, 21, 19.2, 11.8)),
    "gap": ("meV", (63, 34.8, 45.7, None, 42, 31.0, 23.1)),
    "mu": ("mD", (33, 28.6, 12.0, None, 23.0, 10.8, 7.3)),
    "alpha": ("ma0^3", (235, 46.9, 45, None, 60, 44.7, 32.5)),
    "R2": ("ma0^2", (73, 33.1, 66, None, 660, 93, 167)),
    "cv": ("mcal/mol/K", (33, 24.9, 24, None, 31, 23.1, 15.1)),
}
"""MAE on the 12 properties of QM9, one value a model."""

TABLE_4_MODELS = ("AMP(0)", "AMP(1)", "AMP(2)", "AMP(3)")
TABLE_4 = {
    1: ((138, 5.7), (146, 6.0), (164, 6.8), (207, 8.5)),
    2: ((151, 8.1), (164, 8.8), (200, 10.7), (267, 14.3)),
    3: ((162, 10.6), (178, 11.6), (221, 14.4), (307, 20.1)),
    4: ((167, 12.9), (187, 14.4), (236, 18.2), (333, 25.7)),
}
"""By number of layers: inference time of 100 QM9 molecules (1 833 atoms) in % of the GNN's and in ms, NVIDIA Titan V."""

TABLE_5_MODELS = ("GNN", "AMP(0)", "AMP(1)", "AMP(2)", "AMP(3)")
TABLE_5 = {
    "Uracil": (12, (0.51, 0.65, 0.82, 1.04, 1.52)),
    "RA": (50, (0.76, 1.33, 1.53, 2.07, 2.99)),
    "SAM": (63, (0.87, 1.67, 1.95, 2.28, 3.15)),
}
"""Number of atoms; ms a molecule for energy and QM gradients of the isolated system, three layers, batches of 60."""

TABLE_6_SYSTEMS = ("Uracil", "RA", "SAM")
TABLE_6 = {10: (5.6, 20.1, 20.5), 100: (5.7, 22.3, 22.8), 1000: (8.4, 37.7, 37.4)}
"""By number of MM particles: ms a system for energy, QM and MM gradients, three-layer AMP(3), batches of 10."""

CLUSTER_PARAMETERS = "about 1M"
"""Parameters of every model on the clusters (4.2, A.4); the paper gives no other digit."""

CLUSTER_SIZES = tuple(range(6, 21))
TABLE_7 = {
    "AMP(0)": (7.8, 6.25, 3.97, 5.4, 5.11, 5.76, 4.4, 5.14, 5.06, 5.13, 4.67, 4.71, 5.05, 5.02, 5.11),
    "AMP(1)": (2.66, 2.22, 1.44, 0.77, 0.25, 0.53, 0.86, 0.92, 1.02, 1.36, 2.03, 3.01, 4.59, 6.2, 8.1),
    "AMP(2)": (0.3, 0.33, 0.17, 0.18, 0.16, 0.26, 0.23, 0.26, 0.28, 0.34, 0.41, 0.42, 0.47, 0.56, 0.55),
    "AMP(3)": (0.4, 0.39, 0.17, 0.23, 0.16, 0.33, 0.33, 0.39, 0.46, 0.52, 0.62, 0.8, 0.82, 0.99, 0.86),
    "PaiNN": (1.14, 1.03, 0.44, 0.51, 0.08, 0.75, 0.65, 0.8, 0.89, 1.01, 1.2, 2.08, 1.91, 2.19, 1.8),
    "SchNet": (1.79, 1.42, 0.6, 0.75, 0.19, 1.05, 1.02, 1.28, 1.37, 1.5, 1.75, 3.61, 3.61, 4.1, 4.11),
    "GNN": (6.22, 5.09, 1.47, 1.48, 0.07, 1.68, 2.18, 3.01, 3.63, 4.34, 4.8, 7.54, 6.74, 6.94, 6.94),
    "GNN-P": (1.16, 0.88, 0.37, 0.39, 0.09, 0.57, 0.54, 0.8, 1.0, 1.2, 1.34, 2.32, 2.62, 3.43, 3.6),
}
"""Energy MAE of the water clusters by size, kJ/mol (the upper panel of Figure 3)."""

TABLE_8 = {
    "AMP(0)": (8.04, 7.92, 8.48, 8.27, 8.4, 8.14, 8.35, 8.2, 8.2, 8.23, 8.23, 8.28, 8.29, 8.48, 8.52),
    "AMP(1)": (1.65, 1.37, 0.76, 0.61, 0.18, 0.81, 1.18, 1.59, 2.09, 2.72, 3.68, 5.48, 6.73, 8.08, 9.11),
    "AMP(2)": (0.58, 0.52, 0.26, 0.26, 0.12, 0.36, 0.32, 0.43, 0.5, 0.6, 0.73, 0.91, 1.06, 1.25, 1.3),
    "AMP(3)": (0.67, 0.59, 0.25, 0.3, 0.1, 0.48, 0.44, 0.64, 0.8, 1.01, 1.23, 1.32, 1.61, 1.98, 2.19),
    "PaiNN": (1.0, 1.06, 0.5, 0.61, 0.05, 0.85, 0.68, 0.77, 0.77, 0.79, 0.88, 1.56, 1.44, 1.52, 1.35),
    "SchNet": (2.26, 1.84, 0.7, 0.97, 0.12, 1.34, 0.96, 1.16, 1.18, 1.18, 1.3, 2.4, 2.36, 2.57, 2.52),
    "GNN": (3.42, 2.99, 1.01, 1.43, 0.07, 2.02, 1.55, 1.89, 1.98, 2.05, 2.24, 3.94, 3.71, 3.8, 4.0),
    "GNN-P": (1.76, 1.49, 0.68, 0.73, 0.05, 0.97, 0.95, 1.29, 1.61, 1.95, 2.22, 2.74, 3.21, 3.78, 3.86),
}
"""Gradient MAE of the water clusters by size, kJ/mol/angstrom (the lower panel of Figure 3)."""
