"""What is far apart: separate molecules do not know of each other, and interactions end without a jump."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from scipy.signal import find_peaks
from scipy.spatial.distance import cdist

from amp_tf.physics.bench import LARGEST, Bench, NotApplicable
from amp_tf.physics.molecules import together, water
from amp_tf.physics.noise import Noise
from amp_tf.physics.subject import MEV, Molecule, PointLost
from amp_tf.physics.symmetry import ENERGY_LIMITS
from amp_tf.physics.verdicts import WARN, Row, judged, told

DISTANCES = np.geomspace(3.0, 100.0, 30)
"""Between two molecules, angstrom, beside 50 and 100."""

SPACINGS, COPIES = (50.0, 100.0), (2, 4, 8)
"""Of copies of a molecule, angstrom, and how many of them. At 30 angstrom what falls faster than 1/r³ leaves
1e-3 meV of eight waters with GFN2-xTB, which would be taken for a defect."""

JUMP_LIMITS, FORCE_JUMP_LIMITS = (1e-3, 1.0), (1.0, 10.0)
"""meV; meV/angstrom."""

NEAREST, FARTHEST, SPACING = 2.0, 12.0, 0.005
"""Of two waters' oxygens, angstrom."""

CHARGE, NEAREST_CHARGE = 0.4, 3.0
"""A charge as hydrogen atoms of water have, e, and how near to an atom it starts, angstrom."""

MOST_PEAKS = 20
"""Places off the trend that are looked at in shorter steps, the largest first."""


def extensivity(bench: Bench) -> Iterator[Row]:
    """E(AB) → E(A) + E(B). Dipoles far apart interact as 1/r³, which is physics: what is left of twice the distance is not."""
    molecules = [molecule for molecule in bench.molecules() if molecule.charge == 0]
    if not molecules:
        raise NotApplicable("ions far apart interact; there is no neutral molecule")
    for first, second in zip(molecules, molecules[1:] + molecules[:1], strict=True):
        alone, name = bench.subject.energy(first) + bench.subject.energy(second), f"{first.name} and {second.name}"
        near, far = (bench.subject.energy(_apart(first, second, distance)) - alone for distance in (50.0, 100.0))
        noisier = max((first, second), key=lambda molecule: bench.noise(molecule).energy)
        if first is molecules[0] and bench.is_thorough:
            found = bench.subject.curve([_apart(first, second, distance) for distance in DISTANCES])
            bench.curve("extensivity", name, "distance", "angstrom", DISTANCES, found - alone, noisier)
        yield _judged_limit(bench, noisier, name, near, far, 2)
    molecule = molecules[0]
    alone = bench.subject.energy(molecule)
    for n in COPIES:
        shifts = [np.arange(n)[:, None] * [0.0, 0.0, spacing] for spacing in SPACINGS]
        rows = [together(*(molecule.at(molecule.positions + shift) for shift in of_all), name=molecule.name) for of_all in shifts]
        near, far = (bench.subject.energy(row) - n * alone for row in rows)
        yield _judged_limit(bench, molecule, f"{n} copies of {molecule.name}", near, far, n)


def _judged_limit(bench: Bench, molecule: Molecule, name: str, near: float, far: float, n: int) -> Row:
    """The verdict on c of E = c + a/r³ through the energies at r and 2 r of ``n`` molecules."""
    noise = np.sqrt(2.0 * n) * bench.noise(molecule).energy
    limit = abs(8.0 * far - near) / 7.0
    return judged("extensivity", "E(all) - ΣE(each), infinitely far", name, "meV", limit / MEV, ENERGY_LIMITS, noise / MEV)


def _apart(first: Molecule, second: Molecule, distance: float) -> Molecule:
    centred = [part.positions - part.positions.mean(axis=0) for part in (first, second)]
    return together(first.at(centred[0]), second.at(centred[1] + [0.0, 0.0, distance]), name=f"{first.name} and {second.name}")


def cutoff(bench: Bench) -> Iterator[Row]:
    """Energy and forces have no jump where two waters part, of a calculator that is for them, and where a charge leaves a molecule, of one
    that embeds; how far two waters know of each other is told."""
    waters, molecules, embed = bench.known([water(104.5)], in_domain=True), [], bench.subject.embed
    if embed is not None:
        with suppress(NotApplicable):
            molecules = bench.molecules(in_domain=True)
    if not waters and not molecules:
        bench.some([water(104.5)], in_domain=True)  # tells why
    if waters:
        yield from _two_waters(bench)
    if embed is not None and molecules:
        yield from _passing_charge(bench, embed, molecules[0])


def _two_waters(bench: Bench) -> Iterator[Row]:
    first, second = water(104.5), water(104.5)
    second = second.at(second.positions @ np.diag([1.0, -1.0, -1.0]))  # turned away, so that oxygens face each other
    distances = np.arange(NEAREST, FARTHEST + 0.5 * SPACING, SPACING)

    def at(place: float) -> tuple[float, np.ndarray]:
        return bench.subject.both(together(first, second.at(second.positions + [0.0, -place, 0.0]), name="two waters"))

    both = _scanned(at, distances)
    energies = both[0][:, 0]
    apart = together(first, second.at(second.positions + [0.0, -1e3, 0.0]), name="two waters")
    alone = bench.subject.energy(apart)
    bench.curve("cutoff", "two waters", "distance of the oxygens", "angstrom", distances[::5], energies[::5] - alone, apart)
    noise = bench.noise(apart)
    if lost := int(np.count_nonzero(~np.isfinite(energies))):
        yield Row("cutoff", "points lost", "two waters", value=float(lost), verdict=WARN, note=f"of {len(energies)}")
    touched = np.flatnonzero(np.abs(energies - alone) > max(1e-6, 5.0 * noise.energy))
    reach = distances[touched[-1]] if len(touched) else 0.0
    yield told("cutoff", "range of the interaction", "two waters", "angstrom", reach, "at least" if reach >= FARTHEST - 0.01 else "")
    yield from _jumps(at, distances, both, noise, "two waters")


def _passing_charge(bench: Bench, embed: Callable[..., Any], molecule: Molecule) -> Iterator[Row]:
    """A charge leaves a molecule on a straight line."""
    way = bench.random("cutoff").normal(size=3)
    way /= np.linalg.norm(way)
    middle = molecule.positions.mean(axis=0)
    extent = np.linalg.norm(molecule.positions - middle, axis=1).max()
    line = np.arange(0.0, extent + NEAREST_CHARGE + SPACING, SPACING)
    nearest = cdist(middle + line[:, None] * way, molecule.positions).min(axis=1)
    start = line[np.flatnonzero(nearest < NEAREST_CHARGE)[-1] + 1]
    distances = start + np.arange(0.0, FARTHEST - NEAREST, SPACING)
    name = f"{molecule.name} and a charge of {CHARGE:g} e"

    def at(place: float) -> tuple[float, np.ndarray]:
        energy, forces, on_charge = embed(molecule, (middle + place * way)[None], np.array([CHARGE]))
        return energy, np.concatenate([forces, on_charge])

    both = _scanned(at, distances)
    bench.curve("cutoff", name, "distance of the charge from the middle", "angstrom", distances[::5], both[0][::5, 0], molecule)
    yield from _jumps(at, distances, both, bench.noise(molecule), name)


Scan = tuple[np.ndarray, np.ndarray]


def _scanned(at: Callable[[float], tuple[float, np.ndarray]], places: np.ndarray) -> Scan:
    """Energies [n, 1] and forces [n, m]; NaN where a point was lost."""
    found: list[tuple[float, np.ndarray] | None] = []
    for place in places:
        try:
            found.append(at(place))
        except PointLost:
            found.append(None)
    size = next((forces.size for _, forces in filter(None, found)), 1)
    rows = [(np.nan, np.full(size, np.nan)) if point is None else point for point in found]
    return np.array([[energy] for energy, _ in rows]), np.array([np.ravel(forces) for _, forces in rows])


def _jumps(at: Callable[[float], tuple[float, np.ndarray]], distances: np.ndarray, both: Scan, noise: Noise, name: str) -> Iterator[Row]:
    for kind, (metric, limits, rounding, unit) in enumerate((
        ("largest jump of the energy", JUMP_LIMITS, noise.energy, "meV"),
        ("largest jump of a force", FORCE_JUMP_LIMITS, noise.forces, "meV/angstrom"),
    )):  # fmt: skip
        jumps = np.nan_to_num(np.abs(_off_trend(both[kind])).max(axis=1))
        middles = 0.5 * (distances[2:-3] + distances[3:-2])
        jump, middle = jumps.max(), middles[jumps.argmax()]
        if jump > limits[0] * MEV:  # where the curve is steep, the trend is a poor one: a jump stays in shorter steps
            peaks = find_peaks(jumps, height=limits[0] * MEV, distance=10)[0].tolist() or [int(jumps.argmax())]
            found = []
            for peak in sorted(peaks, key=lambda peak: -jumps[peak])[:MOST_PEAKS]:
                finer = middles[peak] + 0.1 * SPACING * np.arange(-10.0, 11.0)
                refined = float(np.nanmax(np.abs(_off_trend(_scanned(at, finer)[kind])), initial=0.0))
                found.append((min(float(jumps[peak]), refined), float(middles[peak])))
            jump, middle = max(found)
        where = f"at {middle:.2f} angstrom"
        yield judged("cutoff", metric, name, unit, jump / MEV, limits, LARGEST * rounding / MEV, where)


def _off_trend(values: np.ndarray) -> np.ndarray:
    """How far each difference of neighbours is from the cubic through the two before and the two after it, [n − 5, m]."""
    steps = np.diff(values, axis=0)
    return steps[2:-2] - (-steps[:-4] + 4.0 * steps[1:-3] + 4.0 * steps[3:-1] - steps[4:]) / 6.0
