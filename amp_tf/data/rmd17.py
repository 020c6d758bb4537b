"""Reader of the revised MD17 data set (Christensen and von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020)), PBE/def2-SVP."""

from pathlib import Path

import numpy as np

from amp_tf import units
from amp_tf.data.frames import RawFrame
from amp_tf.errors import DataFileError
from amp_tf.files import no_file

LEVEL_OF_THEORY = "PBE/def2-SVP"

NAMES = ("nuclear_charges", "coords", "energies", "forces")
"""Arrays of a file; lengths in angstrom, energies in kcal/mol."""

INDEX = "old_indices"
"""The number of each frame in the first MD17, which is kept where it is there."""


def read_rmd17(path: Path) -> list[RawFrame]:
    """The frames of one molecule, ``rmd17_<molecule>.npz`` or a part of it.

    The data set was computed at the geometries of MD17 with tight convergence; its energies are total ones. A frame's number in MD17 is
    its property ``old_index``.

    Args:
        path: the file.

    Raises:
        DataFileError: for what is no such file; names the arrays that are missing or do not fit.
    """
    if stands := no_file(path):
        raise DataFileError(f"{path}: {stands}; give rmd17_MOLECULE.npz of the revised MD17.")
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in (*NAMES, INDEX) if name in file}
    except Exception as error:  # whatever zipfile and NumPy make of other files
        raise DataFileError(f"{path}: no file of the revised MD17 ({error}); give rmd17_MOLECULE.npz.") from error
    if missing := [name for name in NAMES if name not in arrays]:
        raise DataFileError(f"{path}: lacks {', '.join(missing)}; give rmd17_MOLECULE.npz of the revised MD17.")
    n_frames, n_atoms = arrays["energies"].size, arrays["nuclear_charges"].size
    wanted = {"nuclear_charges": (n_atoms,), "coords": (n_frames, n_atoms, 3), "energies": (n_frames,), "forces": (n_frames, n_atoms, 3)}
    for name, array in arrays.items():
        shape, kinds = wanted.get(name, (n_frames,)), "iu" if name in ("nuclear_charges", INDEX) else "iuf"
        if array.shape != shape or array.dtype.kind not in kinds or not np.all(np.isfinite(array)):
            kind = "whole numbers" if kinds == "iu" else "finite numbers"
            raise DataFileError(f"{path}: {name} must be {kind} of shape {shape}, got {array.dtype} of shape {array.shape}.")
    numbers, indices = arrays["nuclear_charges"].astype(int), arrays.get(INDEX)
    scale = units.KCAL_PER_MOL
    return [
        RawFrame(
            numbers,
            arrays["coords"][frame].astype(float),
            float(arrays["energies"][frame]) * scale,
            -scale * arrays["forces"][frame].astype(float),
            properties={} if indices is None else {"old_index": float(indices[frame])},
        )
        for frame in range(n_frames)
    ]
