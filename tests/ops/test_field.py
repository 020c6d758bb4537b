"""Field tensors against a NumPy reference, SymPy's derivatives of 1/r and finite differences; their first and second derivatives."""

from itertools import product

import numpy as np
import pytest
import sympy
import tensorflow as tf

from amp_tf.ops import field, multipoles
from tests import numpy_reference as reference

SOURCE_ORDERS = (0, 1, 2)


def particles(random, n_systems=2, n_atoms=3, n_mm=5, source_order=0):
    positions = random.normal(size=(n_systems, n_atoms, 3))
    directions = random.normal(size=(n_systems, n_mm, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    mm_positions = directions * random.uniform(5.0, 9.0, size=(n_systems, n_mm, 1))
    return positions, mm_positions, random.normal(size=(n_systems, n_mm, multipoles.n_monomials(source_order)))


def waters(random, n):
    """Charges [3 n, 1] and places [3 n, 3] of water molecules 5 to 15 angstrom from the origin, in single precision."""
    directions = random.normal(size=(n, 1, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    places = directions * random.uniform(5.0, 15.0, size=(n, 1, 1)) + 0.6 * random.normal(size=(n, 3, 3)) * np.array([0, 1, 1])[:, None]
    charges = np.tile([-0.82, 0.41, 0.41], n)[:, None]
    return charges.astype(np.float32), places.reshape(-1, 3).astype(np.float32)


def field_of(positions, mm_positions, moments):
    """T of order 0 of one system's particles."""
    return field.field_tensors(*map(tf.constant, (positions, mm_positions[None], moments[None])), 0).numpy()


def full_tensor(values, order):
    """[3, …, 3] of the different components [n_monomials] of one order."""
    exponents = multipoles.monomial_exponents(order)
    tensor = np.zeros((3,) * order)
    for index in product(range(3), repeat=order):
        tensor[index] = values[exponents.index(tuple(index.count(axis) for axis in range(3)))]
    return tensor


def moment_tensors(values, source_order):
    """The moments of one particle as tensors whose contraction is the sum over the different components."""
    tensors, first = [], 0
    for order in range(source_order + 1):
        exponents = multipoles.monomial_exponents(order)
        ways = [sympy.multinomial_coefficients(3, order)[index] for index in exponents]
        tensors.append(full_tensor(values[first : first + len(exponents)] / ways, order))
        first += len(exponents)
    return tuple(tensors)


@pytest.mark.parametrize("source_order", SOURCE_ORDERS)
@pytest.mark.parametrize("max_order", [0, 1, 4])
def test_tensors_equal_the_reference(random, max_order, source_order):
    positions, mm_positions, moments = particles(random, source_order=source_order)
    found = field.field_tensors(*map(tf.constant, (positions, mm_positions, moments)), max_order).numpy()
    for system, atom in np.ndindex(positions.shape[:2]):
        of_particles = [moment_tensors(values, source_order) for values in moments[system]]
        first = 0
        for order in range(max_order + 1):
            expected = reference.field_tensor(positions[system, atom], mm_positions[system], of_particles, order)
            size = len(multipoles.monomial_exponents(order))
            np.testing.assert_allclose(full_tensor(found[system, atom, first : first + size], order), expected, atol=1e-13)
            first += size


def test_tensors_of_a_charge_equal_the_derivatives_of_sympy():
    symbols = sympy.symbols("x y z")
    vector, place = np.array([1.3, -2.1, 0.7]), np.array([0.4, 0.2, -0.9])
    inverse = 1 / sympy.sqrt(sum((at - symbol) ** 2 for at, symbol in zip(place + vector, symbols, strict=True)))
    found = field.field_tensors(*map(tf.constant, (place[None, None], (place + vector)[None, None], np.ones((1, 1, 1)))), 4)
    exponents = [index for order in range(5) for index in multipoles.monomial_exponents(order)]
    for value, index in zip(found.numpy()[0, 0], exponents, strict=True):
        derivative = inverse
        for symbol, times in zip(symbols, index, strict=True):
            derivative = sympy.diff(derivative, symbol, times) if times else derivative
        assert value == pytest.approx(float(derivative.subs(dict(zip(symbols, place, strict=True)))), rel=1e-12, abs=1e-14), index


def central_difference(function, arrays, which, index, step=1e-5):
    values = []
    for sign in (1, -1):
        moved = [array.copy() for array in arrays]
        moved[which][index] += sign * step
        values.append(function(*map(tf.constant, moved)).numpy())
    return (values[0] - values[1]) / (2 * step)


def some_energy(*arrays):
    return tf.reduce_sum(tf.sin(3 * field.field_tensors(*arrays, 2)))


def some_function_of_its_gradients(*arrays):
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        energy = some_energy(*arrays)
    return sum(tf.reduce_sum(tf.cos(gradient) * gradient) for gradient in tape.gradient(energy, arrays))


@pytest.mark.parametrize("function", [some_energy, some_function_of_its_gradients])
@pytest.mark.parametrize("source_order", SOURCE_ORDERS)
def test_first_and_second_derivatives_equal_finite_differences(random, source_order, function):
    arrays = particles(random, source_order=source_order)
    tensors = list(map(tf.constant, arrays))
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    for which, gradient in enumerate(tape.gradient(value, tensors)):
        assert np.abs(gradient).max() > 1e-3
        for index in ((0, 0, 0), (1, 2, gradient.shape[-1] - 1)):
            numerical = central_difference(function, arrays, which, index)
            assert float(gradient[index]) == pytest.approx(numerical, rel=1e-5, abs=1e-8), (which, index)


def test_second_derivatives_of_the_transpose_equal_finite_differences(random):
    positions, mm_positions, _ = particles(random)
    arrays = positions, mm_positions, random.normal(size=(2, 3, multipoles.n_monomials(2)))

    def function(*arrays):
        return tf.reduce_sum(tf.sin(3 * field.tensors_at_particles(*arrays, 1)))

    tensors = list(map(tf.constant, arrays))
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    for which, gradient in enumerate(tape.gradient(value, tensors)):
        assert float(gradient[0, 1, 2]) == pytest.approx(central_difference(function, arrays, which, (0, 1, 2)), rel=1e-5, abs=1e-9)


def test_single_precision_holds_far_from_the_origin(random):
    positions, mm_positions, charges = particles(random, n_atoms=12, n_mm=500)
    shifted = [(array + 60.0).astype(np.float32) for array in (positions, mm_positions)] + [charges.astype(np.float32)]
    single = field.field_tensors(*map(tf.constant, shifted), 3).numpy()
    double = field.field_tensors(*(tf.constant(array.astype(np.float64)) for array in shifted), 3).numpy()
    for order in range(4):
        part = slice(multipoles.n_monomials(order - 1) if order else 0, multipoles.n_monomials(order))
        assert np.abs(single - double)[..., part].max() < 1e-5 * np.abs(double[..., part]).max()


@pytest.mark.parametrize("products_at_once", [field.CHUNK, 10_000])
def test_the_potential_in_single_precision_does_not_depend_on_the_order_of_the_particles(random, monkeypatch, products_at_once):
    """Sorted by charge, large sums of either sign cancel at the end."""
    monkeypatch.setattr(field, "CHUNK", products_at_once)
    charges, places = waters(random, 1000)
    positions = random.normal(size=(1, 3, 3)).astype(np.float32)
    found = [field_of(positions, places[order], charges[order]) for order in (slice(None), np.argsort(charges[:, 0]))]
    np.testing.assert_allclose(found[1], found[0], rtol=3e-7)


@pytest.mark.parametrize("xla", [False, True])
def test_chunks_of_particles_change_nothing(random, monkeypatch, xla):
    tensors = list(map(tf.constant, particles(random, n_mm=23, source_order=1)))

    def all_of_it(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = some_function_of_its_gradients(*tensors)
        return value, *tape.gradient(value, tensors)

    expected = all_of_it(*tensors)
    monkeypatch.setattr(field, "CHUNK", 2000)  # of up to 56 products for each of 6 pairs of a particle
    for found, value in zip(tf.function(all_of_it, jit_compile=xla)(*tensors), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-10, atol=1e-12)


def test_a_particle_without_charge_changes_nothing_even_on_an_atom(random):
    positions, mm_positions, charges = particles(random)
    more = np.concatenate([mm_positions, positions[:, :1]], axis=1)
    expected, found = (
        field.field_tensors(*map(tf.constant, (positions, places, values)), 3).numpy()
        for places, values in ((mm_positions, charges), (more, np.concatenate([charges, np.zeros((2, 1, 1))], axis=1)))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_potential_field_and_its_gradient_equal_those_of_fmm3d(random):
    fmm3dpy = pytest.importorskip("fmm3dpy", reason="FMM3D is not installed: pip install 'amp_tf[fmm]'")
    positions, mm_positions, charges = particles(random, n_systems=1, n_atoms=9, n_mm=3000)
    places = {"sources": np.asfortranarray(mm_positions[0].T), "targets": np.asfortranarray(positions[0].T)}
    out = fmm3dpy.lfmm3d(eps=1e-9, charges=charges[0, :, 0], pgt=3, **places)  # its kernel is 1/(4 pi r)
    found = field.field_tensors(*map(tf.constant, (positions, mm_positions, charges)), 2).numpy()[0]
    for columns, expected in zip((slice(0, 1), slice(1, 4), slice(4, 10)), (out.pottarg[None], out.gradtarg, None), strict=True):
        if expected is None:  # its order is xx, yy, zz, xy, xz, yz, ours xx, xy, xz, yy, yz, zz
            expected = out.hesstarg[[0, 3, 4, 1, 5, 2]]
        np.testing.assert_allclose(found[:, columns].T, 4.0 * np.pi * expected, atol=1e-7 * np.abs(found[:, columns]).max())


def test_no_particles_make_no_field(random):
    positions, mm_positions, charges = particles(random, n_mm=0)
    assert not field.field_tensors(*map(tf.constant, (positions, mm_positions, charges)), 2).numpy().any()


def test_blocks_are_cut_and_joined(random):
    values, table = tf.constant(random.normal(size=(5, 2))), tf.constant([[0, 1, 2], [3, 4, -1]])
    blocks = field.in_blocks(values, table)
    np.testing.assert_array_equal(blocks[1], [*values.numpy()[3:], [0.0, 0.0]])
    np.testing.assert_array_equal(field.from_blocks(blocks, table, 5), values)


def test_packed_field_of_a_charge_is_its_traceless_product(random):
    vector = random.normal(size=3)
    distance = np.linalg.norm(vector)
    tensors = field.field_tensors(tf.zeros((1, 1, 3), tf.float64), tf.constant(vector[None, None]), tf.ones((1, 1, 1), tf.float64), 3)
    moments = multipoles.unpack(field.packed_field(tensors[0], 3.0))
    for order, moment in enumerate(moments):
        expected = (3.0 / distance) ** (order + 1) * reference.traceless_product(vector / distance, order)
        np.testing.assert_allclose(moment[0], expected, atol=1e-12)
