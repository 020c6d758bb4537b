"""Molecular dynamics of a solute in water, described by a potential or by a quantum chemistry engine; needs OpenMM."""
