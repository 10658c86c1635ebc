"""What can be known without running: style, types of both languages, and no markup written into a page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import npm

ROOT = Path(__file__).resolve().parents[1]
# text of strangers reaches a page as text only, and no string becomes code
FORBIDDEN_SCRIPT = re.compile(r"\b(innerHTML|insertAdjacentHTML|outerHTML|eval\s*\(|new\s+Function|document\.write)")
# the same for markup made in Python: ipywidgets.HTML may show a constant, never a variable or an f-string
FORBIDDEN_WIDGET = re.compile(r"\bHTML(Math)?\(\s*(value\s*=\s*)?(?![\s\"')])")
NOT_OURS = {"node_modules", ".venv", ".cache", ".git", ".ipynb_checkpoints"}


def check(*command: str | Path) -> None:
    """Run a checker; its words are the failure."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)


def sources(*suffixes: str, under: str = "") -> list[Path]:
    """Every file of ours with one of these suffixes."""
    return sorted(
        path
        for path in (ROOT / under).rglob("*")
        if path.suffix in suffixes and not NOT_OURS.intersection(path.relative_to(ROOT).parts)
    )


def test_ruff_finds_no_fault() -> None:
    check(sys.executable, "-m", "ruff", "check", "lknb", "tests")


def test_everything_is_formatted() -> None:
    check(sys.executable, "-m", "ruff", "format", "--check", "lknb", "tests")


def test_types_of_the_package_are_strict() -> None:
    check(sys.executable, "-m", "mypy", "--strict", "lknb")


def test_types_of_the_widgets_scripts_hold() -> None:
    """JSDoc types, checked by the TypeScript compiler. Nothing is compiled: the sources are what runs."""
    check("node", npm.package("typescript") / "bin" / "tsc", "--project", "lknb/widgets/js", "--noEmit")


def test_types_of_the_test_page_hold(tmp_path: Path) -> None:
    """The page that drives livekit-client, against the types livekit-client declares."""
    types_of_livekit = [str(npm.package("livekit-client") / "dist" / "src" / "index.d.ts")]
    options = {
        "allowJs": True,
        "checkJs": True,
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "target": "ES2022",
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "lib": ["ES2022", "DOM", "DOM.Iterable"],
        "types": [],
        "paths": {"livekit-client": types_of_livekit, "/livekit-client/livekit-client.esm.mjs": types_of_livekit},
    }
    config = tmp_path / "tsconfig.json"
    config.write_text(
        json.dumps(
            {"compilerOptions": options, "files": [str(script) for script in sources(".js", under="tests/kit/page")]}
        )
    )
    check("node", npm.package("typescript") / "bin" / "tsc", "--project", config)


@pytest.mark.parametrize("script", sources(".js", ".mjs", ".html"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_script_writes_markup_or_runs_text(script: Path) -> None:
    assert not [line for line in script.read_text().splitlines() if FORBIDDEN_SCRIPT.search(line)]


@pytest.mark.parametrize("source", sources(".py", under="lknb"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_widget_shows_a_variable_as_markup(source: Path) -> None:
    assert not [line for line in source.read_text().splitlines() if FORBIDDEN_WIDGET.search(line)]


@pytest.mark.parametrize(
    "line",
    [
        "tile.innerHTML = name;",
        "tile.insertAdjacentHTML('beforeend', name);",
        "eval(text)",
        "new Function (text)",
        "document.write(text)",
    ],
)
def test_a_forbidden_line_is_found(line: str) -> None:
    assert FORBIDDEN_SCRIPT.search(line)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ipywidgets.HTML(name)", True),
        ("HTML(value=name)", True),
        ('HTML(f"<b>{name}</b>")', True),
        ('HTML("<b>live</b>")', False),
        ("HTML()", False),
    ],
)
def test_a_widget_with_a_variable_is_found(line: str, found: bool) -> None:
    assert bool(FORBIDDEN_WIDGET.search(line)) is found


def test_the_run_scripts_are_scripts() -> None:
    for script in ("notebooks/run", "tests/run", ".ci/run", "binder/postBuild"):
        path = ROOT / script
        assert path.stat().st_mode & 0o111, f"{script} is not executable"
        assert "set -euo pipefail" in path.read_text()
        check("bash", "-n", path)
