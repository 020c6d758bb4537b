"""Coulomb energies (Eqs. 11 and 13), of multipoles in charges too, reaction fields, and the conservation of charge."""

from keras import ops

from amp_tf import units
from amp_tf.ops import safe
from amp_tf.ops.field import SMALLEST_DISTANCE
from amp_tf.ops.multipoles import folding, full_contractions, highest_order, monomials
from amp_tf.ops.radial import cutoff_function


def potentials(partner_charges, distances, receivers, n_atoms):
    """Σ_j q_j / (4 π ε0 r_ij), the electrostatic potential at each atom i: [n_atoms], kJ/mol/e (Eqs. 11 and 13 are Σ_i q_i times it).

    Args:
        partner_charges: q_j [n_pairs], e.
        distances: [n_pairs], angstrom, not zero.
        receivers: [n_pairs], atom i.
        n_atoms: number of atoms.
    """
    terms = ops.cast(partner_charges / distances, "float64")  # large ones that cancel: in single precision their order would matter
    return units.COULOMB_CONSTANT * ops.cast(safe.segment_sum(terms, receivers, n_atoms), distances.dtype)


def conserve_charge(charges, system, total_charge):
    """Subtract the mean excess charge of each system, so that its charges sum to ``total_charge`` (paper, section 3.6).

    Args:
        charges: [n_atoms], e.
        system: [n_atoms], the system of each atom.
        total_charge: [n_systems], e.

    Returns:
        [n_atoms], e.
    """
    n_systems = ops.shape(total_charge)[0]
    n_atoms = safe.segment_sum(ops.ones_like(charges), system, n_systems)
    excess = (safe.segment_sum(charges, system, n_systems) - total_charge) / n_atoms
    return charges - safe.gather(excess, system)


def reaction_field(distances, cutoff: float, permittivity: float = 78.4):
    r"""b(R), which takes the place of 1/R in Coulomb energies within a cut-off c: those of charges in a dielectric beyond it.

    .. math:: b(R) = \frac1R + k R^2 + a_4 R^4 + a_6 R^6 - b_c, \quad k = \frac{\epsilon - 1}{(1 + 2\epsilon) c^3}, \quad
        a_m = \frac{3 (2\epsilon + n - 1)}{m (n - m) (1 + 2\epsilon) c^{m + 1}}, \quad (m, n) = (4, 6), (6, 4)

    and b_c such that b(c) = 0 (AMP-BMS, doi 10.1021/jacs.6c00217). Value and two derivatives vanish at c; zero beyond.

    Args:
        distances: R, angstrom; not zero.
        cutoff: c, angstrom.
        permittivity: relative, of the medium beyond.

    Returns:
        1/angstrom, of the shape of ``distances``.
    """
    medium = 1.0 + 2.0 * permittivity
    square = (permittivity - 1.0) / (medium * cutoff**3)
    fourth, sixth = (3.0 * (2.0 * permittivity + n - 1.0) / (m * (n - m) * medium * cutoff ** (m + 1)) for m, n in ((4, 6), (6, 4)))
    shift = 1.0 / cutoff + cutoff**2 * (square + cutoff**2 * (fourth + cutoff**2 * sixth))
    inside = ops.minimum(distances, cutoff)
    squared = ops.square(inside)
    return 1.0 / inside + squared * (square + squared * (fourth + squared * sixth)) - shift


def damped_inverse(distances, cutoff: float):
    r"""χ(R), which takes the place of 1/R between charges of atoms that may be bonded (PhysNet, doi 10.1021/acs.jctc.9b00181, Eq. 13):

    .. math:: \chi(R) = \frac{f}{\sqrt{R^2 + 1}} + \frac{1 - f}{R}, \qquad f = \phi(2R)

    with φ the cut-off function of exponent 3 that ends at c, so that χ is 1/R from c/2 on; the 1 is one angstrom squared.

    Args:
        distances: R, angstrom, zero included.
        cutoff: c, angstrom.

    Returns:
        1/angstrom, of the shape of ``distances``; two continuous derivatives.
    """
    half = 0.5 * cutoff
    scaled = ops.minimum(distances / half, 1.0)
    # (1 − f)/R without a division by small R: 1 − f = x³ (10 − 15x + 6x²) with x = R/half
    bare = ops.where(scaled < 1.0, ops.square(scaled) * (10.0 + scaled * (6.0 * scaled - 15.0)) / half, 1.0 / ops.maximum(distances, half))
    return cutoff_function(distances, half, exponent=3) / ops.sqrt(ops.square(distances) + 1.0) + bare


def multipole_charge_energies(moments, charges, decays, distances, unit_vectors, receivers):
    """Energies of atoms' multipoles with charges, pair by pair: K q_j b_ij Σ_k (2k − 1)!! M_i^k·u_ij^k / R_ij^k, K the Coulomb constant.

    To order 2 these are K q_j b_ij (q_i + μ_i·R/R² + 3 Θ_i:RR/R⁴) (AMP-BMS, doi 10.1021/jacs.6c00217); with b = 1/R Coulomb's law.

    Args:
        moments: charge, dipole, traceless quadrupole, and so on of the atoms, packed [n_atoms, n_components(k)], e angstrom^k.
        charges: q_j of the sender of each pair [n_pairs], e.
        decays: b_ij [n_pairs], 1/angstrom, 1/R or :func:`reaction_field`.
        distances: R [n_pairs], angstrom; held at 0.1 below.
        unit_vectors: from atom to charge [n_pairs, 3].
        receivers: atom i [n_pairs].

    Returns:
        [n_pairs], kJ/mol.
    """
    order = highest_order(moments)
    dots = full_contractions(moments, monomials(unit_vectors, order), receivers)
    inverse = (1.0 / ops.maximum(distances, SMALLEST_DISTANCE))[:, None]
    powers = [ops.ones_like(inverse)]
    for degree in range(1, order + 1):
        powers.append((2 * degree - 1) * inverse * powers[-1])
    return units.COULOMB_CONSTANT * charges * decays * ops.sum(dots * ops.concatenate(powers, axis=1), axis=1)


def multipole_field_energies(moments, tensors):
    """The sum of :func:`multipole_charge_energies` over all charges, with b = 1/R, from the derivatives of their potential: [n_atoms].

    Args:
        moments: packed [n_atoms, n_components(k)], e angstrom^k, traceless.
        tensors: T of the orders 0 to k at the atoms, :func:`amp_tf.ops.field.field_tensors`: [n_atoms, n_monomials(k)].
    """
    order = highest_order(moments)
    folded = ops.matmul(moments, ops.convert_to_tensor(folding(order), dtype=moments.dtype))
    return units.COULOMB_CONSTANT * ops.sum(folded * tensors, axis=1)
