"""What a configuration file may hold: YAML 1.2, strictly, in one sentence where not."""

import os

import numpy as np
import pytest

from amp_tf.errors import InputError
from amp_tf.training.config import make_config, read_config
from amp_tf.training.strict_yaml import read_yaml

GOOD = "data: water.h5\nmodel: {type: AMP, cutoff: 5.0}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("Yes", "Yes"), ("off", "off"), ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("1:30", "1:30"), ("1:30:00.5", "1:30:00.5"), ("2001-12-14", "2001-12-14"), ("1_000", "1_000"), ("010", 10), ("0o10", 8),
        ("0x1F", 31), ("-12", -12), ("+3", 3), ("1e-3", 1e-3), ("-2.5E+1", -25.0), (".5", 0.5), ("1.", 1.0), (".inf", np.inf),
        ("-.Inf", -np.inf), ("1e", "1e"), ('"1"', "1"), ("'no'", "no"), ("[1, [2.5, x]]", [1, [2.5, "x"]]), ("<<: 1", {"<<": 1}),
        ("{a: {b: }}", {"a": {"b": None}}), ("!!int '7'", 7), ("!!str 7", "7"), ("!!float 7", 7.0),
    ],
)  # fmt: skip
def test_values(text, value):
    found = read_yaml(text)
    assert (type(found), found) == (type(value), value)


def test_nan():
    assert np.isnan(read_yaml(".NaN"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: 1\nseed: 2", "the key 'seed' is given twice.*line 2"),
        ("model: {type: AMP, cutoff: 4.0, cutoff: 5.0}", "the key 'cutoff' is given twice"),
        ("split:\n  kind: random\n  seed: 1\n  seed: 2", "the key 'seed' is given twice.*line 4"),
        ("a: [{b: 1, 'b': 2}]", "the key 'b' is given twice"),
        ("1: 2", "the key 1 is no text"),
        ("null: 2", "the key None is no text"),
        ("? [a]\n: 2", "the key .* is no text"),
        ("steps: !!int x", "'x' is no value of type int"),
        ("steps: !!int [1]", "is no value of type int"),
        ("a: !!float one", "'one' is no value of type float"),
        ("a: !!timestamp 2001-12-14", "the tag 'timestamp' has no meaning"),
        ("a: !!binary aGk=", "the tag 'binary' has no meaning"),
        ("a: !!python/object/apply:os.getcwd []", "the tag 'python/object/apply:os.getcwd' has no meaning"),
        ("a: !mine 1", "the tag '!mine' has no meaning"),
        ("a: !!set {x}", "the tag 'set' has no meaning"),
        ("[" * 3000, "nested deeper than 20 levels"),
        ("a: " + "{a: " * 3000, "nested deeper than 20 levels"),
        ("- " * 3000, "nested deeper than 20 levels"),
        ("a: &x [1, *x]", "aliases are not read"),
        ("a: &x [1, 1]\nb: &y [*x, *x]\nc: [*y, *y]", "aliases are not read"),
        ("a: *nobody", "aliases are not read"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("a: 1\n--- \nb: 2", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("#" * 1_000_001, "longer than 1,000,000 characters"),
    ],
)
def test_what_is_refused(text, sentence, tmp_path):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=f"bad.yaml: not valid YAML .*{sentence.removeprefix('not valid YAML')}"):
        read_config(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epsilon: .inf", "epsilon: Input should be a finite number"),
        ("learning_rate: .nan", "learning_rate: Input should be"),
        ("mm_gradient_factor: .inf", "mm_gradient_factor: Input should be a finite number"),
        ("split: {train: .nan}", "split.train: Input should be"),
        ("batch_size: true", "batch_size: Input should be a valid integer"),
        ("batch_size: '5'", "batch_size: Input should be a valid integer"),
        ("batch_size: 5.0", "batch_size: Input should be a valid integer"),
        ("batch_size: 1000000000", "batch_size: Input should be less than or equal to 10000"),
        ("steps: 1000000000", "are more than 400,000,000 systems"),
        ("steps: 1:30", "steps: Input should be a valid integer"),
        ("clip_norm: true", "clip_norm: Input should be a valid number"),
        ("clip_norm: '1.0'", "clip_norm: Input should be a valid number"),
        ("xla: 1", "xla: Input should be a valid boolean"),
        ("xla: yes", "xla: Input should be a valid boolean"),
        ("seed: 4294967296", "seed: Input should be less than or equal to 4294967295"),
        ("split: {seed: 4294967296}", "split.seed: Input should be less than or equal to 4294967295"),
        ("split: {seed: true}", "split.seed: Input should be a valid integer"),
        ("split: {kind: groups, train_groups: [1]}", "split.train_groups"),
        ("no: 2", "no: Extra inputs are not permitted"),
        ("seed: 2001-99-99", "seed: Input should be a valid integer"),
        ("model: {type: [AMP]}", r"type must be one of AMP, GNN, PaiNN, SchNet, PhysNet, AMPBMS, got \['AMP'\]"),
        ("model: {type: {AMP: 1}}", "type must be one of"),
        ("model: {type: AMP, elements: null}", "elements must be a list of chemical symbols, got None"),
        ("model: {type: AMP, elements: 8}", "elements must be a list of chemical symbols, got 8"),
        ("model: {type: AMP, elements: [[H]]}", "elements must be distinct chemical symbols"),
        ("model: null", "model: Input should be a valid dictionary"),
        ("data: [1]", "data: Input is not a valid path"),
    ],
)
def test_values_of_another_type_are_refused(text, sentence, tmp_path):
    key = text.partition(":")[0]
    (tmp_path / "bad.yaml").write_text("".join(line for line in GOOD.splitlines(True) if not line.startswith(f"{key}:")) + text)
    with pytest.raises(InputError, match=sentence):
        read_config(tmp_path / "bad.yaml")


def test_overrides_are_as_strict(tmp_path):
    (tmp_path / "config.yaml").write_text(GOOD)
    assert read_config(tmp_path / "config.yaml", ("model.cutoff=6", "seed=3")).seed == 3
    for overrides, sentence in (
        (("seed=1", "seed=2"), "seed is given twice"),
        (("batch_size=true",), "batch_size: Input should be a valid integer"),
        (("split={seed: 1, seed: 2}",), "'seed' is given twice"),
        (("model.cutoff=4.0", "model={type: AMP}"), "model.cutoff is given too, of which one is a part of the other; give the parts alone"),
        (("model={type: AMP}", "model.cutoff=4.0"), "model is given too"),
        (("a.b.c=1", "a=2"), "a.b.c is given too"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_config(tmp_path / "config.yaml", overrides)


@pytest.mark.parametrize("text", ["", "model.", "split."])
def test_many_unknown_keys_are_one_short_sentence(tmp_path, text):
    (tmp_path / "config.yaml").write_text(GOOD)
    values = dict.fromkeys(map("unknown{}".format, range(3000)), 1)
    given = {"": values, "model.": {"model": {"type": "AMP"} | values}, "split.": {"split": values}}[text]
    with pytest.raises(InputError, match=r"unknown0.*and 29\d\d more") as refused:
        make_config({"data": "a.h5", "model": {"type": "AMP"}} | given)
    assert len(str(refused.value)) < 3000


@pytest.mark.parametrize("values", [None, 3, "text", [("data", "water.h5")]])
def test_what_is_no_mapping(values):
    with pytest.raises(InputError, match="a configuration is a mapping of keys to values"):
        make_config(values)


def test_numbers_of_numpy():
    config = make_config(
        {"data": "a.h5", "model": {"type": "AMP", "n_features": np.int64(8)}, "seed": np.int64(3), "epsilon": np.float32(0.5)}
    )
    assert (config.seed, config.epsilon, config.model["n_features"]) == (3, 0.5, 8)
    assert type(config.model["n_features"]) is int


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, stands in ((tmp_path / "pipe.yaml", "a device or pipe"), (tmp_path, "a folder, no file"), (tmp_path / "no", "no such file")):
        with pytest.raises(InputError, match=stands):
            read_config(path)
    (tmp_path / "latin.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(InputError, match="cannot be read as a configuration"):
        read_config(tmp_path / "latin.yaml")
