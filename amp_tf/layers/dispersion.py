"""Dispersion between atoms of molecules: two-body D3 with the damping of Becke and Johnson."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from amp_tf import units
from amp_tf.layers.dense import REGISTERED
from amp_tf.layers.physnet import inverse_softplus
from amp_tf.ops import safe
from amp_tf.ops.dispersion import coordination_numbers, d3_tables, dispersion_energies, reference_weights

HARTREE_FOCK = (1.0, 0.9171, 0.3385, 2.8830)
"""s6, s8, a1 and a2 (bohr), from which parameters are learnt, as in the authors' program of PhysNet."""


@REGISTERED
class D3Dispersion(keras.layers.Layer):
    """Energies of :func:`amp_tf.ops.dispersion.dispersion_energies` with C6 from coordination numbers.

    Args:
        elements: chemical symbols, in the order of the one-hot elements.
        parameters: s6, s8, a1 and a2 (bohr) of a functional, or None: learnt, from those of Hartree-Fock, and positive.

    Call arguments:
        one_hot: elements of the atoms [n_atoms, n_elements].
        distances: of all pairs of atoms of a system, both directions [n_pairs], angstrom, not zero.
        receivers, senders: both ends [n_pairs].

    Returns:
        Half of the energies of its pairs for each atom [n_atoms], kJ/mol.
    """

    def __init__(self, elements: Sequence[str], parameters: Sequence[float] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.elements, self.parameters = tuple(elements), None if parameters is None else tuple(parameters)
        self._tables = d3_tables(self.elements)
        if parameters is None:
            start = keras.initializers.Constant(inverse_softplus(np.array(HARTREE_FOCK)))
            self.free = self.add_weight(shape=(4,), initializer=start, name="free")
        self.built = True

    def call(self, one_hot, distances, receivers, senders):
        tables = {name: ops.convert_to_tensor(table, dtype=self.compute_dtype) for name, table in self._tables.items()}
        radii, references = ops.matmul(one_hot, tables["radii"][:, None])[:, 0], ops.matmul(one_hot, tables["reference_cn"])
        of_pair = safe.gather(radii, receivers) + safe.gather(radii, senders)
        numbers = coordination_numbers(distances / units.BOHR, of_pair, receivers, ops.shape(one_hot)[0])
        weights = reference_weights(numbers, references)
        c6 = self._coefficients(one_hot, weights, tables["c6"], receivers, senders)
        root = ops.matmul(one_hot, ops.sqrt(3.0**0.5 * tables["sqrt_r4r2"])[:, None])[:, 0]
        s6, s8, a1, a2 = self.parameters or ops.unstack(ops.softplus(self.free))
        ratio = safe.gather(root, receivers) * safe.gather(root, senders)
        energies = 0.5 * dispersion_energies(distances, c6, ratio, s8, a1, a2, s6=s6)
        return safe.segment_sum(energies, receivers, ops.shape(one_hot)[0])

    def _coefficients(self, one_hot, weights, table, receivers, senders):
        """C6 of each pair: Σ_ab w_ia w_jb C6_ab, of the elements of both."""
        # [n_atoms, n_elements, n_references]: an atom's weighted references towards each element and reference of a partner
        towards = ops.einsum("ie,ia,efab->ifb", one_hot, weights, table)
        of_sender = ops.einsum("jf,jb->jfb", one_hot, weights)
        return ops.sum(safe.gather(towards, receivers) * safe.gather(of_sender, senders), axis=(1, 2))

    def get_config(self):
        return super().get_config() | {"elements": list(self.elements), "parameters": self.parameters}
