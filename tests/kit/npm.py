"""Where the npm packages of the tests are. `tests/run` puts them there; LKNB_TEST_NPM names another folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WANTED: dict[str, str] = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]


def package(name: str) -> Path:
    """The folder of an npm package, in the version of package.json. AssertionError, with what to do, when it is not."""
    folder = Path(os.environ.get("LKNB_TEST_NPM", ROOT / ".cache" / "npm")) / "node_modules" / name
    assert folder.is_dir(), f"{folder} is missing: run tests/run once"
    version = json.loads((folder / "package.json").read_text())["version"]
    assert version == WANTED[name], f"{folder} is {version}, not {WANTED[name]}: run tests/run once"
    return folder
