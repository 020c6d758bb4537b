"""What is recorded of every frame: energies, temperatures, bonds of the solute, and where water stands around it."""

from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols
from scipy.spatial import cKDTree

from amp_tf import units
from amp_tf.simulation.solutes import Solute, bonds

RDF_RANGE, RDF_BINS = 10.0, 200
"""Of the radial distribution functions: farthest distance, angstrom, and bins."""


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


@dataclass
class RadialDistributions:
    """Counts of water's O and H around each element of the solute, for g(r).

    Attributes:
        solute: its atoms' elements.
        counts: by ``"N-O"`` and so on, [RDF_BINS].
        n_frames: that were counted.
        densities: sum over frames of the number density of water molecules, 1/angstrom³.
    """

    solute: Solute
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    n_frames: int = 0
    densities: float = 0.0

    def add(self, positions: np.ndarray, water: np.ndarray, box: np.ndarray) -> None:
        """Count a frame.

        Args:
            positions: of the solute, [n_atoms, 3], angstrom.
            water: [n_waters, 3, 3], angstrom: O, H, H.
            box: vectors of the box [3, 3], angstrom; where it is not rectangular the frame is left out.
        """
        edges = np.diagonal(box)
        if np.any(box != np.diag(edges)):
            return
        self.n_frames += 1
        self.densities += len(water) / edges.prod()
        for number in np.unique(self.solute.atomic_numbers):
            atoms = positions[self.solute.atomic_numbers == number] % edges
            for name, sites in {"O": water[:, 0], "H": water[:, 1:].reshape(-1, 3)}.items():
                around = cKDTree(sites % edges, boxsize=edges).query_ball_point(atoms, RDF_RANGE)
                place = np.concatenate([sites[near] for near in around]) - np.repeat(atoms, [len(near) for near in around], axis=0)
                distances = np.linalg.norm(place - edges * np.round(place / edges), axis=1)
                found = np.histogram(distances, RDF_BINS, (0.0, RDF_RANGE))[0]
                key = f"{chemical_symbols[number]}-{name}"
                self.counts[key] = self.counts.get(key, np.zeros(RDF_BINS)) + found

    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """r [RDF_BINS], angstrom, and g(r) of each pair of elements."""
        edges = np.linspace(0.0, RDF_RANGE, RDF_BINS + 1)
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        found = {}
        for key, counts in self.counts.items():
            symbol, site = key.split("-")
            n_atoms = np.count_nonzero(self.solute.atomic_numbers == chemical_symbols.index(symbol))
            expected = n_atoms * self.densities * (2 if site == "H" else 1) * shells
            found[key] = (0.5 * (edges[1:] + edges[:-1]), counts / expected)
        return found
