"""Dispersion of pairs of atoms with the damping of Becke and Johnson, the form of D3(BJ) and D4."""

from keras import ops

from amp_tf import units

SQRT_R4R2 = {
    "H": 2.00735, "C": 3.10493, "N": 2.71175, "O": 2.59362, "F": 2.38825, "P": 4.29728, "S": 4.04109, "Cl": 3.72932, "Br": 4.59090,
    "I": 5.53322,
}  # fmt: skip
"""Q of the elements, bohr (Grimme et al., J. Chem. Phys. 132, 154104, 2010): C8 of a pair is 3 C6 Q_i Q_j."""


def dispersion_radius(symbol: str) -> float:
    """rq = 3^(1/4) Q^(1/2) of an element, bohr^(1/2), for :func:`dispersion_energies`: C8/C6 of a pair is (rq_i rq_j)²."""
    return 3**0.25 * SQRT_R4R2[symbol] ** 0.5


def dispersion_energies(
    distances, c6, radii, s8: float, a1: float, a2: float, bohr: float = units.BOHR, hartree: float = units.HARTREE
):  # fmt: skip
    r"""Energies of pairs (in AMP-BMS, doi 10.1021/jacs.6c00217, s8 = 0.7761, a1 = 0.7514, a2 = 2.7099):

    .. math:: -C_6 \left( \frac{1}{R^6 + R_0^6} + s_8 \frac{r^2}{R^8 + R_0^8} \right), \qquad R_0 = a_1 r + a_2

    Args:
        distances: R [n_pairs], angstrom.
        c6: C6 of the pairs [n_pairs], hartree bohr⁶.
        radii: r [n_pairs], bohr, the product of :func:`dispersion_radius` of both atoms.
        s8, a1, a2: parameters of the damping, a2 in bohr.
        bohr, hartree: in angstrom and kJ/mol.

    Returns:
        [n_pairs], kJ/mol; smooth for all distances, zero included.
    """
    sixth, sixth_0 = ((length * length * length) ** 2 for length in (distances / bohr, a1 * radii + a2))
    eighth, eighth_0 = (sixth * ops.square(distances / bohr), sixth_0 * ops.square(a1 * radii + a2))
    return -hartree * c6 * (1.0 / (sixth + sixth_0) + s8 * ops.square(radii) / (eighth + eighth_0))
