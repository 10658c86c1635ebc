"""`python -m lknb.core --fd N`: the room core process. Started by `lknb.core.client`, not by hand."""

from __future__ import annotations

import argparse
import os
import socket

from lknb.core import process


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lknb.core", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="an inherited, connected stream socket to the kernel")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="pid to live with (default: our parent's)")
    parser.add_argument("--die-with-parent", action="store_true", help="ask the system for a signal at its end, too")
    arguments = parser.parse_args()
    process.run(socket.socket(fileno=arguments.fd), arguments.parent, die_with_parent=arguments.die_with_parent)


if __name__ == "__main__":
    main()
