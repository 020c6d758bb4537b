"""What a potential was trained on, as ranges of distances and charges, and what of a system lies outside of them."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import pydantic
from ase.data import chemical_symbols
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from amp_tf.errors import InputError
from amp_tf.geometry import are_bonded
from amp_tf.neighbours import near_pairs
from amp_tf.systems import System

REACH = 3.0
"""Distances below this are recorded, angstrom; those beyond are never outside."""

BIN, GAP = 0.02, 0.1
"""Distances are counted in bins of this width, and gaps narrower than this among the counted are taken for seen, angstrom."""

MARGIN = 0.1
"""How far beyond the distances of the training data a system may go, angstrom, and twice as far towards MM particles: in long dynamics the
tails are a little longer."""

LOOKED_AT = 200
"""Geometries of training data, evenly spread over them, whose bonds tell whether they are of one molecule."""

CHARGE_MARGIN = 0.05
"""How far beyond the MM charges of the training data others may go, as a part of these."""

Distance = Annotated[float, pydantic.Field(gt=0)]


class TrainingRanges(pydantic.BaseModel):
    """What the geometries and charges of training data cover.

    Attributes:
        distances: of two atoms, by their symbols in alphabetical order (``"H-N"``): the intervals below 3 angstrom that occur, such as
            those of bonds and of second neighbours, angstrom.
        neighbours: of an atom from the atom closest to it, by symbol: the longest, angstrom.
        negative, positive: of an atom from MM particles of this sign, by symbol: the shortest below 3 angstrom, angstrom.
        mm_charges: the lowest and the highest, e; None without MM particles.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    distances: dict[str, list[tuple[Distance, Distance]]]
    neighbours: dict[str, Distance]
    negative: dict[str, Distance]
    positive: dict[str, Distance]
    mm_charges: tuple[float, float] | None

    def lines(self) -> list[tuple[str, str]]:
        """What is known, in words, to be printed."""
        found = [(f"trained on {key.replace('-', '...')}", f"{_in_words(spans)} angstrom") for key, spans in self.distances.items()]
        for sign, shortest in {"negative": self.negative, "positive": self.positive}.items():
            words = ", ".join(f"{symbol} {distance:.2f}" for symbol, distance in shortest.items())
            found += [(f"trained on {sign} charges", f"as close as {words} angstrom")] if words else []
        return found + ([("trained on MM charges", "{:g} to {:g} e".format(*self.mm_charges))] if self.mm_charges else [])

    def merged(self, other: "TrainingRanges") -> "TrainingRanges":
        """What either covers: a potential that is trained further has seen both."""
        charges = [span for span in (self.mm_charges, other.mm_charges) if span]
        return TrainingRanges(
            distances={key: _joined([*self.distances.get(key, []), *other.distances.get(key, [])])
                       for key in sorted(self.distances | other.distances)},
            neighbours=_merged(self.neighbours, other.neighbours, max),
            negative=_merged(self.negative, other.negative, min),
            positive=_merged(self.positive, other.positive, min),
            mm_charges=(min(low for low, _ in charges), max(high for _, high in charges)) if charges else None,
        )  # fmt: skip

    def geometry_complaint(self, system: System, margin: float = MARGIN, particles: np.ndarray | None = None) -> str | None:
        """The shortest distance of a system that is more than ``margin`` (angstrom) outside the ranges, in a sentence; or None.

        Towards MM particles twice the margin is allowed. Elements that the training data lack are not looked at.

        Args:
            system: atoms, and MM particles around them.
            margin: angstrom.
            particles: what the user knows the MM particles by, [n_mm], numbers; None: as they stand in the system.
        """
        return self._atoms_complaint(system, margin) or (self._mm_complaint(system, margin, particles) if len(system.mm_charges) else None)

    def charge_complaint(self, mm_charges: np.ndarray) -> str | None:
        """MM charges [n_mm], e, that are outside those of the training data by more than a twentieth of these, in a sentence; or None."""
        if self.mm_charges is None or not len(mm_charges):
            return None
        allowed = CHARGE_MARGIN * max(map(abs, self.mm_charges))
        lowest, highest = float(mm_charges.min()), float(mm_charges.max())
        if lowest >= self.mm_charges[0] - allowed and highest <= self.mm_charges[1] + allowed:
            return None
        return f"MM charges of {lowest:g} to {highest:g} e; the training data have {self.mm_charges[0]:g} to {self.mm_charges[1]:g} e"

    def _atoms_complaint(self, system: System, margin: float) -> str | None:
        numbers = system.atomic_numbers
        if len(numbers) < 2:
            return None
        first, second, keys = _pairs_of(tuple(numbers.tolist()))
        distances = pdist(system.positions)
        outside = distances < REACH - margin  # what is farther may be outside of what was counted
        for key, of_key in keys.items():
            if not set(key.split("-")) <= self.neighbours.keys():
                outside[of_key] = False
            for low, high in self.distances.get(key, []):
                outside[of_key] &= (distances[of_key] < low - margin) | (distances[of_key] > high + margin)
        if outside.any():
            pair = int(np.argmin(np.where(outside, distances, np.inf)))
            ends = [first[pair], second[pair]]
            spans = self.distances.get("-".join(sorted(chemical_symbols[numbers[end]] for end in ends)), [])
            return (
                f"{_named(numbers, ends[0])} and {_named(numbers, ends[1])} are {distances[pair]:.2f} angstrom apart; the training data "
                f"have {_in_words(spans)}"
            )
        if distances.max() > REACH:
            nearest = cKDTree(system.positions).query(system.positions, k=2)[0][:, 1]
            longest = np.array([self.neighbours.get(chemical_symbols[number], np.inf) for number in numbers])
            if np.any(nearest > longest + margin):
                atom = int(np.argmax(nearest - longest))
                return (
                    f"{_named(numbers, atom)} is {nearest[atom]:.2f} angstrom from the atom closest to it; the training data have up to "
                    f"{longest[atom]:.2f}"
                )
        return None

    def _mm_complaint(self, system: System, margin: float, numbers: np.ndarray | None) -> str | None:
        if self.mm_charges is None:
            return None
        atoms, particles, distances = _near_charges(system)
        symbols = [chemical_symbols[number] for number in system.atomic_numbers]
        for sign, shortest in {-1.0: self.negative, 1.0: self.positive}.items():
            limits = np.array([shortest.get(symbol, REACH if symbol in self.neighbours else 0.0) for symbol in symbols]) - 2.0 * margin
            of_sign = np.sign(system.mm_charges[particles]) == sign
            if len(wrong := np.flatnonzero(of_sign & (distances < limits[atoms]))):
                closest = wrong[np.argmin(distances[wrong])]
                atom, particle = int(atoms[closest]), int(particles[closest])
                known_by = particle if numbers is None else int(numbers[particle])
                return (
                    f"MM particle {known_by} ({system.mm_charges[particle]:+g} e) is {distances[closest]:.2f} angstrom from "
                    f"{_named(system.atomic_numbers, atom)}; the training data have {limits[atom] + 2.0 * margin:.2f} or more"
                )
        return None


def training_ranges(systems: Iterable[System]) -> TrainingRanges:
    """The ranges of training data."""
    edges = np.arange(0.0, REACH + 0.5 * BIN, BIN)
    counts: dict[str, np.ndarray] = {}
    neighbours: dict[str, float] = {}
    shortest: dict[float, dict[str, float]] = {-1.0: {}, 1.0: {}}
    lowest, highest = np.inf, -np.inf
    for system in systems:
        symbols = [chemical_symbols[number] for number in system.atomic_numbers]
        if len(symbols) > 1:
            distances = pdist(system.positions)
            for key, of_key in _pairs_of(tuple(system.atomic_numbers.tolist()))[2].items():
                counts[key] = counts.get(key, np.zeros(len(edges) - 1, int)) + np.histogram(distances[of_key], edges)[0]
            nearest = cKDTree(system.positions).query(system.positions, k=2)[0][:, 1]
            neighbours = _merged(neighbours, _largest(symbols, nearest), max)
        if len(system.mm_charges):
            lowest, highest = min(lowest, float(system.mm_charges.min())), max(highest, float(system.mm_charges.max()))
            atoms, particles, distances = _near_charges(system)
            for sign in (-1.0, 1.0):
                of_sign = np.sign(system.mm_charges[particles]) == sign
                found = _largest([symbols[atom] for atom in atoms[of_sign]], -distances[of_sign])
                shortest[sign] = _merged(shortest[sign], {symbol: -value for symbol, value in found.items()}, min)
    spans = {key: _joined([(edges[place], edges[place + 1]) for place in np.flatnonzero(found)]) for key, found in counts.items()}
    return TrainingRanges(
        distances={key: [(max(low, 0.5 * BIN), high) for low, high in spans[key]] for key in sorted(spans) if spans[key]},
        neighbours={symbol: round(value, 3) for symbol, value in sorted(neighbours.items())},
        negative={symbol: round(value, 3) for symbol, value in sorted(shortest[-1.0].items())},
        positive={symbol: round(value, 3) for symbol, value in sorted(shortest[1.0].items())},
        mm_charges=(lowest, highest) if lowest <= highest else None,
    )


class TrainingMolecule(pydantic.BaseModel):
    """The molecule, or the complex of different molecules, that all training data of a potential are of.

    Attributes:
        atomic_numbers: [n_atoms].
        positions: one geometry of it, [n_atoms, 3], angstrom.
        total_charge: e.
        is_alone: whether some of the data have it without MM particles around it.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    atomic_numbers: list[Annotated[int, pydantic.Field(gt=0, lt=len(chemical_symbols))]]
    positions: list[tuple[float, float, float]]
    total_charge: float
    is_alone: bool = True

    def merged(self, other: "TrainingMolecule | None") -> "TrainingMolecule | None":
        """What the data of either are of: None where the other one has other elements or another charge."""
        if other is None or (sorted(self.atomic_numbers), self.total_charge) != (sorted(other.atomic_numbers), other.total_charge):
            return None
        return self.model_copy(update={"is_alone": self.is_alone or other.is_alone})


def training_molecule(provenance: Mapping[str, Any]) -> TrainingMolecule | None:
    """The molecule that a potential was trained on, where it was on one.

    Raises:
        InputError: if what the provenance tells is damaged.
    """
    known = provenance.get("molecule")
    try:
        return None if known is None else TrainingMolecule.model_validate(known)
    except pydantic.ValidationError as error:
        raise InputError(f"provenance: the molecule of the training data is damaged ({error.errors()[0]['msg']}).") from error


def only_molecule(systems: Sequence[System]) -> TrainingMolecule | None:
    """The molecule, or the complex of different molecules, that all training data are of.

    None where they are of several molecules or charges, where no geometry has the bonds that most have (isomers in one order of atoms), and
    where molecules of one composition occur twice, such as in clusters of water, whose potential is for other numbers of them too.
    """
    first = systems[0]
    if any(not np.array_equal(one.atomic_numbers, first.atomic_numbers) or one.total_charge != first.total_charge for one in systems):
        return None
    some = [systems[number] for number in np.unique(np.linspace(0, len(systems) - 1, LOOKED_AT).astype(int))]
    bonds = np.array([are_bonded(one.atomic_numbers, one.positions) for one in some])
    usual = bonds.mean(axis=0) > 0.5
    like_most = np.flatnonzero(np.all(bonds == usual, axis=(1, 2)))
    piece = connected_components(usual, directed=False)[1]
    kinds = Counter(tuple(sorted(first.atomic_numbers[piece == number])) for number in np.unique(piece))
    if not len(like_most) or max(kinds.values()) > 1:
        return None
    chosen = some[like_most[0]]
    return TrainingMolecule(
        atomic_numbers=chosen.atomic_numbers.tolist(), positions=chosen.positions.tolist(), total_charge=float(chosen.total_charge),
        is_alone=any(not len(one.mm_charges) for one in systems),
    )  # fmt: skip


def _near_charges(system: System) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms, MM particles and their distances, where these are below :data:`REACH`."""
    atoms, particles = near_pairs(system.positions, system.mm_positions, REACH)
    return atoms, particles, np.linalg.norm(system.positions[atoms] - system.mm_positions[particles], axis=1)


@lru_cache(maxsize=1000)
def _pairs_of(numbers: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Both ends of all pairs of atoms in the order of ``pdist``, and which pairs are of which symbols."""
    symbols = [chemical_symbols[number] for number in numbers]
    first, second = np.triu_indices(len(symbols), 1)
    keys = np.array(["-".join(sorted(pair)) for pair in itertools.combinations(symbols, 2)])
    return first, second, {str(key): np.flatnonzero(keys == key) for key in np.unique(keys)}


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Intervals in order, those joined that are closer than :data:`GAP`."""
    joined: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + GAP:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return [(round(low, 3), round(high, 3)) for low, high in joined]


def _merged(first: dict[str, float], second: dict[str, float], best) -> dict[str, float]:
    return {key: best(of[key] for of in (first, second) if key in of) for key in sorted(first | second)}


def _largest(symbols: list[str], values: np.ndarray) -> dict[str, float]:
    of_symbol = np.array(symbols)
    return {str(symbol): float(values[of_symbol == symbol].max()) for symbol in np.unique(of_symbol)}


def _in_words(spans: list[tuple[float, float]]) -> str:
    known = [f"{low:.2f} to {high:.2f}" if high < REACH - BIN else f"{low:.2f} or more" for low, high in spans]
    return " and ".join(known) or f"{REACH:g} or more"


def _named(numbers: np.ndarray, atom: int) -> str:
    return f"atom {atom} ({chemical_symbols[numbers[atom]]})"
