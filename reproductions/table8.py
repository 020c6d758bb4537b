"""Table 8: errors of the gradients of Figure 3 by size of the cluster. ``make reproduce-table8``."""

from reproductions.figure3 import table_app

if __name__ == "__main__":
    table_app("table8", "qm_gradients")()
