"""Start structures of solutes: the three of the paper by name, any SMILES, or an xyz file with its charge."""

from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase.data import chemical_symbols
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from amp_tf import units
from amp_tf.data.electrons import total_charge
from amp_tf.data.xyz import read_atoms
from amp_tf.errors import InputError, not_installed
from amp_tf.geometry import are_bonded

CONTACT = 3.0
"""Shortest distance of atoms of two molecules that are placed as a contact pair, angstrom."""

PAPER_SOLUTES = {
    "uracil": ("O=c1cc[nH]c(=O)[nH]1", None),
    "retinoic-acid": ("CC1=C(C(C)(C)CCC1)/C=C/C(C)=C/C=C/C(C)=C/C(=O)O", None),
    "sam-cysteine": (
        "C[S+](CC[C@H](N)C(=O)[O-])C[C@H]1O[C@@H](n2cnc3c(N)ncnc32)[C@H](O)[C@@H]1O.SC[C@H](N)C(=O)O",
        ("[CH3][S+]", "[SH]"),
    ),
}
"""SMILES of the systems of Table 1 (uracil 12 atoms, retinoic acid 50, S-adenosylmethionine 49 with cysteine 14), and, for a pair, the
patterns whose first atoms face each other: the methyl group that is transferred, and the sulfur atom that takes it."""


@dataclass(frozen=True)
class Solute:
    """A molecule, or a few, that quantum mechanics describes.

    Attributes:
        name: of files and groups.
        atomic_numbers: [n_atoms].
        positions: [n_atoms, 3], angstrom.
        charge: total charge, e.
    """

    name: str
    atomic_numbers: np.ndarray
    positions: np.ndarray
    charge: int


def read_solute(text: str, charge: int | None = None) -> Solute:
    """By name (:data:`PAPER_SOLUTES`), from an xyz file, or from a SMILES.

    Raises:
        InputError: if the file or the SMILES cannot be read; for another ``charge`` than that of a name or a SMILES.
        EngineError: without RDKit.
    """
    if text.endswith((".xyz", ".extxyz")):
        return solute_from_xyz(Path(text), charge)
    solute = solute_by_name(text) if text in PAPER_SOLUTES else solute_from_smiles(text)
    if charge not in (None, solute.charge):
        raise InputError(f"{text} has a charge of {solute.charge:+d} e, not {charge:+d} e; correct it or --charge.")
    return solute


def solute_by_name(name: str, seed: int = 0) -> Solute:
    """One of :data:`PAPER_SOLUTES`.

    Raises:
        InputError: for another name.
    """
    if name not in PAPER_SOLUTES:
        raise InputError(f"unknown solute {name!r}; choose one of {', '.join(PAPER_SOLUTES)}, or give --smiles or --xyz.")
    smiles, facing = PAPER_SOLUTES[name]
    return solute_from_smiles(smiles, name, seed, facing)


def solute_from_smiles(smiles: str, name: str = "solute", seed: int = 0, facing: tuple[str, str] | None = None) -> Solute:
    """A conformer by RDKit (ETKDG, then MMFF94); the molecules of a dotted SMILES are placed in contact, one after the other.

    Args:
        facing: SMARTS of the first and the second molecule whose first atoms touch; a random direction otherwise.

    Raises:
        InputError: if RDKit refuses the SMILES or finds no conformer, or the shell is open.
        EngineError: without RDKit.
    """
    try:
        from rdkit import Chem, RDLogger
        from rdkit.Chem import AllChem
    except ImportError as error:
        raise not_installed("RDKit") from error

    RDLogger.DisableLog("rdApp.*")
    whole = Chem.MolFromSmiles(smiles)
    if whole is None or whole.GetNumAtoms() == 0:
        raise InputError(f"RDKit cannot read the SMILES {smiles!r}; correct it, or give --xyz and --charge.")
    numbers, positions, anchors = [], [], []
    for which, fragment in enumerate(Chem.GetMolFrags(whole, asMols=True)):
        molecule = Chem.AddHs(fragment)
        if AllChem.EmbedMolecule(molecule, randomSeed=seed + 1) != 0:
            raise InputError(f"RDKit finds no conformer of {Chem.MolToSmiles(fragment)!r}; give --xyz and --charge.")
        if AllChem.MMFFHasAllMoleculeParams(molecule):
            AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
        numbers.append(np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]))
        positions.append(molecule.GetConformer().GetPositions())
        anchors.append(molecule.GetSubstructMatch(Chem.MolFromSmarts(facing[which]))[:2] if facing and which < len(facing) else ())
    charge = Chem.GetFormalCharge(whole)
    together = positions[0]
    for which in range(1, len(positions)):
        pair = (anchors[0], anchors[which]) if which == 1 and facing else ((), ())
        together = np.concatenate([together, _in_contact(together, positions[which], *pair, np.random.default_rng([seed, which]))])
    solute = Solute(name, np.concatenate(numbers), together - together.mean(axis=0), charge)
    check_shell(solute.name, solute.atomic_numbers, solute.charge)
    return solute


def solute_from_xyz(path: Path, charge: int | None = None) -> Solute:
    """The one structure of a file that ASE reads; its charge is that of the file (``charge=`` in an extended xyz) or 0 by default.

    Raises:
        InputError: if the file cannot be read, holds several structures, states another charge, or the shell is open.
    """
    try:
        frames = read_atoms(path) if Path(path).suffix in (".xyz", ".extxyz") else ase.io.read(path, index=":")
    except Exception as error:  # each format of ASE raises its own
        raise InputError(f"{path}: ASE cannot read a structure from it ({' '.join(str(error).split())[:200]}).") from error
    if len(frames) != 1:
        raise InputError(f"{path}: {len(frames)} structures, of which a simulation starts from one; give a file of one frame.")
    atoms = frames[0]
    stated = total_charge(atoms, path, charge)
    if stated != round(stated):
        raise InputError(f"{path} states a charge of {stated:g} e, no whole number; correct the file.")
    solute = Solute(Path(path).stem, atoms.numbers, atoms.positions - atoms.positions.mean(axis=0), round(stated))
    check_shell(solute.name, solute.atomic_numbers, solute.charge)
    return solute


def check_shell(name: str, atomic_numbers: np.ndarray, charge: int) -> None:
    """Raises:
    InputError: for an odd number of electrons; ``name`` says of what.
    """
    if (int(np.sum(atomic_numbers)) - charge) % 2:
        raise InputError(f"{name}: an odd number of electrons at charge {charge:+d}; only closed shells are supported, correct the charge.")


def _in_contact(fixed: np.ndarray, moving: np.ndarray, face: tuple, moving_face: tuple, random: np.random.Generator) -> np.ndarray:
    """``moving`` turned and shifted until its closest atom is :data:`CONTACT` from ``fixed``.

    ``face`` are the numbers of the touching atom of ``fixed`` and of the atom behind it, ``moving_face`` begins with the touching atom.
    """
    if face:
        origin, direction = fixed[face[0]], fixed[face[0]] - fixed[face[1]]
        moving = moving - moving[moving_face[0]]
        outward = moving.mean(axis=0)
    else:
        origin, direction = fixed.mean(axis=0), random.normal(size=3)
        moving = moving - moving.mean(axis=0)
        outward = Rotation.random(random_state=random).apply(direction)
    direction = direction / np.linalg.norm(direction)
    moving = Rotation.align_vectors([direction], [outward])[0].apply(moving)
    for distance in np.arange(CONTACT if face else 0.0, 100.0, 0.05):
        placed = moving + origin + distance * direction
        if cdist(fixed, placed).min() >= CONTACT:
            return placed
    raise InputError("the two molecules cannot be placed in contact; give --xyz and --charge.")


# Lennard-Jones parameters between solute and water ---------------------------------------------------------------------------------------

_LENNARD_JONES = {
    "H on C": (1.4870, 0.0157), "H on N": (0.6000, 0.0157), "H on O": (0.0, 0.0), "H on S": (0.6000, 0.0157),
    "C": (1.9080, 0.1094), "C unsaturated": (1.9080, 0.0860), "N": (1.8240, 0.1700),
    "O": (1.6612, 0.2100), "O on H": (1.7210, 0.2104), "O bridge": (1.6837, 0.1700),
    "F": (1.7500, 0.0610), "P": (2.1000, 0.2000), "S": (2.0000, 0.2500),
    "Cl": (1.9480, 0.2650), "Br": (2.0200, 0.4200), "I": (2.1500, 0.5000),
}  # fmt: skip
"""R_min/2 (angstrom) and ε (kcal/mol) by kind of atom: Cornell et al., J. Am. Chem. Soc. 117, 5179 (1995); halogens Wang et al.,
J. Comput. Chem. 25, 1157 (2004), the general AMBER force field."""


def bonds(atomic_numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Whether two atoms are closer than 1.25 times the sum of their covalent radii, [n_atoms, n_atoms] bool."""
    return are_bonded(atomic_numbers, positions, reach=1.25)


def lennard_jones(solute: Solute) -> tuple[np.ndarray, np.ndarray]:
    """σ [n_atoms] in angstrom and ε [n_atoms] in kJ/mol for the interaction with water; an atom's kind follows from its neighbours.

    Raises:
        InputError: for an element without parameters.
    """
    bonded = bonds(solute.atomic_numbers, solute.positions)
    rows = []
    for number, neighbours in zip(solute.atomic_numbers, bonded, strict=True):
        symbol = chemical_symbols[number]
        around = [chemical_symbols[n] for n in solute.atomic_numbers[neighbours]]
        kind = symbol
        if symbol == "H":
            kind = f"H on {around[0] if around and around[0] in 'CNOS' else 'C'}"
        elif symbol == "C" and len(around) < 4:
            kind = "C unsaturated"
        elif symbol == "O" and len(around) >= 2:
            kind = "O on H" if "H" in around else "O bridge"
        if kind not in _LENNARD_JONES:
            raise InputError(f"{solute.name}: no Lennard-Jones parameters for {symbol}; add them to {__name__} with their source.")
        rows.append(_LENNARD_JONES[kind])
    half_minimum, epsilon = np.array(rows).T
    return half_minimum * 2.0 ** (5.0 / 6.0), epsilon * units.KCAL_PER_MOL
