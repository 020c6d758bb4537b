"""Builders of the reference data sets, one module each, and the quantum chemistry engines behind them."""
