"""Files of point charges: four plain numbers a line, charges in e by their size and sum."""

import numpy as np
import pytest

from amp_tf.data.point_charges import charges_complaint, read_point_charges
from amp_tf.errors import DataFileError

WATER = np.array([[-0.834, 4.1, 0.2, 0.3], [0.417, 5.0, 0.4, 0.1], [0.417, 3.8, 1.1, 0.5]])


def as_text(*frames):
    return "".join(f"{len(frame)}\n" + "".join(" ".join(map(str, row)) + "\n" for row in frame) for frame in frames)


def test_frames_with_blank_lines_and_without_charges(tmp_path):
    (tmp_path / "pc.xyz").write_text("\n" + as_text(WATER).replace("3\n", "3\n\n", 1) + " \n0\n\n" + as_text(WATER[:1]) + "\n")
    frames = list(read_point_charges(tmp_path / "pc.xyz"))
    assert [len(frame) for frame in frames] == [3, 0, 1]
    np.testing.assert_array_equal(frames[0], WATER)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2\n0.1 1 2 3\n", "line 1: not a frame of point charges .2 lines of four numbers must follow, but there are 1"),
        ("1\n0.1 1 2 3 4 5\n", "line 2: .* four numbers, q x y z, but there are 6"),
        ("2\n0.1 1 2 3 4 5\n-0.1 1\n", "line 2: .* four numbers, q x y z, but there are 6"),
        ("1\nO 0.1 1 2 3\n", "line 2: .* but there are 5"),
        ("1\nq 1 2 3\n", "line 2: .*'q' is no finite number"),
        ("1\n1_0 1 2 3\n", "line 2: .*'1_0' is no finite number"),
        ("1\n0.1 1 2 inf\n", "line 2: .*'inf' is no finite number"),
        ("1\n0.1 1 2 1e999\n", "line 2: .*'1e999' is no finite number"),
        ("2\n0.1 1 2 3\n\n-0.1 3 4 5\n", "line 3: .* but there are 0"),
        ("1\n0.1 1 2 3\n0.2 1 2 3\n", "line 3: .*number of its lines, alone"),
        ("1.0\n0.1 1 2 3\n", "line 1: .*number of its lines, alone"),
        ("1_0\n0.1 1 2 3\n", "line 1: .*number of its lines, alone"),
        ("1000000000000\n0.1 1 2 3\n", "line 1: .*1000000000000 lines of four numbers must follow"),
        (as_text(WATER, WATER[:, [1, 2, 3, 0]]), "frame 1 .line 5.: the lines look like x y z q; put the charge first"),
        (as_text(WATER * [1, 0.2, 0.2, 0.2] @ np.eye(4)[[3, 0, 1, 2]]), "frame 0 .line 1.: the lines look like x y z q"),
        (as_text(WATER * [18.2223, 1, 1, 1]), "frame 0 .*those of AMBER's topology files are divided by 18.2223"),
        ("1\n5.5 1 2 3\n", "frame 0 .line 1.: charges up to 5.5 that sum to 5.5 are no charges in e"),
    ],
)
def test_what_is_no_charge_is_refused(tmp_path, text, complaint):
    (tmp_path / "pc.xyz").write_text(text)
    with pytest.raises(DataFileError, match=rf"pc\.xyz, {complaint}"):
        list(read_point_charges(tmp_path / "pc.xyz"))


def test_sums_tell_small_charges_in_the_unit_of_amber():
    with_ion = np.array([1.0, *[0.12, -0.12] * 20])
    assert charges_complaint(with_ion) is None
    assert "AMBER" in charges_complaint(np.array([*[0.0488] * 20, 0.024, *[0.12, -0.12] * 20]) * 18.2223)


@pytest.mark.parametrize(
    "rows",
    [
        WATER,
        WATER[:1],
        [[2.0, 1, 2, 3], [-1.0, 3, 4, 5], [-1.0, 6, 7, 8]],
        [[4.0, 1, 2, 3]],
        [[0.3, 1, 2, 0], [0.4, 3, 4, 0], [0.1, 5, 6, 0]],
        [[0.31, 1, 2, 1.0], [0.4, 3, 4, 1.0]],
    ],
)
def test_honest_charges_are_taken(rows):
    rows = np.array(rows, float)
    assert charges_complaint(rows[:, 0], rows[:, 3]) is None
