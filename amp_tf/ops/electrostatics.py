"""Coulomb energies (Eqs. 11 and 13) and the conservation of charge."""

from keras import ops

from amp_tf import units
from amp_tf.ops import safe


def potentials(partner_charges, distances, receivers, n_atoms):
    """Σ_j q_j / (4 π ε0 r_ij), the electrostatic potential at each atom i: [n_atoms], kJ/mol/e (Eqs. 11 and 13 are Σ_i q_i times it).

    Args:
        partner_charges: q_j [n_pairs], e.
        distances: [n_pairs], angstrom, not zero.
        receivers: [n_pairs], atom i.
        n_atoms: number of atoms.
    """
    return units.COULOMB_CONSTANT * safe.segment_sum(partner_charges / distances, receivers, n_atoms)


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
