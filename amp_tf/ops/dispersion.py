"""Dispersion of pairs of atoms with the damping of Becke and Johnson, the form of D3(BJ) and D4."""

from collections.abc import Sequence
from importlib import resources

import numpy as np
from ase.data import chemical_symbols
from keras import ops

from amp_tf import units
from amp_tf.errors import InputError
from amp_tf.ops import safe

SQRT_R4R2 = {
    "H": 2.00735, "C": 3.10493, "N": 2.71175, "O": 2.59362, "F": 2.38825, "P": 4.29728, "S": 4.04109, "Cl": 3.72932, "Br": 4.59090,
    "I": 5.53322,
}  # fmt: skip
"""Q of the elements, bohr (Grimme et al., J. Chem. Phys. 132, 154104, 2010): C8 of a pair is 3 C6 Q_i Q_j."""


def dispersion_radius(symbol: str) -> float:
    """rq = 3^(1/4) Q^(1/2) of an element, bohr^(1/2), for :func:`dispersion_energies`: C8/C6 of a pair is (rq_i rq_j)²."""
    return 3**0.25 * SQRT_R4R2[symbol] ** 0.5


def dispersion_energies(
    distances, c6, radii, s8, a1, a2, bohr: float = units.BOHR, hartree: float = units.HARTREE, s6=1.0
):  # fmt: skip
    r"""Energies of pairs (in AMP-BMS, doi 10.1021/jacs.6c00217, s8 = 0.7761, a1 = 0.7514, a2 = 2.7099):

    .. math:: -C_6 \left( \frac{s_6}{R^6 + R_0^6} + s_8 \frac{r^2}{R^8 + R_0^8} \right), \qquad R_0 = a_1 r + a_2

    Args:
        distances: R [n_pairs], angstrom.
        c6: C6 of the pairs [n_pairs], hartree bohr⁶.
        radii: r [n_pairs], bohr, the product of :func:`dispersion_radius` of both atoms.
        s8, a1, a2: parameters of the damping, a2 in bohr.
        s6: factor on the first term.
        bohr, hartree: in angstrom and kJ/mol.

    Returns:
        [n_pairs], kJ/mol; smooth for all distances, zero included.
    """
    sixth, sixth_0 = ((length * length * length) ** 2 for length in (distances / bohr, a1 * radii + a2))
    eighth, eighth_0 = (sixth * ops.square(distances / bohr), sixth_0 * ops.square(a1 * radii + a2))
    return -hartree * c6 * (s6 / (sixth + sixth_0) + s8 * ops.square(radii) / (eighth + eighth_0))


STEEPNESS, SHARPNESS = 16.0, 4.0
"""k1 of coordination numbers and k3 of the weights of references, of D3."""


def coordination_numbers(distances, radii, receivers, n_atoms):
    r"""D3's, :math:`\sum_j 1 / (1 + e^{-16 (R_{ij} / r_{ij} - 1)})` (Grimme et al., J. Chem. Phys. 132, 154104, 2010).

    Args:
        distances: r [n_pairs], in the unit of ``radii``; all pairs of a system in both directions.
        radii: R [n_pairs], sums of both covalent radii, scaled by 4/3.
        receivers: atom i of each pair.
        n_atoms: number of atoms.

    Returns:
        [n_atoms]
    """
    return safe.segment_sum(ops.sigmoid(STEEPNESS * (radii / distances - 1.0)), receivers, n_atoms)


def reference_weights(numbers, references):
    """How much each reference molecule of its element counts for an atom: the softmax of −4 (CN − CN_a)², in which nothing underflows.

    Args:
        numbers: CN [n_atoms].
        references: CN_a [n_atoms, n_references], negative where there is none.

    Returns:
        [n_atoms, n_references], rows sum to 1.
    """
    exponents = -SHARPNESS * ops.square(numbers[:, None] - references)
    return ops.softmax(ops.where(references < 0.0, ops.full_like(exponents, -1e4), exponents), axis=-1)


def d3_tables(elements: Sequence[str]) -> dict[str, np.ndarray]:
    """Reference values of D3 for elements, in atomic units.

    Returns:
        ``reference_cn`` [n, 5], negative where there is none; ``c6`` [n, n, 5, 5]; ``radii`` [n], covalent, scaled by 4/3;
        ``sqrt_r4r2`` [n].

    Raises:
        InputError: for an element that the tables lack; names those that they have.
    """
    with resources.files("amp_tf.ops").joinpath("d3_tables.npz").open("rb") as file, np.load(file, allow_pickle=False) as tables:
        known = [chemical_symbols[number] for number in tables["numbers"]]
        if missing := [symbol for symbol in elements if symbol not in known]:
            raise InputError(f"D3 has no tables here for {', '.join(missing)}, only for {', '.join(known)}; set dispersion to None.")
        rows = [known.index(symbol) for symbol in elements]
        return {
            "reference_cn": tables["reference_cn"][rows], "c6": tables["reference_c6"][np.ix_(rows, rows)], "radii": tables["rcov"][rows],
            "sqrt_r4r2": tables["r4r2"][rows],
        }  # fmt: skip
