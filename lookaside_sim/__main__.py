"""``python -m lookaside_sim``: the command line."""

import sys

from lookaside_sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
