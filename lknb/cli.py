"""The `lknb` command: `serve` starts a LiveKit-compatible server, `join` joins a room and publishes, `lab` opens or runs
notebooks.

Nothing heavy is imported here: each verb imports what it needs, so that `lknb serve` is ready in well under a second.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lknb._version import __version__
from lknb.join import add_flags as add_join_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code. `argv` is without the program's name, by default the process's own."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["serve"]:
        # before argparse: the server knows its own flags, and prints its own help
        from lknb.server.cli import main as serve

        return serve(arguments[1:])
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    chosen = _parser().parse_args(arguments[:cut])
    if chosen.verb == "lab":
        from lknb.lab import run

        return run(
            chosen.notebooks, headless=chosen.headless, cell_timeout_s=chosen.cell_timeout, flags=arguments[cut + 1 :]
        )
    if chosen.verb == "join":
        from lknb.join import run as join

        return join(chosen)
    _parser().print_help()
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lknb", description="LiveKit rooms inside a Jupyter notebook.")
    parser.add_argument("--version", action="version", version=f"lknb {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb")
    verbs.add_parser("serve", add_help=False, help="start a LiveKit-compatible server (lknb serve --help)")
    join = verbs.add_parser("join", help="join a room, and publish files or a test picture (lknb join --help)")
    add_join_flags(join)
    lab = verbs.add_parser(
        "lab",
        usage="lknb lab [--headless] [notebook ...] [-- flags of JupyterLab]",
        help="open notebooks in JupyterLab, or run them without a browser",
    )
    lab.add_argument("notebooks", nargs="*", metavar="notebook", help="path of an .ipynb file")
    lab.add_argument("--headless", action="store_true", help="run the notebooks here, print what happens, and end")
    lab.add_argument(
        "--cell-timeout",
        type=float,
        default=120.0,
        metavar="seconds",
        help="with --headless: how long one cell may take (default: %(default)s)",
    )
    return parser
