"""Drawing scripts, one a figure of the paper; each reads a result file alone and writes PNG and PDF."""
