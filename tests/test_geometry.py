"""What speaks against a geometry: pieces that are no molecules or ions, and MM particles in another unit or one image away."""

import numpy as np
import pytest
from ase.data import atomic_numbers
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.data.hdf5 import read_reference_data
from amp_tf.geometry import geometry_complaint
from datasets.qmmm_solutes import SHIPPED_FILE

WATER = np.array([[0.0, 0, 0], [0.757, 0.586, 0], [-0.757, 0.586, 0]])
SYMBOLS = {
    "ammonium": "N H H H H", "hydronium": "O H H H", "hydroxide": "O H", "chloride": "Cl", "sodium": "Na", "water": "O H H",
    "acetate": "C C O O H H H", "guanidinium": "C N N N H H H H H H", "cyanide": "C N", "tetrafluoroborate": "B F F F F",
    "methyl": "C H H H", "ammonia": "N H H H", "amino": "N H H",
}  # fmt: skip
CORNERS = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)


def at_angles(length, *degrees):
    return [length * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0]) for angle in degrees]


def positions_of(name):
    origin = np.zeros((1, 3))
    if name == "guanidinium":
        nitrogens = at_angles(1.33, 0, 120, 240)
        hydrogens = [nitrogen + turned for nitrogen, angle in zip(nitrogens, (0, 120, 240), strict=True) for turned in
                     at_angles(1.01, angle - 60, angle + 60)]  # fmt: skip
        return np.concatenate([origin, nitrogens, hydrogens])
    if name == "acetate":
        carboxyl, *oxygens = at_angles(1.54, 0)[0], *(at_angles(1.54, 0)[0] + arm for arm in at_angles(1.26, 62, -62))
        methyl = 1.09 * CORNERS[:3] @ Rotation.align_vectors([[1.0, 0, 0]], [CORNERS[3]])[0].as_matrix().T
        return np.concatenate([origin, [carboxyl], oxygens, methyl])
    return {
        "ammonium": np.concatenate([origin, 1.02 * CORNERS]),
        "tetrafluoroborate": np.concatenate([origin, 1.40 * CORNERS]),
        "hydronium": np.concatenate([origin, 0.98 * CORNERS[:3]]),
        "ammonia": np.concatenate([origin, 1.02 * CORNERS[:3]]),
        "methyl": np.concatenate([origin, 1.09 * CORNERS[:3]]),
        "amino": np.concatenate([origin, 1.02 * CORNERS[:2]]),
        "hydroxide": np.array([[0.0, 0, 0], [0.97, 0, 0]]),
        "cyanide": np.array([[0.0, 0, 0], [1.17, 0, 0]]),
        "water": WATER,
    }.get(name, origin)


def complaint_of(first, second, gap):
    """What is said of two pieces whose nearest atoms are ``gap`` apart."""
    one, other = positions_of(first), positions_of(second)
    other = other + [one[:, 0].max() - other[:, 0].min() + gap, 0.0, 0.0]
    numbers = np.array([atomic_numbers[symbol] for name in (first, second) for symbol in SYMBOLS[name].split()])
    return geometry_complaint(numbers, np.concatenate([one, other]), np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ammonium", "chloride"), ("acetate", "sodium"), ("acetate", "ammonium"), ("hydroxide", "water"), ("hydronium", "chloride"),
        ("guanidinium", "acetate"), ("ammonium", "cyanide"), ("tetrafluoroborate", "sodium"), ("hydronium", "hydroxide"),
    ],
)  # fmt: skip
def test_ions_out_of_contact_are_molecules(first, second):
    assert complaint_of(first, second, 6.0) is None
    assert complaint_of(first, second, 2.5) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [("methyl", "hydroxide"), ("methyl", "amino"), ("methyl", "methyl"), ("amino", "amino"), ("methyl", "water"), ("ammonia", "methyl")],
)
def test_pieces_that_a_box_has_torn_are_none(first, second):
    assert "are no molecule and are out of contact with the rest" in complaint_of(first, second, 6.0)


def liquid(edge, seed=0):
    """Molecules of water [n, 3, 3] in a cube around 0, at the density of the liquid, but none at the atom there."""
    random = np.random.default_rng(seed)
    n_molecules = round(0.0334 * edge**3)
    per_edge = int(np.ceil(n_molecules ** (1 / 3)))
    places = (np.stack(np.indices([per_edge] * 3), axis=-1).reshape(-1, 3) + 0.5) * edge / per_edge - edge / 2
    places = random.permutation(places)[:n_molecules] + random.normal(0.0, 0.45, size=(n_molecules, 3))
    places = places[np.linalg.norm(places, axis=1) > 3.0]
    return places[:, None] + np.stack([WATER @ turn.as_matrix() for turn in Rotation.random(len(places), random_state=seed)])


def said_of(molecules, more=()):
    particles = np.concatenate([molecules.reshape(-1, 3), np.reshape(more, (-1, 3))])
    return geometry_complaint(np.array([8, 1, 1]), WATER, particles)


def zone(waters, radius):
    return waters[np.linalg.norm(waters[:, 0], axis=1) < radius]


EDGE = 31.0
ORDINARY = {
    "a box": lambda waters, random: waters,
    "a zone": lambda waters, random: zone(waters, 14.0),
    "a small zone": lambda waters, random: zone(waters, 9.0),
    "few molecules": lambda waters, random: zone(waters, 5.5),
    "a slab": lambda waters, random: waters[np.abs(waters[:, 0, 2]) < 5.0],
    "a thin slab": lambda waters, random: waters[np.abs(waters[:, 0, 2]) < 2.5],
    "a surface": lambda waters, random: zone(waters[waters[:, 0, 2] > 0.0], 14.0),
    "sites of oxygen": lambda waters, random: waters[:, :1],
    "few ions": lambda waters, random: random.uniform(-100.0, 100.0, size=(40, 1, 3)),
    "points at random": lambda waters, random: random.uniform(-11.0, 11.0, size=(300, 1, 3)),
    "an ionic crystal": lambda waters, random: 2.0 * np.stack(np.indices([9] * 3), axis=-1).reshape(-1, 1, 3) - 8.0,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_surroundings_raise_no_alarm(name, seed):
    around = ORDINARY[name](liquid(EDGE, seed), np.random.default_rng(seed))
    assert said_of(around) is None
    assert said_of(around, [[900.0, 0.0, 0.0]]) is None


def moved(waters, random, places, length):
    chosen = random.choice(places, size=len(waters))
    return waters + np.stack([chosen * length, 0 * chosen, 0 * chosen], axis=1)[:, None]


AWAY = {
    "a quarter at random": lambda waters, random, length: moved(waters, random, [0, 0, 0, 1], length),
    "a third at random": lambda waters, random, length: moved(waters, random, [0, 0, 1], length),
    "half to both sides": lambda waters, random, length: moved(waters, random, [0, 0, -1, 1], length),
    "unwrapped": lambda waters, random, length: waters + length * random.integers(-2, 3, size=(len(waters), 1, 3)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [9.0, 14.0, 99.0])
@pytest.mark.parametrize("name", AWAY)
def test_waters_one_image_away(name, radius, seed):
    around = zone(liquid(EDGE, seed), radius)
    assert "in a periodic box give its cell" in said_of(AWAY[name](around, np.random.default_rng(seed), EDGE))


@pytest.mark.parametrize("part", [0.25, 0.33])
@pytest.mark.parametrize("radius", [5.5, 9.0])
def test_waters_beyond_a_face_of_the_box(part, radius):
    around = zone(liquid(EDGE), radius)
    around[around[:, 0, 0] < np.quantile(around[:, 0, 0], part), :, 0] += EDGE
    assert "in a periodic box give its cell" in said_of(around)


@pytest.mark.parametrize("radius", [5.5, 9.0, 99.0])
@pytest.mark.parametrize(("scale", "unit"), [(1 / units.BOHR, "bohr"), (0.1, "nm")])
def test_particles_in_another_unit(radius, scale, unit):
    assert f"they look like {unit}; give angstrom" in said_of(zone(liquid(EDGE), radius) * scale)


@pytest.mark.parametrize("frame", range(0, 50, 10))
def test_zones_of_data_and_their_images(frame):
    """Of the box of 38 angstrom in which the water of the sample was simulated."""
    group = read_reference_data(SHIPPED_FILE).groups[0]
    middle = group.qm_positions[frame].mean(axis=0)
    waters = (group.mm_positions[group.mm_particles(frame)] - middle).reshape(-1, 3, 3)

    def said(moved):
        return geometry_complaint(group.qm_atomic_numbers, group.qm_positions[frame] - middle, moved.reshape(-1, 3))

    assert said(waters) is None
    for number in (len(waters) // 4, len(waters) // 3):
        by_place, by_number = waters.copy(), waters.copy()
        by_place[np.argsort(waters[:, 0, 0])[:number], :, 0] += 38.0
        by_number[:number, :, 1] -= 38.0
        assert "in a periodic box give its cell" in said(by_place)
        assert "in a periodic box give its cell" in said(by_number)
