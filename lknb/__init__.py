"""LiveKit rooms inside a notebook."""

from lknb._version import __version__
