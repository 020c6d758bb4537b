"""Radial functions: the enveloped Bessel basis, cut-off functions and weights of pairs."""

import math

import keras
import numpy as np
from keras import ops

from amp_tf.ops.field import SMALLEST_DISTANCE

ENVELOPE_EXPONENT = 5
"""p of the envelope (paper, A.2)."""


def cutoff_function(distances, cutoff: float, exponent: int = ENVELOPE_EXPONENT):
    r"""The polynomial envelope u(x), x = distance/cutoff (Klicpera et al. 2020, Eq. 8).

    .. math:: u(x) = 1 - \tfrac{(p+1)(p+2)}{2} x^p + p(p+2) x^{p+1} - \tfrac{p(p+1)}{2} x^{p+2}, \quad x < 1

    and zero beyond. Value, first and second derivative are continuous at the cut-off; at zero it is 1 with p - 1 vanishing derivatives.
    """
    scaled = ops.minimum(distances / cutoff, 1.0)  # u and its derivatives vanish at 1 exactly
    first, second, third = -(exponent + 1) * (exponent + 2) / 2, exponent * (exponent + 2), -exponent * (exponent + 1) / 2
    return 1.0 + _power(scaled, exponent) * (first + scaled * (second + scaled * third))


def bessel_basis(distances, cutoff: float, n_functions: int = 20, exponent: int = ENVELOPE_EXPONENT):
    r"""Enveloped spherical Bessel functions of order zero, fixed frequencies (Klicpera et al. 2020, Eqs. 7 and 8).

    .. math:: u(x) \, \frac{\sin(n \pi x)}{x}, \qquad x = d/c, \quad n = 1 \ldots n_\mathrm{functions}

    Their Eq. 7 has the constant sqrt(2/c)/c in front, which only scales the input of a dense layer; without it the functions are of order
    one at any cut-off.

    Args:
        distances: d [n_pairs], angstrom.
        cutoff: c, angstrom.

    Returns:
        [n_pairs, n_functions]; smooth everywhere, zero distance included, two continuous derivatives at the cut-off.
    """
    numbers = ops.convert_to_tensor(np.arange(1, n_functions + 1), dtype=distances.dtype)
    return enveloped_sines(distances, cutoff, numbers, exponent)


def enveloped_sines(distances, cutoff: float, numbers, exponent: int = ENVELOPE_EXPONENT):
    """:func:`bessel_basis` for any positive ``numbers`` n [n_functions], which need not be whole."""
    envelope = math.pi * cutoff_function(distances, cutoff, exponent)
    return envelope[:, None] * numbers * _sinc((distances / cutoff)[:, None] * numbers)


def exponential_gaussians(distances, cutoff: float, centers, widths):
    r"""PhysNet's radial basis (Unke and Meuwly, J. Chem. Theory Comput. 15, 3678, 2019, Eq. 7), Gaussians of :math:`e^{-d}`:

    .. math:: \phi(d) \exp\left(-\beta_k (e^{-d} - \mu_k)^2\right), \qquad \phi(d) = 1 - 6x^5 + 15x^4 - 10x^3, \quad x = d/c

    Args:
        distances: d [n_pairs], angstrom.
        cutoff: c, angstrom.
        centers: μ [n_functions], between exp(−c) and 1; in the exponent d stands in angstrom.
        widths: β [n_functions], positive.

    Returns:
        [n_pairs, n_functions]; two continuous derivatives at the cut-off.
    """
    gaussians = ops.exp(-widths * ops.square(ops.exp(-distances)[:, None] - centers))
    return cutoff_function(distances, cutoff, exponent=3)[:, None] * gaussians


def message_weight(distances, cutoff: float, exponent: int = ENVELOPE_EXPONENT):
    r"""w(x) = u(x)/x with the envelope u of :func:`cutoff_function` and x = distance/cutoff: a weight of pairs that favours close ones.

    For p = 6 it is 1/x − 28 x⁵ + 48 x⁶ − 21 x⁷ (AMP-BMS, doi 10.1021/jacs.6c00217). Below :data:`SMALLEST_DISTANCE` x is held.
    """
    return cutoff * cutoff_function(distances, cutoff, exponent) / ops.maximum(distances, SMALLEST_DISTANCE)


def smooth_step(values):
    """S(t) = 6t⁵ − 15t⁴ + 10t³: 0 below t = 0, 1 above t = 1, with two continuous derivatives."""
    inside = ops.clip(values, 0.0, 1.0)
    return _power(inside, 3) * (10.0 + inside * (6.0 * inside - 15.0))


def _power(values, exponent: int):
    """``values`` to a whole number by products, which cost less than the general power."""
    if exponent == 1:
        return values
    half = _power(ops.square(values), exponent // 2)
    return half * values if exponent % 2 else half


def _sinc(values):
    """sin(πv)/(πv) for v >= 0 by the Taylor series of the sine around the nearest whole number w, sin(πv) = (−1)^w sin(π(v − w)).

    There are no sines in it: XLA on CPU computes these one by one, which took a tenth of an inference with 1 000 MM particles.
    """
    whole = ops.round(values)
    rest = values - whole
    half = 0.5 * whole
    sign = 1.0 - 4.0 * ops.abs(half - ops.round(half))
    is_small = whole == 0.0
    ratio = ops.where(is_small, ops.ones_like(values), sign * rest / ops.where(is_small, ops.ones_like(values), values))
    squared, series = ops.square(rest), 0.0
    for coefficient in reversed(_SINC_SERIES[keras.backend.standardize_dtype(values.dtype)]):
        series = coefficient + squared * series
    return ratio * series


_SINC_SERIES = {
    dtype: [(-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(n_terms)]
    for dtype, n_terms in {"float32": 7, "float64": 11}.items()
}
"""Taylor coefficients of sin(πv)/(πv) in v², as many as its value and two derivatives need for |v| <= 1/2."""
