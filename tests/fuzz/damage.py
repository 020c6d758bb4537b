"""How files are damaged: their bytes, their words, and what an HDF5 file holds. A damage follows from its generator."""

from pathlib import Path

import h5py
import numpy as np

WORDS = (
    "", "nan", "inf", "-1", "0", "1e999", "1e20", "-1e-320", "1_0", "0x1F", "1.0.0", "1:30", "true", "null", "~", "1000000000000",
    "9" * 400, "Xx", "D", "O1", "-", "=", "{", "[[", '"', "'", "\\", "&a", "*a", "!!int", "# ", ":", "\t", "\r", "\0", "\ufeff", "\u0663",
    "é", "key=1", "energy=1", "charge=1",
)  # fmt: skip
"""What takes the place of a word of a text."""


def damage_bytes(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """``content`` with one damage of a disk, a transfer or an editor, and the damage in words."""
    first, length = int(random.integers(len(content))), int(random.geometric(0.01))
    last = min(len(content), first + length)
    second = int(random.integers(len(content)))
    other = content[second : second + last - first]
    damages = {
        f"bit {first % 8} of byte {first} flipped": content[:first] + bytes([content[first] ^ 1 << first % 8]) + content[first + 1 :],
        f"byte {first} is another": content[:first] + bytes([content[first] ^ int(random.integers(1, 256))]) + content[first + 1 :],
        f"cut at {first}": content[:first],
        f"bytes {first} to {last} cut out": content[:first] + content[last:],
        f"{length} bytes at {first} put in": content[:first] + random.bytes(length) + content[first:],
        f"{length} bytes at the end put in": content + random.bytes(length),
        f"bytes {first} to {last} are zero": content[:first] + bytes(last - first) + content[last:],
        f"bytes {first} to {last} are at random": content[:first] + random.bytes(last - first) + content[last:],
        f"bytes {first} to {last} come twice": content[:last] + content[first:],
        f"bytes {second} on are written to {first}": content[:first] + other + content[first + len(other) :],
        f"the {len(content)} bytes come twice": content + content,
        f"the halves at {first} are swapped": content[first:] + content[:first],
    }
    words = list(damages)[int(random.integers(len(damages)))]
    return words, damages[words]


def damage_text(content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    """As :func:`damage_bytes`, half of the damages those of someone who edits a text."""
    if random.random() < 0.5:
        return damage_bytes(content, random)
    lines = content.decode().split("\n")
    number, other = (int(random.integers(len(lines))) for _ in range(2))
    words = lines[number].split(" ")
    place, word = int(random.integers(len(words))), WORDS[int(random.integers(len(WORDS)))]
    damages = {
        f"line {number + 1} taken out": [*lines[:number], *lines[number + 1 :]],
        f"line {number + 1} comes twice": [*lines[: number + 1], *lines[number:]],
        f"line {number + 1} stands after line {other + 1}": [*lines[: other + 1], lines[number], *lines[other + 1 :]],
        f"a blank line before line {number + 1}": [*lines[:number], " ", *lines[number:]],
    }
    edits = {
        f"word {place} of line {number + 1} is {word!r}": [*words[:place], word, *words[place + 1 :]],
        f"{word!r} before word {place} of line {number + 1}": [*words[:place], word, *words[place:]],
        f"word {place} of line {number + 1} taken out": [*words[:place], *words[place + 1 :]],
        f"{word!r} is a part of word {place} of line {number + 1}": [*words[:place], words[place] + word, *words[place + 1 :]],
    }
    damages |= {words: [*lines[:number], " ".join(edit), *lines[number + 1 :]] for words, edit in edits.items()}
    words = list(damages)[int(random.integers(len(damages)))]
    return words, "\n".join(damages[words]).encode()


def edit_hdf5(path: Path, random: np.random.Generator) -> str:
    """Change what an HDF5 file holds, as a program can that knows nothing of the format, and say it in words."""
    with h5py.File(path, "r+") as file:
        items: list[h5py.Group | h5py.Dataset] = [file]
        file.visititems(lambda name, item: items.append(item))
        of_attributes = [(item, key) for item in items for key in item.attrs]
        datasets = [item for item in items if isinstance(item, h5py.Dataset)]
        if of_attributes and random.random() < 0.4:
            return _edit_attribute(*of_attributes[int(random.integers(len(of_attributes)))], random)
        return _edit_dataset(file, datasets[int(random.integers(len(datasets)))], random)


def _edit_attribute(item: h5py.Group | h5py.Dataset, key: str, random: np.random.Generator) -> str:
    value = item.attrs[key]
    values = {
        "taken out": None, "NaN": np.nan, "empty": h5py.Empty("f8"), "a number": 7, "another text": "other", "no text": b"\xff\xfe",
        "a list": np.arange(3), "longer": f"{value} ", "next": value + 1 if isinstance(value, np.number) else f"{value}1",
    }  # fmt: skip
    words = list(values)[int(random.integers(len(values)))]
    del item.attrs[key]
    if values[words] is not None:
        item.attrs[key] = values[words]
    return f"attribute {key} of {item.name} is {words}"


def _edit_dataset(file: h5py.File, dataset: h5py.Dataset, random: np.random.Generator) -> str:
    name, values = dataset.name, np.atleast_1d(dataset[()])
    place = int(random.integers(values.size))
    changed = values.copy()
    changed.view(np.uint8).reshape(-1)[place * values.itemsize + int(random.integers(values.itemsize))] ^= 1 << int(random.integers(8))
    infinite = values.astype(float)
    infinite.reshape(-1)[place] = random.choice([np.nan, np.inf])
    replacements = {
        "one bit is another": changed.reshape(dataset.shape), "NaN or infinite": infinite.reshape(dataset.shape),
        "shorter": values[:-1], "of one axis more": values[..., None], "reversed": values[::-1], "text": "text",
        "complex": values.astype(complex), "true or false": values > 0, "in single precision": values.astype(np.float32),
        "of the other bytes' order": values.astype(values.dtype.newbyteorder()), "empty": h5py.Empty("f8"),
        "a link to nowhere": h5py.SoftLink("/nowhere"), "a link to another file": h5py.ExternalLink("other.h5", "/x"), "taken out": None,
        "declared only": "declared", "a group": "group", "under another name": "moved",
    }  # fmt: skip
    words = list(replacements)[int(random.integers(len(replacements)))]
    replacement = replacements[words]
    del file[name]
    if words == "declared only":
        file.create_dataset(name, (10**7, *values.shape[1:]), values.dtype, chunks=True)
    elif words == "a group":
        file.create_group(name)
    elif replacement is not None:
        file[f"{name}x" if words == "under another name" else name] = values if words == "under another name" else replacement
    return f"{name} is {words}"
