"""What runs are judged by: temperatures, bonds of the solute, and where water stands around it, the latter two by MDTraj."""

from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols

from amp_tf import units
from amp_tf.errors import DataFileError, not_installed
from amp_tf.silence import silent
from amp_tf.simulation.solutes import Solute, bonds

RDF_RANGE, RDF_BINS = 10.0, 400
"""Of the radial distribution functions: farthest distance, angstrom, and bins."""

CHUNK = 50
"""Frames that are analysed at a time."""

Curves = dict[str, tuple[np.ndarray, np.ndarray]]
"""r [n_bins], angstrom, and g(r) of pairs such as ``"N-O"`` and ``"H(N)-O"``: an element of the solute, hydrogen with what it is bonded
to, and O or H of water."""


def temperature(masses: np.ndarray, velocities: np.ndarray, n_constraints: int) -> float:
    """K, of particles with ``masses`` [n], dalton, and ``velocities`` [n, 3], angstrom/ps; nan without a degree of freedom."""
    n_free = 3 * len(masses) - n_constraints
    kinetic = 0.5 * np.sum(masses[:, None] * velocities**2) * 1e-2  # dalton angstrom²/ps² is 0.01 kJ/mol
    return 2.0 * kinetic / (n_free * units.GAS_CONSTANT) if n_free > 0 else float("nan")


def bonded_pairs(solute: Solute) -> np.ndarray:
    """Numbers of bonded atoms, [n_bonds, 2]."""
    return np.argwhere(np.triu(bonds(solute.atomic_numbers, solute.positions)))


def bond_names(solute: Solute) -> list[str]:
    """Such as ``C1-H9``, atoms counted from 1."""
    names = [f"{chemical_symbols[number]}{place + 1}" for place, number in enumerate(solute.atomic_numbers)]
    return [f"{names[first]}-{names[second]}" for first, second in bonded_pairs(solute)]


def import_mdtraj():
    """MDTraj, or one sentence.

    Raises:
        EngineError: if it is not installed.
    """
    try:
        import mdtraj
    except ImportError as error:
        raise not_installed("MDTraj") from error
    return mdtraj


def read_trajectory(path, topology) -> Iterator:
    """The frames of a file as MDTraj's trajectories, some at a time; ``topology`` is OpenMM's.

    Raises:
        DataFileError: if the file is damaged.
    """
    mdtraj = import_mdtraj()
    try:
        chunks = mdtraj.iterload(str(path), chunk=CHUNK, top=mdtraj.Topology.from_openmm(topology))
        with silent(1):  # MDTraj's reader of DCD prints as it opens a file
            first = next(chunks)
        yield first
        yield from chunks
    except (OSError, ValueError, RuntimeError) as error:
        raise DataFileError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); copy it again.") from error


def bond_lengths(frames, atoms: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """[n_frames, n_bonds], angstrom, of MDTraj's frames; ``pairs`` [n_bonds, 2] number the solute's ``atoms``."""
    return 10.0 * import_mdtraj().compute_distances(frames, atoms[pairs], periodic=frames.unitcell_vectors is not None)


def kinds_of_atoms(solute: Solute) -> list[str]:
    """The element of each atom, that of hydrogen with its partner's, such as ``H(N)``."""
    symbols, bonded = [chemical_symbols[number] for number in solute.atomic_numbers], bonds(solute.atomic_numbers, solute.positions)
    partners = [np.flatnonzero(row) for row in bonded]
    return [
        f"H({symbols[partners[place][0]]})" if symbol == "H" and len(partners[place]) == 1 else symbol
        for place, symbol in enumerate(symbols)
    ]


class RadialDistributions:
    """g(r) of water's O and H around each kind of atom of the solute, averaged over frames.

    Args:
        solute: its atoms, hydrogen told apart by what it is bonded to.
        atoms: numbers of its atoms.
        waters: numbers of oxygen, hydrogen, hydrogen of each water molecule, [n_waters, 3].
    """

    def __init__(self, solute: Solute, atoms: np.ndarray, waters: np.ndarray):
        sites = {"O": waters[:, 0], "H": waters[:, 1:].ravel()} if len(waters) else {}
        kinds = np.array(kinds_of_atoms(solute))
        self._pairs = {
            f"{kind}-{name}": np.stack(np.meshgrid(atoms[kinds == kind], numbers, indexing="ij"), axis=-1).reshape(-1, 2)
            for kind in sorted(set(kinds))
            for name, numbers in sites.items()
        }
        self._sums = {key: np.zeros(RDF_BINS) for key in self._pairs}
        self._n_frames = 0
        self._distances = np.zeros(RDF_BINS)

    def add(self, frames) -> None:
        """Count MDTraj's frames, which have a box."""
        mdtraj = import_mdtraj()
        self._n_frames += len(frames)
        for key, pairs in self._pairs.items():
            distances, values = mdtraj.compute_rdf(frames, pairs, r_range=(0.0, 0.1 * RDF_RANGE), n_bins=RDF_BINS)
            self._sums[key] += len(frames) * values
            self._distances = 10.0 * distances

    def curves(self) -> Curves:
        """r and g(r) of each pair of elements; none without frames."""
        return {key: (self._distances, values / self._n_frames) for key, values in self._sums.items()} if self._n_frames else {}
