"""The charges around a QM region that a potential sees: whole molecules within a zone, at their nearest image, switched off at its edge."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from amp_tf.errors import InputError, SimulationError
from amp_tf.models import Potential
from amp_tf.models.ensemble import members_of
from amp_tf.neighbours import shortest_images
from amp_tf.systems import System

WHOLE_CHARGE = 0.01
"""The charges of a molecule in a force field sum to a whole number to this, e."""


@dataclass(frozen=True)
class Zone:
    """Molecules are seen whole while one atom of theirs, the first unless another is named, is within ``radius`` of a QM atom; over the
    last ``width`` of it their charges go to zero smoothly, so that energy and forces are continuous.

    Attributes:
        radius: angstrom.
        width: angstrom.
    """

    radius: float = 14.0
    width: float = 2.0

    def __post_init__(self):
        if not (np.isfinite(self.radius) and 0.0 < self.width < self.radius):
            raise InputError(
                f"zone: the radius must be finite and larger than the width over which charges are switched off, which must be positive; "
                f"got {self.radius!r} and {self.width!r} angstrom, 14 and 2 are usual."
            )

    def surroundings(self, positions, mm_positions, mm_charges, molecules, cell=None, references=None) -> "Surroundings":
        """The charges that a potential sees.

        Args:
            positions: of the QM atoms, whole, [n_atoms, 3], angstrom.
            mm_positions: of all MM particles, molecules whole, [n_mm, 3], angstrom.
            mm_charges: [n_mm], e.
            molecules: the number of the molecule of each particle, or of the residue of a long one, [n_mm], whole numbers.
            cell: vectors of a periodic box as rows, [3, 3], angstrom; None without images.
            references: the number of the particle that the molecule of each particle is judged by, [n_mm]; None: its first one.

        Raises:
            InputError: if a molecule could be in the zone with more than one image.
        """
        _, first, molecule_of = np.unique(molecules, return_index=True, return_inverse=True)
        references = first if references is None else references[first]
        at = mm_positions[references]
        shifts = np.zeros_like(at)
        if cell is not None:
            center = positions.mean(axis=0)
            self.check_box(np.asarray(cell, dtype=float), positions)
            shifts = shortest_images(at - center, np.asarray(cell)) + center - at
        distances, nearest = cKDTree(positions).query(at + shifts, distance_upper_bound=self.radius)
        inside = np.flatnonzero((distances < self.radius)[molecule_of])
        of_molecule = molecule_of[inside]
        x = np.clip((distances[of_molecule] - self.radius) / self.width + 1.0, 0.0, 1.0)
        switches = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
        slopes = -30.0 * (x * (1.0 - x)) ** 2 / self.width
        directions = (at + shifts)[of_molecule] - positions[nearest[of_molecule]]
        return Surroundings(
            particles=inside,
            positions=mm_positions[inside] + shifts[of_molecule],
            charges=mm_charges[inside] * switches,
            own_charges=mm_charges[inside],
            switch_gradients=(slopes / distances[of_molecule])[:, None] * directions,
            references=references[of_molecule],
            nearest=nearest[of_molecule],
        )

    def reach_complaint(self, mm_positions: np.ndarray, references: np.ndarray) -> str | None:
        """Say where parts of a molecule may stand near QM atoms and not be seen, because the atom that it is judged by is far: where it
        reaches over more than half of the zone. Arguments as in :meth:`surroundings`."""
        reaches = np.linalg.norm(mm_positions - mm_positions[references], axis=1)
        if reaches.max(initial=0.0) <= 0.5 * self.radius:
            return None
        return (
            f"a molecule or residue reaches {reaches.max():.1f} angstrom from the atom by which a zone of {self.radius:g} angstrom judges "
            "it: charges near the QM atoms may be left out; take a larger zone, or smaller residues"
        )

    def check_box(self, cell: np.ndarray, positions: np.ndarray) -> None:
        """Refuse a box in which a molecule could be in the zone with two images.

        Args:
            cell: vectors of the box as rows, [3, 3], angstrom.
            positions: of the QM atoms, whole, [n_atoms, 3], angstrom.

        Raises:
            InputError: with the width that is needed.
        """
        extent = np.linalg.norm(positions - positions.mean(axis=0), axis=1).max()
        widths = abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
        if widths.min() < (needed := 2.0 * (self.radius + extent)):
            raise InputError(
                f"the box is {widths.min():.1f} angstrom wide, and a zone of {self.radius:g} angstrom around these QM atoms needs "
                f"{needed:.1f}; take a larger box or a smaller zone."
            )


@dataclass(frozen=True)
class Surroundings:
    """What :meth:`Zone.surroundings` gives; all arrays over the particles that the potential sees.

    Attributes:
        particles: their numbers among all MM particles.
        positions: angstrom, at the image nearest to the QM atoms.
        charges: switched, e.
        own_charges: not switched, e.
        switch_gradients: of the switch by the position of the atom that the molecule is judged by, [n, 3], 1/angstrom.
        references: number of that atom among all MM particles.
        nearest: number of the QM atom that the molecule's distance is taken from.
    """

    particles: np.ndarray
    positions: np.ndarray
    charges: np.ndarray
    own_charges: np.ndarray
    switch_gradients: np.ndarray
    references: np.ndarray
    nearest: np.ndarray

    def gradients(self, result: dict[str, Any], n_mm: int) -> tuple[np.ndarray, np.ndarray]:
        """The gradients of the energy by all positions, [n_atoms, 3] and [n_mm, 3], kJ/mol/angstrom.

        Beside those of the potential stands dE/ds = Σ φ q of each molecule's switch s, which acts on the atom that it is judged by and, in
        return, on the QM atom nearest to that.

        Args:
            result: of :meth:`amp_tf.models.Potential.compute` with ``mm_potentials``.
            n_mm: number of all MM particles.
        """
        qm_gradients, mm_gradients = np.array(result["qm_gradients"], dtype=float), np.zeros((n_mm, 3))
        if not len(self.particles):  # the zone is empty
            return qm_gradients, mm_gradients
        np.add.at(mm_gradients, self.particles, result["mm_gradients"])
        of_switches = (result["mm_potentials"] * self.own_charges)[:, None] * self.switch_gradients
        np.add.at(mm_gradients, self.references, of_switches)
        np.add.at(qm_gradients, self.nearest, -of_switches)
        return qm_gradients, mm_gradients


def check_embeds(potential: Potential, name: object) -> None:
    """Refuse a potential that cannot be embedded.

    Args:
        potential: the potential.
        name: what it is called in the sentence.

    Raises:
        InputError: if it has no term for charges around its atoms, or takes them for atoms of the graph.
    """
    if not potential.embeds_charges or potential.mm_nodes:
        raise InputError(f"{name} does not embed charges; use a potential with -D or -P.")


def warn_of_jumps(potential: Potential, name: object) -> None:
    """Warn of a potential whose energy jumps where charges that have faded leave the zone; arguments as of :func:`check_embeds`."""
    if any(getattr(member, "sees_charges_of_zero", False) for member in members_of(potential)):
        warnings.warn(
            f"{name} is polarized by MM particles of any charge, even of none: energies jump where molecules enter or leave the zone; "
            "train one with near_cutoff for dynamics.",
            stacklevel=3,
        )


def compute_embedded(
    members: Sequence[Potential], system: System, around: Surroundings, n_mm: int, xla: bool, margin: float | None = None,
    numbers: np.ndarray | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """:meth:`amp_tf.models.Potential.compute_systems` of each member of a committee, for a system whose MM particles are its surroundings,
    with ``mm_gradients`` of all ``n_mm`` particles and the switch's part in all gradients; kJ/mol and angstrom. ``numbers`` [n_mm] are what
    the user knows these by; ``margin`` and errors as in :func:`compute_alone`."""
    results = compute_alone(members, system, xla, margin, around.particles if numbers is None else numbers[around.particles])
    for result in results:
        result["qm_gradients"], result["mm_gradients"] = around.gradients(result, n_mm)
    return results


def check_margin(margin: float) -> None:
    """Refuse a margin that cannot be, angstrom.

    Raises:
        InputError: if it is negative or no number.
    """
    if not margin >= 0:
        raise InputError(f"margin must not be negative, got {margin!r}.")


def check_ranges(members: Sequence[Potential], system: System, margin: float | None, particles: np.ndarray | None = None) -> None:
    """Warn, once, or refuse where a system is outside the training data; arguments and error as of :func:`compute_alone`."""
    for member in members:
        ranges = member.training_ranges
        if margin is None:
            member.warn_of_ranges([system])
        elif ranges is not None and (complaint := ranges.geometry_complaint(system, margin, particles)):
            raise SimulationError(
                f"{complaint}, and the potential is not to be asked more than {margin:g} angstrom beyond; train it on such frames, or "
                "widen the margin."
            )


def compute_alone(
    members: Sequence[Potential], system: System, xla: bool, margin: float | None = None, particles: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Of each member of a committee, with ``mm_potentials`` where there are MM particles; without warnings of odd geometries, which
    dynamics would repeat at each step.

    Args:
        margin: how far beyond its training data a potential may be asked, angstrom; None warns, once, instead of an error.
        particles: what the user knows the system's MM particles by, numbers.

    Raises:
        SimulationError: if the system is farther outside the training data, naming the atoms.
    """
    check_ranges(members, system, margin, particles)
    has_mm = len(system.mm_charges) > 0
    results = [member.compute_systems([system], mm_potentials=has_mm, xla=xla) for member in members]
    return [{name: values[0] for name, values in result.items() if name != "energy_terms"} for result in results]
