"""Run the command line from a checkout, without installing it: ``python cli.py --help``."""

import sys
from pathlib import Path

sys.path.extend(
    str(Path(__file__).resolve().parent / folder) for folder in ("predictors", "search_plugins")
)

from latbench.cli.main import main

# Worker processes import this file again: they must not start the command a second time.
if __name__ == "__main__":
    main()
