"""PyTorch files are read without PyTorch; what asks for more than numbers is refused, and nothing in it is run."""

import pickle
import sys
import zipfile

import numpy as np
import pytest

from amp_tf.errors import DataFileError
from amp_tf.state_dict import read_state_dict
from tests import state_dicts

ARRAYS = {
    "a.weight": np.arange(6.0, dtype="float32").reshape(2, 3),
    "a.bias": np.array([0.5, -2.0]),
    "scalar": np.array(7.0, dtype="float32"),
    "none": np.zeros((0, 4), dtype="float32"),
}
ONE = {"a": np.arange(4.0, dtype="float32")}


def test_tensors_come_back_as_they_were(tmp_path):
    found = read_state_dict(state_dicts.write(tmp_path / "weights", ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert "torch" not in sys.modules


def test_views_into_a_storage(tmp_path):
    content = state_dicts.state_dict({"a": state_dicts.tensor(0, ONE["a"], offset=1, shape=(1, 3), strides=(3, 1))})
    np.testing.assert_array_equal(read_state_dict(state_dicts.write(tmp_path / "weights", ONE, content))["a"], [[1.0, 2.0, 3.0]])
    content = state_dicts.state_dict({"a": state_dicts.tensor(0, ONE["a"], shape=(2, 2), strides=(1, 2))})
    np.testing.assert_array_equal(read_state_dict(state_dicts.write(tmp_path / "weights", ONE, content))["a"], [[0, 2], [1, 3]])


def calling(module: str, name: str, argument) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + state_dicts.plain(argument) + b"tR."


def of_tensor(**changed) -> bytes:
    return state_dicts.state_dict({"a": state_dicts.tensor(0, ONE["a"], **changed)})


REFUSED = {
    "a call of the system": (calling("posix", "system", "touch marker"), "it asks for posix.system, which no state dict"),
    "eval": (calling("builtins", "eval", "open('marker', 'w')"), "it asks for builtins.eval"),
    "code by an old opcode": (b"(S'touch marker'\nios\nsystem\n.", "it asks for os.system"),
    "a model that is not a state dict": (calling("torch.nn.modules.linear", "Linear", 3), "it asks for torch.nn.modules.linear.Linear"),
    "another way to rebuild": (calling("torch._utils", "_rebuild_parameter", 3), "it asks for torch._utils._rebuild_parameter"),
    "numbers that are no floats": (
        state_dicts.state_dict({"a": state_dicts.tensor(0, np.arange(4))}),
        "it asks for torch.LongStorage",
    ),
    "something else than a storage": (b"\x80\x02" + state_dicts.plain(("module", "x", "0", "cpu", 4)) + b"Q.", "it refers to something"),
    "a checkpoint": (b"\x80\x02}" + state_dicts.plain("step") + state_dicts.plain(3) + b"s.", "not a state dict, which maps names to"),
    "a list": (pickle.dumps([1, 2], 2), "not a state dict, which maps names to"),
    "a shape beyond the storage": (of_tensor(shape=(5,)), "'a' has another size than its numbers"),
    "an offset beyond the storage": (of_tensor(offset=2), "'a' has another size"),
    "strides beyond the storage": (of_tensor(shape=(2, 2), strides=(4, 1)), "'a' has another size"),
    "a small storage seen a million times": (of_tensor(shape=(10**12,), strides=(0,)), "'a' has another size"),
    "another size of the storage": (of_tensor(size=5), "'a' has another size"),
    "negative strides": (of_tensor(strides=(-1,)), "the shape of 'a' makes no sense"),
    "text as a shape": (of_tensor(shape=("x",)), "the shape of 'a' makes no sense"),
    "a memo of gigabytes": (b"\x80\x02Nr\xff\xff\xff\xff.", "asks for more memory"),
    "half a pickle": (of_tensor()[:40], "damaged or not a PyTorch state dict"),
    "no pickle": (b"weights", "damaged or not a PyTorch state dict"),
    "nothing": (b"", "damaged or not a PyTorch state dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pickles_that_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, sentence = REFUSED[name]
    path = state_dicts.write(tmp_path / "weights", ONE, content)
    with pytest.raises(DataFileError, match=sentence) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


def test_a_pickle_cannot_change_how_the_next_file_is_read(tmp_path):
    """BUILD sets attributes of whatever stands on the stack, of stand-ins too."""
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}" + state_dicts.plain("__code__") + state_dicts.plain(1) + b"sb."
    for content in (build, build.replace(b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict")):
        with pytest.raises(DataFileError):
            read_state_dict(state_dicts.write(tmp_path / "changed", ONE, content))
        np.testing.assert_array_equal(read_state_dict(state_dicts.write(tmp_path / "weights", ONE))["a"], ONE["a"])


def test_tensors_that_share_their_numbers_by_the_hundreds(tmp_path):
    array = np.zeros(10_000, np.float32)
    content = state_dicts.state_dict({f"tensor{number}": state_dicts.tensor(0, array) for number in range(400)})
    with pytest.raises(DataFileError, match="many times the memory of the file"):
        read_state_dict(state_dicts.write(tmp_path / "file", {"one": array}, content))
    content = state_dicts.state_dict({name: state_dicts.tensor(0, array) for name in ("tied", "to")})
    assert len(read_state_dict(state_dicts.write(tmp_path / "file", {"one": array}, content))) == 2


def test_files_that_are_none(tmp_path):
    path = tmp_path / "weights"
    with pytest.raises(DataFileError, match="no such file"):
        read_state_dict(path)
    path.write_text("no zip")
    with pytest.raises(DataFileError, match=r"damaged or not a file of PyTorch 1\.6 or later"):
        read_state_dict(path)
    state_dicts.write(path, ARRAYS, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataFileError, match="its parts are compressed"):
        read_state_dict(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(DataFileError, match=r"holds no data\.pkl"):
        read_state_dict(path)


def test_damaged_files_give_one_sentence_or_the_same_tensors(tmp_path, random):
    """Bits of the zip's own records may not matter; whatever is damaged, there is no other error and no other number."""
    content = state_dicts.write(tmp_path / "weights", ARRAYS).read_bytes()
    path, sentences = tmp_path / "damaged", []
    cut = [content[:length] for length in random.integers(0, len(content), 40)]
    for number in random.integers(0, len(content), 300):
        flipped = bytearray(content)
        flipped[number] ^= 1 << random.integers(8)
        cut.append(bytes(flipped))
    for damaged in cut:
        path.write_bytes(damaged)
        try:
            found = read_state_dict(path)
        except DataFileError as error:
            sentences.append(str(error))
        else:
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(found[name], array)
    assert len(sentences) > 200
    assert not any("\n" in sentence for sentence in sentences)
