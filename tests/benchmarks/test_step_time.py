"""The benchmark counts operations rightly and prints a ratio for a small case."""

import json

import tensorflow as tf

from benchmarks import step_time
from common import timing


def test_matrix_products_are_counted_with_their_gradients():
    left, right = tf.zeros((7, 3)), tf.Variable(tf.zeros((3, 5)))

    def product(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = tf.matmul(x, right)
        return result, *tape.gradient(result, (x, right))

    concrete = tf.function(product).get_concrete_function(left)
    assert timing.matrix_product_operations(concrete) == 3 * 2 * 7 * 3 * 5  # the product and its two gradients


def test_batched_matrix_products_are_counted():
    def product(x):
        return tf.matmul(x, tf.zeros((4, 5, 6)), transpose_a=True)

    concrete = tf.function(product).get_concrete_function(tf.zeros((4, 5, 7)))
    assert timing.matrix_product_operations(concrete) == 4 * 2 * 7 * 5 * 6


def test_the_command_prints_ratios(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(step_time, "RESULTS", tmp_path)
    monkeypatch.setattr(step_time, "MATRIX_SIZE", 200)
    monkeypatch.setattr(step_time, "median_time", lambda function, seconds=0: (function(), 1e-3)[1])
    step_time.main(dtype="float64", models="GNN", atoms="4")
    assert "no result is written" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(step_time, "MODELS", "GNN")
    monkeypatch.setattr(step_time, "ATOMS", "4")
    step_time.main(dtype="float64", models="GNN", atoms="4")
    output = capsys.readouterr().out
    assert "ratio" in output
    assert "GNN" in output
    assert "sizes: 1\n" in output
    ratios = [row["value"] for row in json.loads((tmp_path / "step_time.float64.json").read_text())["rows"] if row["metric"] == "ratio"]
    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)
