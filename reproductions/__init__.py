"""Reproductions of the paper's figures and tables, one script each; ``paper.py`` holds the published numbers."""
