"""`python -m lknb`, the same as the `lknb` command."""

import sys

from lknb.cli import main

if __name__ == "__main__":
    sys.exit(main())
