"""What is far apart: separate molecules do not know of each other, and interactions end without a jump."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from scipy.signal import find_peaks
from scipy.spatial.distance import cdist

from amp_tf.errors import AmpTFError
from amp_tf.physics.bench import LARGEST, Bench, NotApplicable
from amp_tf.physics.molecules import together, water
from amp_tf.physics.noise import Noise
from amp_tf.physics.subject import MEV, Molecule, PointLost
from amp_tf.physics.symmetry import ENERGY_LIMITS
from amp_tf.physics.verdicts import WARN, Row, judged, told

DISTANCES = np.geomspace(3.0, 100.0, 30)
"""Between two molecules, angstrom, beside 50 and 100."""

SPACINGS, COPIES = (50.0, 100.0), (2, 4, 8)
"""Of molecules, angstrom, and how many copies there are of one. At 30 angstrom what falls faster than 1/r³ leaves
1e-3 meV of eight waters in a row with GFN2-xTB, which would be taken for a defect."""

JUMP_LIMITS, FORCE_JUMP_LIMITS = (1e-3, 1.0), (1.0, 10.0)
"""meV; meV/angstrom."""

NEAREST, FARTHEST, SPACING = 2.0, 12.0, 0.005
"""Of two waters' oxygens, angstrom."""

CHARGE, NEAREST_CHARGE = 0.4, 3.0
"""A charge as hydrogen atoms of water have, e, and how near to an atom it starts, angstrom."""

FAR_SPACING, FARTHEST_CHARGE = 0.1, 60.0
"""Of its places beyond :data:`FARTHEST` less :data:`NEAREST`, and how much farther it goes, angstrom."""

IN_CONTACT = 3.0
"""Two waters' oxygens where a potential that is for the two must be for them, angstrom."""

MOST_PEAKS = 20
"""Places off the trend that are looked at in shorter steps, the largest first."""


def extensivity(bench: Bench) -> Iterator[Row]:
    """E(AB) → E(A) + E(B). Dipoles far apart interact as 1/r³, which is physics: what is left of twice the distance is not."""
    molecules = [molecule for molecule in bench.molecules() if molecule.charge == 0]
    if not molecules:
        raise NotApplicable("ions far apart interact; there is no neutral molecule")
    for first, second in zip(molecules, molecules[1:] + molecules[:1], strict=True):
        alone, name = bench.subject.energy(first) + bench.subject.energy(second), f"{first.name} and {second.name}"
        pairs = [_apart(first, second, spacing) for spacing in SPACINGS]
        near, far = (bench.subject.energy(pair) - alone for pair in pairs)
        noisier = max((first, second), key=lambda molecule: bench.noise(molecule).energy)
        if first is molecules[0] and bench.is_thorough:
            found = bench.subject.curve([_apart(first, second, distance) for distance in DISTANCES])
            bench.curve("extensivity", name, "distance", "angstrom", DISTANCES, found - alone, noisier)
        yield _judged_limit(bench, noisier, pairs[1], name, near, far, 2)
    molecule = molecules[0]
    alone = bench.subject.energy(molecule)
    for n in COPIES:
        corners = np.array(list(np.ndindex(2, 2, 2)))[:n] - 0.5  # of a cube: single precision knows large coordinates badly
        shifts = [spacing * corners for spacing in SPACINGS]
        rows = [together(*(molecule.at(molecule.positions + shift) for shift in of_all), name=molecule.name) for of_all in shifts]
        near, far = (bench.subject.energy(row) - n * alone for row in rows)
        yield _judged_limit(bench, molecule, rows[1], f"{n} copies of {molecule.name}", near, far, n)


def _judged_limit(bench: Bench, molecule: Molecule, apart: Molecule, name: str, near: float, far: float, n: int) -> Row:
    """The verdict on c of E = c + a/r³ through the energies at r and 2 r of ``n`` molecules, ``apart`` at the latter."""
    noise = max(np.sqrt(2.0 * n) * bench.noise(molecule).energy, bench.noise(apart).energy)
    limit = abs(8.0 * far - near) / 7.0
    return judged("extensivity", "E(all) - ΣE(each), infinitely far", name, "meV", limit / MEV, ENERGY_LIMITS, noise / MEV)


def _apart(first: Molecule, second: Molecule, distance: float) -> Molecule:
    centred = [part.positions - part.positions.mean(axis=0) for part in (first, second)]
    return together(first.at(centred[0]), second.at(centred[1] + [0.0, 0.0, distance]), name=f"{first.name} and {second.name}")


def cutoff(bench: Bench) -> Iterator[Row]:
    """Energy and forces have no jump where two waters part, of a calculator that is for them, and where a charge leaves a molecule, of one
    that embeds; how far two waters know of each other is told."""
    asked = []
    with suppress(NotApplicable):
        if bench.subject.embed is not None:
            asked.append(_leaving_charge(bench, bench.molecules(in_domain=True)[0]))
    try:
        bench.every([water(104.5), _two_waters(IN_CONTACT)], in_domain=True)
        asked.append(_parting_waters(bench))
    except NotApplicable:
        if not asked:
            raise
    for rows in asked:
        yield from rows


def _two_waters(distance: float) -> Molecule:
    """Of their oxygens, which face each other, angstrom."""
    first, second = water(104.5), water(104.5)
    return together(first, second.at(second.positions @ np.diag([1.0, -1.0, -1.0]) + [0.0, -distance, 0.0]), name="two waters")


def _parting_waters(bench: Bench) -> Iterator[Row]:
    distances = np.arange(NEAREST, FARTHEST + 0.5 * SPACING, SPACING)

    def at(place: float) -> tuple[float, np.ndarray]:
        return bench.subject.both(_two_waters(place))

    both = _scanned(at, distances)
    energies = both[0][:, 0]
    alone, farthest = bench.subject.energy(_two_waters(1e3)), _two_waters(FARTHEST)
    bench.curve("cutoff", "two waters", "distance of the oxygens", "angstrom", distances[::5], energies[::5] - alone, farthest)
    noise = bench.noise(farthest)
    touched = np.flatnonzero(np.abs(energies - alone) > max(1e-6, 5.0 * noise.energy))
    reach = distances[touched[-1]] if len(touched) else 0.0
    yield told("cutoff", "range of the interaction", "two waters", "angstrom", reach, "at least" if reach >= FARTHEST - 0.01 else "")
    yield from _jumps(at, distances, both, noise, "two waters")


def _leaving_charge(bench: Bench, molecule: Molecule) -> Iterator[Row]:
    """A charge leaves a molecule on a straight line, in short steps and then in longer ones, beyond the cut-offs of long-range terms."""
    way = bench.random("cutoff").normal(size=3)
    way /= np.linalg.norm(way)
    middle = molecule.positions.mean(axis=0)
    extent = np.linalg.norm(molecule.positions - middle, axis=1).max()
    line = np.arange(0.0, extent + NEAREST_CHARGE + 3.0 * SPACING, SPACING)
    nearest = cdist(middle + line[:, None] * way, molecule.positions).min(axis=1)
    start = line[np.flatnonzero(nearest < NEAREST_CHARGE)[-1] + 1]
    near = start + np.arange(0.0, FARTHEST - NEAREST, SPACING)
    far = np.arange(near[-1] - 3.0 * FAR_SPACING, near[-1] + FARTHEST_CHARGE, FAR_SPACING)
    name = f"{molecule.name}, and {CHARGE:g} e"

    def at(place: float) -> tuple[float, np.ndarray]:
        try:
            energy, forces, on_charge = bench.subject.embed(molecule, (middle + place * way)[None], np.array([CHARGE]))
        except AmpTFError as error:
            raise PointLost(str(error)) from error
        return energy, np.concatenate([forces, on_charge])

    for distances, where in ((near, name), (far, f"{name} far away")):
        both = _scanned(at, distances)
        bench.curve("cutoff", where, "distance of the charge", "angstrom", distances[::5], both[0][::5, 0], molecule)
        yield from _jumps(at, distances, both, bench.noise(molecule), where)


Scan = tuple[np.ndarray, np.ndarray]


def _scanned(at: Callable[[float], tuple[float, np.ndarray]], places: np.ndarray) -> Scan:
    """Energies [n, 1] and forces [n, m]; NaN where a point was lost."""
    found: list[tuple[float, np.ndarray] | None] = []
    for place in places:
        try:
            energy, forces = at(place)
            found.append((energy, forces) if np.isfinite(energy) and np.all(np.isfinite(forces)) else None)
        except PointLost:
            found.append(None)
    size = next((forces.size for _, forces in filter(None, found)), 1)
    rows = [(np.nan, np.full(size, np.nan)) if point is None else point for point in found]
    return np.array([[energy] for energy, _ in rows]), np.array([np.ravel(forces) for _, forces in rows])


def _jumps(at: Callable[[float], tuple[float, np.ndarray]], distances: np.ndarray, both: Scan, noise: Noise, name: str) -> Iterator[Row]:
    if lost := int(np.count_nonzero(~np.isfinite(both[0]))):
        yield Row("cutoff", "points lost", name, value=float(lost), verdict=WARN, note=f"of {len(distances)}")
    if lost == len(distances):
        return
    spacing = distances[1] - distances[0]
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
                finer = middles[peak] + 0.1 * spacing * np.arange(-10.0, 11.0)
                refined = float(np.nanmax(np.abs(_off_trend(_scanned(at, finer)[kind])), initial=0.0))
                found.append((min(float(jumps[peak]), refined), float(middles[peak])))
            jump, middle = max(found)
        where = f"at {middle:.2f} angstrom"
        yield judged("cutoff", metric, name, unit, jump / MEV, limits, LARGEST * rounding / MEV, where)


def _off_trend(values: np.ndarray) -> np.ndarray:
    """How far each difference of neighbours is from the cubic through the two before and the two after it, [n − 5, m]."""
    steps = np.diff(values, axis=0)
    return steps[2:-2] - (-steps[:-4] + 4.0 * steps[1:-3] + 4.0 * steps[3:-1] - steps[4:]) / 6.0
