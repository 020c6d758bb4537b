"""Screened repulsion of nuclei at short distances."""

from keras import ops

from amp_tf import units

COEFFICIENTS = (0.18180, 0.50990, 0.28020, 0.02817)
EXPONENTS = (3.2, 0.9423, 0.4028, 0.2016)
"""c_k and a_k of the universal screening function (Ziegler, Biersack, Littmark, 1985)."""


def zbl_energies(distances, numbers_i, numbers_j, bohr: float = units.BOHR):
    r"""Energies of pairs of nuclei (Ziegler, Biersack, Littmark 1985; in AMP-BMS, doi 10.1021/jacs.6c00217), K Coulomb's constant:

    .. math:: K \frac{Z_i Z_j}{R} \sum_k c_k \exp(-a_k R / a), \qquad a = \frac{0.8854 \, a_0}{Z_i^{0.23} + Z_j^{0.23}}

    Args:
        distances: R [n_pairs], angstrom, not zero.
        numbers_i, numbers_j: Z, atomic numbers at both ends as floats [n_pairs].
        bohr: a_0, angstrom.

    Returns:
        [n_pairs], kJ/mol, positive; without a cut-off.
    """
    scaled = distances * (ops.power(numbers_i, 0.23) + ops.power(numbers_j, 0.23)) / (0.8854 * bohr)
    screening = sum(factor * ops.exp(-rate * scaled) for factor, rate in zip(COEFFICIENTS, EXPONENTS, strict=True))
    return units.COULOMB_CONSTANT * numbers_i * numbers_j * screening / distances
