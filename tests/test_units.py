"""Conversion factors against values worked out from the CODATA 2018 table itself."""

import pytest

from amp_tf import units

ELEMENTARY_CHARGE, AVOGADRO = 1.602176634e-19, 6.02214076e23
HARTREE_JOULE, BOHR_METRE, VACUUM_PERMITTIVITY = 4.3597447222071e-18, 5.29177210903e-11, 8.8541878128e-12


def test_hartree():
    assert pytest.approx(HARTREE_JOULE * AVOGADRO / 1000, rel=1e-10) == units.HARTREE


def test_bohr():
    assert pytest.approx(BOHR_METRE * 1e10, rel=1e-10) == units.BOHR


def test_electronvolt_and_calorie():
    assert pytest.approx(ELEMENTARY_CHARGE * AVOGADRO / 1000, rel=1e-10) == units.EV
    assert pytest.approx(4.184) == units.KCAL_PER_MOL


def test_coulomb_constant():
    joule_metre = ELEMENTARY_CHARGE**2 / (4 * 3.141592653589793 * VACUUM_PERMITTIVITY)
    assert pytest.approx(joule_metre * 1e10 * AVOGADRO / 1000, rel=1e-9) == units.COULOMB_CONSTANT
