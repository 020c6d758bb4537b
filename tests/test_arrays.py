"""What users pass as numbers."""

import numpy as np
import pytest

from amp_tf.arrays import as_atomic_numbers, as_floats, as_number
from amp_tf.data.reference_data import FrameGroup
from amp_tf.errors import InputError

WATER = (np.array([8, 1, 1]), np.array([[[0.0, 0, 0], [0.76, 0, -0.59], [-0.76, 0, -0.59]]]), np.zeros(1))


@pytest.mark.parametrize("value", ["x", None, 1j, [0.0, 1.0], np.nan, np.ma.masked, {}, True])
def test_a_total_charge_that_is_no_number(value):
    with pytest.raises(InputError, match="total_charge"):
        FrameGroup("water", *WATER, total_charge=value)


def test_numbers_of_all_kinds():
    for value in (1, 1.0, np.float32(1), np.int8(1), np.array(1.0), np.ma.array(1.0)):
        assert as_number(value, "total_charge") == 1.0
        assert FrameGroup("water", *WATER, total_charge=value).total_charge == 1.0


class Frame:
    """What a DataFrame looks like: no sequence of rows, but an array for NumPy."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, column):
        raise KeyError(column)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_data_frames_are_arrays():
    np.testing.assert_array_equal(as_floats(Frame([[1, 2, 3]]), "positions"), [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(as_atomic_numbers(Frame([8, 1])), [8, 1])
    with pytest.raises(InputError, match="positions must be real numbers, got object"):
        as_floats(Frame(np.array([["O", 1.0]], dtype=object)), "positions")


class Unwilling:
    def __array__(self, dtype=None, copy=None):
        raise NotImplementedError("not here")


def test_what_gives_no_array():
    with pytest.raises(InputError, match=r"positions must be an array of numbers, got Unwilling .not here."):
        as_floats(Unwilling(), "positions")
