"""Potentials inside simulation programs: each module needs its program installed, and is imported by its own name."""
