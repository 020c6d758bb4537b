"""The physics test bites: each check fails on a potential that was broken for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from amp_tf.models import AMP
from amp_tf.ops import multipoles, safe
from tests.models.physics import CHECKS, failing_checks
from tests.models.test_potentials import ELEMENTS, SMALL


class Broken(AMP):
    """A small AMP(2) whose atomic energy is changed by :meth:`damage`."""

    settings = {"max_order": 2}

    def __init__(self):
        keras.utils.set_random_seed(1)
        super().__init__(ELEMENTS, dtype="float64", **SMALL | self.settings)

    def energy_terms(self, graph):
        terms, properties = super().energy_terms(graph)
        return {**terms, "atomic": terms["atomic"] + self.damage(graph)}, properties

    def damage(self, graph):
        return 0.0

    @staticmethod
    def per_system(values, graph):
        return safe.segment_sum(values, graph.system, tf.shape(graph.total_charge)[0])


class SeesTheAxes(Broken):
    def damage(self, graph):
        return self.per_system(graph.positions[:, 0] ** 2, graph)


class CountsAtoms(Broken):
    """Weights atoms by their number in the batch."""

    def damage(self, graph):
        order = tf.cast(tf.range(tf.shape(graph.positions)[0]), graph.positions.dtype)
        return self.per_system(order * tf.reduce_sum(graph.positions**2, axis=-1), graph)


class SeesTheBatch(Broken):
    def damage(self, graph):
        return tf.reduce_mean(graph.positions**2)


class ConstantPerSystem(Broken):
    def damage(self, graph):
        return 1.0


class ForgetsAGradient(Broken):
    def damage(self, graph):
        return self.per_system(tf.reduce_sum(tf.stop_gradient(graph.positions) ** 2, axis=-1), graph)


class ForgetsACharge(Broken):
    """Takes the derivative by the charges at fixed polarization."""

    settings = {"max_order": 1, "direct_polarization": True, "pairwise_coulomb": True, "long_range_cutoff": 12.0}

    def _source_charges(self, state, graph):
        return tf.stop_gradient(super()._source_charges(state, graph))


class ForgetsAFarCharge(Broken):
    """Takes the field for a constant."""

    settings = {"max_order": 1, "direct_polarization": True, "pairwise_coulomb": True, "near_cutoff": 4.0}

    def _polarize(self, *arguments):
        added, of_pairs = super()._polarize(*arguments)
        return added, {"potentials": tf.stop_gradient(of_pairs["potentials"])}


class PullsOnEverything(Broken):
    """A force that does not sum to zero: a potential that depends on the place of the system."""

    def damage(self, graph):
        return self.per_system(tf.sin(graph.positions[:, 2]), graph)


class LosesCharge(Broken):
    settings = {"max_order": 1, "pairwise_coulomb": True}

    def energy_terms(self, graph):
        terms, properties = super().energy_terms(graph)
        return terms, properties | {"charges": properties["charges"] + 0.01}


class KeepsTraces(Broken):
    def energy_terms(self, graph):
        terms, properties = super().energy_terms(graph)
        monopole, dipole, quadrupole = properties["multipoles"]
        return terms, properties | {"multipoles": (monopole, dipole, quadrupole + tf.eye(3, dtype=quadrupole.dtype))}


class EndsAbruptly(Broken):
    settings = {"max_order": 2, "message_cutoff": "none"}


class LosesDigitsFarAway(Broken):
    """Takes positions as they are, in single precision: what centring in double precision avoids."""

    def build_graph(self, systems, expands=False):
        graph = super().build_graph(systems, expands)
        shift = np.concatenate([np.repeat(system.positions.mean(axis=0)[None], len(system.atomic_numbers), axis=0) for system in systems])
        return graph._replace(positions=(graph.positions + shift).astype("float32").astype("float64"))


CASES = {
    "rotation": SeesTheAxes,
    "translation": LosesDigitsFarAway,
    "permutation": CountsAtoms,
    "batch_independence": SeesTheBatch,
    "additivity": ConstantPerSystem,
    "numerical_gradients": ForgetsAGradient,
    "mm_potentials": ForgetsACharge,
    "total_force_and_torque": PullsOnEverything,
    "charges": LosesCharge,
    "multipoles": KeepsTraces,
    "continuity": EndsAbruptly,
}


def test_every_check_has_its_broken_potential():
    assert set(CASES) == set(CHECKS)


def test_the_unbroken_potential_fails_nothing():
    assert failing_checks(Broken()) == []


@pytest.mark.parametrize("check", CASES)
def test_the_check_fails_on_its_broken_potential(check):
    assert check in failing_checks(CASES[check]())


def test_a_field_that_is_taken_for_a_constant_is_caught():
    assert {"numerical_gradients", "mm_potentials"} <= set(failing_checks(ForgetsAFarCharge()))


def test_plain_outer_products_are_not_traceless(monkeypatch):
    """Multipoles made of products that keep their traces are caught through the model itself."""

    def with_traces(sums):
        return tf.matmul(sums, tf.constant(multipoles.folding(multipoles.order_of_monomials(sums)).T, sums.dtype))

    monkeypatch.setattr(multipoles, "traceless", with_traces)
    assert "multipoles" in failing_checks(Broken())
