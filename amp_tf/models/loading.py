"""Loading of saved potentials, after checks that name what is wrong with a file.

A ``.keras`` file names the classes that it is made of. Keras would import them; here the class must be one of ours, its settings must be
plain values, and Keras reads nothing but the weights.
"""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from amp_tf.errors import DataFileError, InputError
from amp_tf.files import check_archive
from amp_tf.models.amp import AMP
from amp_tf.models.amp_bms import AMPBMS
from amp_tf.models.ensemble import Ensemble
from amp_tf.models.gnn import GNN
from amp_tf.models.painn import PaiNN
from amp_tf.models.physnet import PhysNet
from amp_tf.models.potential import Potential
from amp_tf.models.processes import require_no_fork
from amp_tf.models.schnet import SchNet
from amp_tf.models.settings import LARGEST, check_sizes, least_weights
from amp_tf.shipped import potential_file

MODELS: dict[str, type[Potential]] = {model.__name__: model for model in (AMP, GNN, PaiNN, SchNet, PhysNet, AMPBMS)}
SAVED = MODELS | {"Ensemble": Ensemble}
"""What files may hold."""

SIZES = (*LARGEST, "n_features", "n_filters")
"""The settings that decide how much memory a potential takes."""

LARGEST_CONFIG, LARGEST_RATIO = 10_000_000, 20
"""Bytes of the configuration in a file, and how many times larger than the file its parts may be: Keras does not compress them."""


def load_potential(path: Path | str, dtype: str | None = None) -> Potential:
    """Load a saved potential; no code that a file names is run.

    Args:
        path: a ``.keras`` file that :meth:`Potential.save` wrote, or the name of a potential that ships (``"uracil"``).
        dtype: ``"float32"`` or ``"float64"``, in which the potential computes; None: that of the file.

    Raises:
        DataFileError: if the file is missing, damaged, or not a potential of amp_tf.
        InputError: for another ``dtype``.
        AmpTFError: in a process that was forked after TensorFlow ran.
    """
    require_no_fork()
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"load_potential takes the path of a .keras file, got {path!r}.")
    path = potential_file(path)
    config = require_potential_file(path)
    model, settings = SAVED[config["class_name"]], config["config"]
    try:
        n_held = _count_weights(path)
        parts = [member["config"] for member in settings["members"]] if "members" in settings else [settings]
        all_sizes = [{name: part[name] for name in SIZES if name in part} for part in parts]
        for sizes in filter(None, all_sizes):
            check_sizes(**sizes)
        if sum(least_weights(**sizes) for sizes in all_sizes if sizes) > n_held:
            raise ValueError(f"its sizes {', '.join(map(str, all_sizes))} do not fit the {n_held} weights that it holds")
        potential = model.from_config(settings)
        if potential.count_params() != n_held:
            raise ValueError(f"it holds {n_held} weights, not {potential.count_params()}")
        potential.load_weights(path)
    except Exception as error:  # whatever zipfile, h5py and Keras make of damaged bytes
        reason = " ".join(str(error).split())[:300]
        raise DataFileError(
            f"{path}: the saved potential cannot be read ({reason}); copy it again, or install the amp_tf that wrote it."
        ) from error
    if not all(np.all(np.isfinite(values)) for values in potential.get_weights()):
        raise DataFileError(f"{path}: weights of the potential are NaN or infinite; train it again.")
    return potential if dtype in (None, potential.compute_dtype) else potential.copy_for_inference(dtype)


def require_potential_file(path: Path) -> dict[str, Any]:
    """The Keras configuration inside a ``.keras`` file, after checking that it is a potential of amp_tf.

    Raises:
        DataFileError: as :func:`load_potential`.
    """
    if path.suffix != ".keras":
        raise DataFileError(f"{path}: the ending of a saved potential is .keras; rename the file if it is one.")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > LARGEST_RATIO * path.stat().st_size or archive.getinfo("config.json").file_size > LARGEST_CONFIG:
                raise ValueError(f"its parts are larger than any potential of this size, {unpacked} bytes")
            damaged = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except DataFileError:
        raise
    except Exception as error:  # whatever zipfile makes of damaged bytes
        raise DataFileError(f"{path}: damaged or not a .keras file ({' '.join(str(error).split())[:200]}); copy it again.") from error
    if damaged:
        raise DataFileError(f"{path}: the part {damaged!r} is damaged; copy the file again.")
    _check_kind(path, config)
    return config


def _check_kind(path: Path, config: Any) -> None:
    """The configuration must name one of our classes, exactly as Keras writes it, and hold plain settings."""
    named = {key: config.get(key) if isinstance(config, dict) else None for key in ("module", "class_name", "registered_name")}
    model = SAVED.get(named["class_name"]) if isinstance(named["class_name"], str) else None
    name = named["class_name"]
    if model is None and str(named["registered_name"]).startswith("amp_tf>") and str(named["module"]).startswith("amp_tf."):
        raise DataFileError(
            f"{path}: the saved potential cannot be read (its class {name!r} is none of {', '.join(SAVED)}); install the "
            "amp_tf that wrote it."
        )
    if model is None or named != {"module": model.__module__, "class_name": name, "registered_name": f"amp_tf>{name}"}:
        kind = " ".join(str(value)[:60] for value in named.values())
        raise DataFileError(f"{path}: not a potential of amp_tf (it is {kind}); give a file that amp_tf saved.")
    settings = config.get("config")
    if not isinstance(settings, dict) or not isinstance(settings.get("name"), str) or not isinstance(settings.get("dtype"), str):
        raise DataFileError(f"{path}: the saved potential cannot be read (its settings are damaged); copy it again.")


def _count_weights(path: Path) -> int:
    """How many weights the file holds, read from the headers of its data sets.

    Raises:
        ValueError: where a data set is larger than what the file stores, or lives elsewhere.
    """
    n_weights = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal n_weights
        if isinstance(item, h5py.Group):
            if not all(isinstance(item.get(key, getlink=True), h5py.HardLink) for key in item):
                raise ValueError(f"{name}: a link to somewhere else")
            return
        is_weight = not name.startswith("optimizer/")
        if item.external or item.is_virtual or item.id.get_storage_size() < item.nbytes or (is_weight and item.dtype.kind != "f"):
            raise ValueError(f"{name}: the data set is not whole")
        n_weights += item.size if is_weight else 0

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
        add("/", file)
        file.visititems(add)
    return n_weights
