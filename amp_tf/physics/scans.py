"""Potential energy surfaces of small molecules: their shape (minima, tops, holes) against nature, heights against a named reference."""

from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols
from scipy.signal import find_peaks

from amp_tf.physics.bench import Bench
from amp_tf.physics.molecules import (
    atom,
    bent,
    cyclobutadiene,
    diatomic,
    heavy_bonds,
    of_collection,
    shipped,
    stretched,
    turned,
    water,
)
from amp_tf.physics.references import BOND_LENGTHS, reference
from amp_tf.physics.subject import MEV, Molecule, PointLost
from amp_tf.physics.symmetry import ENERGY_LIMITS
from amp_tf.physics.verdicts import (
    ERROR,
    FAIL,
    INCONCLUSIVE,
    NOISES,
    NOT_APPLICABLE,
    PASS,
    WARN,
    Row,
    compared,
    counted,
    decided,
    judged,
    told,
)

SHALLOW = 5.0 * MEV
"""A minimum has walls at least this high on both sides, eV, or five times the noise."""

DIATOMICS = {"H2": 1, "N2": 1, "O2": 3, "F2": 1, "Cl2": 1, "Si2": 3}
"""Multiplicities."""

NEAR = 0.3
"""A minimum within this part of nature's bond length of it is the calculator's own bond."""

DEEP_HOLE = 20.0
"""What is behind a wall of so many eV is seldom met."""

LENGTHS = np.arange(-0.5, 4.01, 0.05)
"""By which bonds are stretched, angstrom."""

WATER_ANGLES, BENDS = np.arange(60.0, 301.0, 2.0), np.arange(-30.0, 31.0, 2.0)
ETHANE_TURNS, BIARYL_TURNS = np.arange(0.0, 360.0, 5.0), np.arange(0.0, 360.0, 10.0)
SIDES = np.round(np.arange(1.30, 1.6401, 0.02), 2)
"""Degrees; sides of cyclobutadiene, angstrom."""


def extrema(values: np.ndarray, depth: float, is_closed: bool = False) -> tuple[list[int], list[int]]:
    """Minima and maxima of a curve with walls of ``depth`` or more on both sides, as places in it; NaN is left out.

    The ends of an open curve do not count; a closed one, a full turn without its end, has none.
    """
    places = np.flatnonzero(np.isfinite(values))
    if len(places) < 3:
        return [], []
    found = []
    for sign in (-1.0, 1.0):
        order = places
        if is_closed:  # from the opposite extremum around to it, so that each of the others is inside
            start = int(np.argmin(sign * values[places]))
            order = np.concatenate([places[start:], places[: start + 1]])
        found.append(sorted(int(place) for place in order[find_peaks(sign * values[order], prominence=depth)[0]]))
    return found[0], found[1]


def without_lone(values: np.ndarray, places: list[int]) -> list[int]:
    """Minima of more than one point; a single one far below both neighbours is a jump to another electronic state and back."""
    found = []
    for place in places:
        around = [values[end] - values[place] for end in (place - 1, place + 1) if np.isfinite(values[end])]
        further = [values[end] - values[place] for end in (place - 2, place + 2) if 0 <= end < len(values) and np.isfinite(values[end])]
        if len(around) < 2 or not further or min(around) < 0.5 * max(further):
            found.append(place)
    return found


def vertex(x: np.ndarray, values: np.ndarray, place: int) -> float:
    """Where the parabola through a minimum and its two neighbours is lowest."""
    before, here, after = values[place - 1 : place + 2]
    if not np.isfinite(before + after):
        return float(x[place])
    step = x[place + 1] - x[place]
    return float(x[place] + 0.5 * step * (before - after) / (before - 2.0 * here + after))


def _energies(bench: Bench, molecules: list[Molecule]) -> np.ndarray:
    return bench.subject.curve(molecules, in_domain=True)


def _in_one_piece(energies: np.ndarray, start: int) -> np.ndarray:
    """Without what is behind a gap, seen from ``start``: other pairs of atoms, not a bond so long, have such distances in training data."""
    lost = np.flatnonzero(~np.isfinite(energies))
    kept = np.arange(len(energies))
    kept = (kept > max(lost[lost < start], default=-1)) & (kept < min(lost[lost > start], default=len(energies)))
    return np.where(kept, energies, np.nan)


def _depth(bench: Bench, molecule: Molecule) -> float:
    return max(SHALLOW, NOISES * bench.noise(molecule).energy)


def diatomics(bench: Bench) -> Iterator[Row]:
    """One minimum, no barrier on the way apart, the right bond length."""
    for symbols, length, molecules, distances in _pairs_of_atoms(bench, lambda length: np.arange(0.5 * length, 8.001, 0.05)):
        energies = _energies(bench, molecules)
        known = reference("diatomics", symbols)
        end = energies[np.isfinite(energies)][-1] if np.any(np.isfinite(energies)) else np.nan
        here = diatomic(symbols, length, DIATOMICS[symbols])
        bench.curve("diatomics", symbols, "distance", "angstrom", distances, energies - end, here, known)
        depth = _depth(bench, here)
        every = extrema(energies, depth)[0]
        found = without_lone(energies, every)
        at = ", ".join(f"{distances[place]:.2f}" for place in found) or "none"
        yield from _jumps(bench, "diatomics", symbols, distances, energies, [place for place in every if place not in found])
        yield counted("diatomics", "shape: minima", symbols, len(found), f"at {at} angstrom; nature has one")
        if found and (ends_early := _ends_early(bench, distances, energies, "angstrom")):
            yield Row("diatomics", "shape: barrier beyond the limit of atoms", symbols, verdict=NOT_APPLICABLE, note=ends_early)
        elif found:
            deepest = min(found, key=lambda place: abs(distances[place] - length))
            error = abs(vertex(distances, energies, deepest) - length)
            yield judged("diatomics", "accuracy: bond length, error", symbols, "angstrom", error, (0.05, 0.1))
            barrier = max(0.0, float(np.nanmax(energies[deepest:])) - end)
            noise = bench.noise(here).energy
            yield judged("diatomics", "shape: barrier beyond the limit of atoms", symbols, "eV", barrier, (0.05, 0.2), noise)
            yield told("diatomics", "depth, E(8 angstrom) - E(minimum)", symbols, "eV", end - energies[deepest], _source(known))
        yield told("diatomics", "E(8 angstrom) - ΣE(atom)", symbols, "eV", _beyond_atoms(bench, symbols, end))


def _ends_early(bench: Bench, x: np.ndarray, energies: np.ndarray, unit: str) -> str:
    """Where the training data end before the curve does, in words."""
    if bench.subject.domain is None or np.isfinite(energies[-1]) or not np.any(np.isfinite(energies)):
        return ""
    return f"the training data end at {x[np.isfinite(energies)][-1]:.2f} {unit}"


def _jumps(bench: Bench, test: str, name: str, x: np.ndarray, energies: np.ndarray, lone: list[int]) -> Iterator[Row]:
    """Points that were lost, and such that are off the curve alone: a calculation that converges to another state, or does not."""
    lost = 0 if bench.subject.domain else int(np.count_nonzero(~np.isfinite(energies)))  # else it ends with the training data
    if lone or lost:
        at = ", ".join(f"{x[place]:.2f}" for place in lone)
        words = [f"{lost} lost"] * bool(lost) + [f"{len(lone)} off the curve, at {at} angstrom"] * bool(lone)
        yield Row(test, "points lost or off the curve", name, value=float(lost + len(lone)), verdict=WARN, note="; ".join(words))


def _pairs_of_atoms(bench: Bench, distances_of):
    """The diatomics that the calculator computes."""
    known = bench.some([diatomic(symbols, BOND_LENGTHS[symbols], spin) for symbols, spin in DIATOMICS.items()], in_domain=True)
    for molecule in known:
        length, distances = BOND_LENGTHS[molecule.name], distances_of(BOND_LENGTHS[molecule.name])
        yield molecule.name, length, [diatomic(molecule.name, distance, molecule.spin) for distance in distances], distances


def _beyond_atoms(bench: Bench, symbols: str, energy: float) -> float | None:
    """Where a lone atom cannot be computed, None."""
    try:
        return energy - 2.0 * bench.subject.energy(atom(symbols.rstrip("2")))
    except PointLost:
        return None


def wall(bench: Bench) -> Iterator[Row]:
    """Pressed together from the bond length to 0.3 of it, the energy of a diatomic only rises."""
    for symbols, length, molecules, distances in _pairs_of_atoms(bench, lambda length: np.arange(1.5 * length, 0.3 * length, -0.02)):
        energies, here = _energies(bench, molecules), diatomic(symbols, length, DIATOMICS[symbols])
        depth = _depth(bench, here)
        near = [place for place in extrema(energies, depth)[0] if abs(distances[place] - length) <= NEAR * length]
        # the calculator's own bond: where it has none there, nature's
        start = min(near or range(len(distances)), key=lambda place: abs(distances[place] - length))
        inward = start + np.flatnonzero(np.isfinite(energies[start:]))
        if not len(inward):
            yield Row("wall", "shape: rises", symbols, verdict=NOT_APPLICABLE, note="nothing is computed inside the bond length")
            continue
        rise = energies[inward] - energies[inward[0]]
        bench.curve("wall", symbols, "distance", "angstrom", distances[inward], rise, here)
        holes = np.flatnonzero(rise < np.maximum.accumulate(rise) - depth)
        if not len(holes):
            note = f"{rise[-1]:.3g} eV at {distances[inward[-1]]:.2f} angstrom"
            lost = len(energies) - start - len(inward)
            if not lost or rise[-1] >= DEEP_HOLE:
                yield decided("wall", "shape: rises", symbols, True, note)
            elif bench.subject.domain is not None:
                yield Row("wall", "shape: rises", symbols, verdict=NOT_APPLICABLE, note=f"{note}, where the training data end")
            else:
                yield Row("wall", "shape: rises", symbols, verdict=INCONCLUSIVE, note=f"{note}; {lost} points were lost")
            continue
        height, first = float(rise[: holes[0]].max()), distances[inward[holes[0]]]
        note = f"the energy falls again at {first:.2f} angstrom, behind {height:.3g} eV"
        yield Row("wall", "shape: rises", symbols, "eV", height, verdict=FAIL if height < DEEP_HOLE else WARN, note=note)


def stretch(bench: Bench) -> Iterator[Row]:
    """A bond between heavy atoms pulled apart, both sides rigid: one minimum, no barrier."""
    bench.require_alone()
    ethane, ethanol = of_collection("C2H6", "ethane"), of_collection("CH3CH2OH", "ethanol")
    named = {"ethane": ("C-C", (0, 1)), "ethanol": ("C-O", _carbon_and_oxygen(ethanol))}
    for molecule in bench.some([ethane, ethanol, *bench.own], in_domain=True):
        is_named = molecule.name in named and not molecule.is_own
        ends = [named[molecule.name][1]] if is_named else heavy_bonds(molecule)
        for first, second in ends:
            name = f"{molecule.name}, {_label(molecule, first)}-{_label(molecule, second)}"
            energies = _energies(bench, [stretched(molecule, first, second, by) for by in LENGTHS])
            if bench.subject.domain is not None:
                energies = _in_one_piece(energies, int(np.argmin(np.abs(LENGTHS))))
            known = reference("stretch", molecule.name) if is_named else None
            if not np.any(np.isfinite(energies)):
                yield Row("stretch", "shape: minima", name, verdict=ERROR, note="every point was lost")
                continue
            end, is_whole = energies[np.isfinite(energies)][-1], bool(np.isfinite(energies[-1]))
            bench.curve("stretch", name, "longer by", "angstrom", LENGTHS, energies - end, molecule, known)
            every = extrema(energies, _depth(bench, molecule))[0]
            found = without_lone(energies, every)
            at = ", ".join(f"{LENGTHS[place]:+.2f}" for place in found) or "none"
            yield from _jumps(bench, "stretch", name, LENGTHS, energies, [place for place in every if place not in found])
            yield counted("stretch", "shape: minima", name, len(found), f"at {at} angstrom")
            if found and (ends_early := _ends_early(bench, LENGTHS, energies, "angstrom longer")):
                yield Row("stretch", "shape: barrier beyond the end", name, verdict=NOT_APPLICABLE, note=ends_early)
            elif found:
                deepest = min(found, key=lambda place: energies[place])
                noise = bench.noise(molecule).energy
                barrier = max(0.0, float(np.nanmax(energies[deepest:])) - end)
                yield judged("stretch", "shape: barrier beyond the end", name, "eV", barrier, (0.05, 0.2), noise)
                depth = end - energies[deepest]
                if known and is_whole:
                    yield compared("stretch", "accuracy: depth", name, "eV", depth, known["depth"], known["source"])
                else:
                    yield told("stretch", "depth", name, "eV", depth)


def _label(molecule: Molecule, number: int) -> str:
    return f"{chemical_symbols[molecule.numbers[number]]}{number}"


def _carbon_and_oxygen(ethanol: Molecule) -> tuple[int, int]:
    return next(ends for ends in heavy_bonds(ethanol) if 8 in ethanol.numbers[list(ends)])


def bend(bench: Bench) -> Iterator[Row]:
    """Water over the whole turn: two equal minima and one top, where it is straight; CCO of ethanol: one minimum."""
    for molecule in bench.known([water(104.5)], in_domain=True):
        energies = _energies(bench, [water(degrees) for degrees in WATER_ANGLES])
        known = reference("bend", "water")
        bench.curve("bend", "water, HOH", "angle", "degree", WATER_ANGLES, energies - np.nanmin(energies), molecule, known)
        minima, maxima = extrema(energies, _depth(bench, molecule))
        straight = int(np.argmin(np.abs(WATER_ANGLES - 180.0)))
        if not np.isfinite(energies[straight]):
            why = "the training data end before" if bench.subject.domain else "the calculator failed there"
            verdict = NOT_APPLICABLE if bench.subject.domain else ERROR
            yield Row("bend", "straight water", "water", verdict=verdict, note=why)
            continue
        at = " and ".join(f"{WATER_ANGLES[place]:.0f}" for place in minima) or "none"
        is_right = len(minima) == 2 and [abs(place - straight) <= 1 for place in maxima] == [True]
        yield decided("bend", "shape: two minima, one top at 180", "water", is_right, f"minima at {at} degrees", float(len(minima)))
        uneven = float(np.nanmax(np.abs(energies - energies[::-1])))
        yield bench.small_energy("bend", "E(angle) - E(360 - angle)", molecule, uneven, ENERGY_LIMITS)
        height = energies[straight] - np.nanmin(energies)
        if known:
            yield compared("bend", "accuracy: straight - lowest", "water", "eV", energies[straight] - np.nanmin(energies[:straight]),
                           known["height"], known["source"])  # fmt: skip
        yield told(
            "bend",
            "straight - bent (104.5)",
            "water",
            "eV",
            energies[straight] - bench.subject.energy(molecule),
            f"{height:.3g} above the lowest",
        )
    for molecule in bench.known([of_collection("CH3CH2OH", "ethanol")], in_domain=True):
        first, middle, last = _cco(molecule)
        energies = _energies(bench, [bent(molecule, first, middle, last, by) for by in BENDS])
        bench.curve("bend", "ethanol, CCO", "wider by", "degree", BENDS, energies - np.nanmin(energies), molecule)
        minima, maxima = extrema(energies, _depth(bench, molecule))
        yield decided("bend", "shape: one minimum", "ethanol", (len(minima), len(maxima)) == (1, 0), value=float(len(minima)))
    bench.some([water(104.5), of_collection("CH3CH2OH", "ethanol")], in_domain=True)


def _cco(ethanol: Molecule) -> tuple[int, int, int]:
    carbon, oxygen = sorted(_carbon_and_oxygen(ethanol), key=lambda number: ethanol.numbers[number])
    first = next(number for ends in heavy_bonds(ethanol) for number in ends if ethanol.numbers[number] == 6 and number != carbon)
    return first, carbon, oxygen


def torsion(bench: Bench) -> Iterator[Row]:
    """Ethane has three equal minima; a biaryl (which ships planar) twisted to the left and to the right has one energy."""
    ethane = of_collection("C2H6", "ethane")
    for molecule in bench.known([ethane], in_domain=True):
        energies = _energies(bench, [turned(molecule, 0, 1, degrees) for degrees in ETHANE_TURNS])
        known = reference("torsion", "ethane")
        bench.curve("torsion", "ethane", "turned by", "degree", ETHANE_TURNS, energies - np.nanmin(energies), molecule, known)
        minima, _ = extrema(energies, max(MEV, NOISES * bench.noise(molecule).energy), is_closed=True)
        yield decided("torsion", "shape: three minima", "ethane", len(minima) == 3, value=float(len(minima)))
        third = len(energies) // 3
        uneven = max(float(np.nanmax(np.abs(np.roll(energies, n * third) - energies))) for n in (1, 2))
        yield bench.small_energy("torsion", "E(φ) - E(φ + 120)", molecule, uneven, (0.1, 0.26))
        if known:
            yield compared("torsion", "accuracy: barrier", "ethane", "eV", float(np.ptp(energies[np.isfinite(energies)])), known["height"],
                           known["source"])  # fmt: skip
    for molecule in bench.known([shipped("biphenyl"), shipped("2-phenylpyridine"), *bench.own], in_domain=True):
        for first, second in heavy_bonds(molecule, inner=True):
            energies = _energies(bench, [turned(molecule, first, second, degrees) for degrees in BIARYL_TURNS])
            name = f"{molecule.name}, {_label(molecule, first)}-{_label(molecule, second)}"
            bench.curve("torsion", name, "turned by", "degree", BIARYL_TURNS, energies - np.nanmin(energies), molecule)
            if not molecule.is_own:
                uneven = float(np.nanmax(np.abs(energies[1:] - energies[1:][::-1])))
                yield bench.small_energy("torsion", "E(φ) - E(-φ)", molecule, uneven, ENERGY_LIMITS)
            yield told("torsion", "highest - lowest", name, "eV", float(np.nanmax(energies) - np.nanmin(energies)))
    bench.some([ethane, shipped("biphenyl"), *bench.own], in_domain=True)


def cyclobutadiene_map(bench: Bench) -> Iterator[Row]:
    """Two equal rectangles with the square as the saddle between them, over the whole map of both sides."""
    (molecule,) = bench.some([cyclobutadiene(1.56, 1.335)], in_domain=True)
    energies = np.array([_energies(bench, [cyclobutadiene(a, b) for b in SIDES]) for a in SIDES])
    energies -= np.nanmin(energies)
    bench.maps.append({"test": "cyclobutadiene", "name": "cyclobutadiene", "x": SIDES.tolist(), "y": SIDES.tolist(),
                       "z": [[round(float(value), 5) if np.isfinite(value) else None for value in row] for row in energies]})  # fmt: skip
    uneven = float(np.nanmax(np.abs(energies - energies.T)))
    yield bench.small_energy("cyclobutadiene", "E(a, b) - E(b, a)", molecule, uneven, ENERGY_LIMITS)
    lowest = np.unravel_index(np.nanargmin(energies), energies.shape)
    a, b = (float(SIDES[place]) for place in lowest)
    is_inside = {0, len(SIDES) - 1}.isdisjoint(int(place) for place in lowest)
    words = f"{a:.2f} x {b:.2f} angstrom{'' if is_inside else ', at the edge of the map'}"
    yield decided(
        "cyclobutadiene", "shape: the minimum is a rectangle", molecule.name, abs(a - b) > 0.1 and is_inside, words, abs(a - b), "angstrom"
    )
    square = float(np.nanmin(np.diagonal(energies)))
    known = reference("cyclobutadiene", "cyclobutadiene")
    of_known = f"; {known['source']}: {known['height']:.3f}" if known else ""
    verdict = PASS if 0.2 <= square <= 0.6 else WARN
    note = f"multi-reference theory has 0.2 to 0.6{of_known}"
    yield Row("cyclobutadiene", "accuracy: best square - lowest", "cyclobutadiene", "eV", square, verdict=verdict, note=note)


def _source(known: dict | None) -> str:
    return "" if not known else f"{known['depth']:.3g} eV: {known['source']}" if "depth" in known else known["source"]
