"""Every physical constant and conversion factor of the package, once.

Inside the package and in every file that it writes: angstrom, kJ/mol, kJ/mol/angstrom, elementary charge.
Source of the constants: CODATA 2018 as tabulated by :func:`ase.units.create_units`, fixed to that year so that a newer ASE does not change
a stored energy; ASE 3.23 had another magnetic constant of that year, in the tenth digit.
"""

from ase.units import create_units

_CODATA = create_units("2018")  # eV = angstrom = e = 1
_KJ_PER_MOL_IN_EV = _CODATA["kJ"] / _CODATA["mol"]

LENGTH = "angstrom"
ENERGY = "kJ/mol"
GRADIENT = "kJ/mol/angstrom"
CHARGE = "e"
DIPOLE = "e*angstrom"

HARTREE: float = _CODATA["Hartree"] / _KJ_PER_MOL_IN_EV
"""One hartree in kJ/mol."""

BOHR: float = _CODATA["Bohr"]
"""One bohr in angstrom."""

EV: float = 1.0 / _KJ_PER_MOL_IN_EV
"""One electronvolt in kJ/mol."""

KCAL_PER_MOL: float = _CODATA["kcal"] / _CODATA["kJ"]
"""One kcal/mol in kJ/mol."""

COULOMB_CONSTANT: float = HARTREE * BOHR
"""Energy of two elementary charges one angstrom apart, kJ/mol (e²/4πε₀ is one hartree·bohr)."""

DEBYE: float = _CODATA["Debye"]
"""One debye in e*angstrom."""

JOULE_PER_KILOJOULE = 1000.0

GAS_CONSTANT: float = _CODATA["kB"] / _KJ_PER_MOL_IN_EV
"""Of ideal gases, kJ/mol/K."""
