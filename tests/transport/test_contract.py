from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib import metadata

import aioice.ice
import aiortc.rtcdtlstransport
import pytest
from packaging.specifiers import SpecifierSet

from lknb.errors import DependencyError
from lknb.transport import contract


def test_the_installed_versions_are_the_ones_we_know() -> None:
    contract.check()
    for package, wanted in contract.REQUIRED_VERSIONS.items():
        assert metadata.version(package) in SpecifierSet(wanted)
    assert contract.IN_PLACE_SRTP


def test_the_wheel_asks_for_the_same_versions() -> None:
    with open("pyproject.toml", encoding="utf-8") as file:
        text = file.read()
    for package, wanted in contract.REQUIRED_VERSIONS.items():
        assert f'"{package}{wanted}"' in text


@pytest.mark.parametrize(
    ("owner", "name", "package"),
    [
        (aiortc.rtcdtlstransport.RTCDtlsTransport, "_set_role", "aiortc>=1.16,<1.17"),
        (aioice.ice.Connection, "query_consent", "aioice>=0.13,<0.14"),
        (aioice.ice, "relayed_candidate", "aioice>=0.13,<0.14"),
    ],
)
def test_a_missing_name_names_the_version_to_install(
    owner: object, name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, name)
    with pytest.raises(DependencyError, match=name) as caught:
        contract.check()
    assert f'pip install "{package}"' in caught.value.message


def test_changed_parameters_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_complete(self: object, something: object) -> None: ...

    monkeypatch.setattr(aioice.ice.Connection, "check_complete", check_complete)
    with pytest.raises(DependencyError, match="check_complete"):
        contract.check()


def test_a_body_that_leaves_our_hook_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(self: object) -> None: ...

    monkeypatch.setattr(aioice.ice.Connection, "connect", connect)
    with pytest.raises(DependencyError, match="query_consent"):
        contract.check()


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylibsrtp", None)
    with pytest.raises(DependencyError, match="pylibsrtp"):
        contract.check()


def test_importing_the_transport_checks_first() -> None:
    code = """
        import aiortc.rtcdtlstransport as module
        del module.RTCDtlsTransport._recv_next
        import lknb.transport.peer
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DependencyError: lknb leans on aiortc.rtcdtlstransport.RTCDtlsTransport._recv_next" in done.stderr
