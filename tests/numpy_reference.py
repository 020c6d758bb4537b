"""NumPy float64 references of the ops, written from the equations and not from the code: loops and sums, nothing clever."""

import math
from itertools import permutations

import numpy as np

COULOMB_CONSTANT_KJ_MOL_ANGSTROM = 1389.35457644382
"""e²/(4 π ε0) from the CODATA 2018 values of e, ε0 and the Avogadro constant, worked out apart from amp_tf.units."""


def double_factorial(number: int) -> int:
    return math.prod(range(number, 0, -2))


def outer_power(vector: np.ndarray, order: int) -> np.ndarray:
    tensor = np.ones(())
    for _ in range(order):
        tensor = np.multiply.outer(tensor, vector)
    return tensor


def symmetrized(tensor: np.ndarray) -> np.ndarray:
    orders = list(permutations(range(tensor.ndim)))
    return sum(np.transpose(tensor, order) for order in orders) / len(orders)


def traceless_product(vector: np.ndarray, order: int) -> np.ndarray:
    """Closed formula of the traceless symmetric tensor of a unit vector, leading coefficient 1:

    sum over m of (-1)^m (2k - 2m - 1)!! / (2k - 1)!! times the sum over all ways to put m Kronecker deltas on k indices; that sum is the
    number of ways, k! / (2^m m! (k - 2m)!), times the symmetrized product.
    """
    result = np.zeros((3,) * order)
    for pairs in range(order // 2 + 1):
        ways = math.factorial(order) / (2**pairs * math.factorial(pairs) * math.factorial(order - 2 * pairs))
        factor = (-1) ** pairs * double_factorial(2 * order - 2 * pairs - 1) / double_factorial(2 * order - 1)
        product = outer_power(vector, order - 2 * pairs)
        for _ in range(pairs):
            product = np.multiply.outer(product, np.eye(3))
        result = result + factor * ways * symmetrized(product)
    return result


def random_traceless(random: np.random.Generator, order: int, n: int | None = None) -> np.ndarray:
    """Symmetric traceless tensors as sums of traceless products of random directions: [n, 3, …, 3], or one without n."""
    if n is not None:
        return np.stack([random_traceless(random, order) for _ in range(n)])
    directions = random.normal(size=(2 * order + 1, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return sum(random.normal() * traceless_product(direction, order) for direction in directions)


def contract(tensor: np.ndarray, vector: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        tensor = tensor @ vector
    return tensor


def interaction(moment_i: np.ndarray, moment_j: np.ndarray, vector: np.ndarray, d_i: int, d_c: int, d_j: int) -> float:
    """⟨M_i·d_i·R, M_j·d_j·R⟩ of Eq. 6, with R the traceless products themselves."""
    left = np.tensordot(moment_i, traceless_product(vector, d_i), axes=d_i)
    right = np.tensordot(moment_j, traceless_product(vector, d_j), axes=d_j)
    return float(np.sum(left * right)) if d_c else float(left * right)


def cutoff_function(x: float, p: int) -> float:
    return 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2) if x < 1 else 0.0


def bessel_basis(distance: float, cutoff: float, n_functions: int, p: int) -> np.ndarray:
    x = distance / cutoff
    numbers = np.arange(1, n_functions + 1)
    return cutoff_function(x, p) * np.sin(numbers * np.pi * x) / x


def field_tensor(position: np.ndarray, mm_positions: np.ndarray, moments: list[tuple[np.ndarray, ...]], order: int) -> np.ndarray:
    """The ``order``-th derivative [3, …, 3] by the position of an atom of the potential Σ_s m^s·∇_j^s (1/r) of particles with the moments
    m^0, m^1, … each; the n-th derivative of 1/r by the atom's position is (2n - 1)!! R^n / r^(n + 1), by the particle's (-1)^n times that.
    """
    result = np.zeros((3,) * order)
    for mm_position, of_particle in zip(mm_positions, moments, strict=True):
        vector = mm_position - position
        distance = np.linalg.norm(vector)
        for rank, moment in enumerate(of_particle):
            n = order + rank
            derivative = double_factorial(2 * n - 1) * traceless_product(vector / distance, n) / distance ** (n + 1)
            result = result + (-1) ** rank * np.tensordot(derivative, moment, axes=rank)
    return result
