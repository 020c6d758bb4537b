"""Table 7: errors of the energies of Figure 3 by size of the cluster. ``make reproduce-table7``."""

from reproductions.figure3 import table_app

if __name__ == "__main__":
    table_app("table7", "energy")()
