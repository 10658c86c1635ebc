"""What we lean on in aiortc, aioice and pylibsrtp that is not public, checked when this package is imported.

A release of theirs that renames one of these would otherwise show as a call without media. The check turns that into
one sentence that names the version to install.
"""

from __future__ import annotations

import importlib
import inspect
from importlib import metadata
from types import CodeType, ModuleType
from typing import Any

from lknb.errors import DependencyError

REQUIRED_VERSIONS = {"aiortc": ">=1.16,<1.17", "aioice": ">=0.13,<0.14", "pylibsrtp": ">=1.0,<1.1"}

NAMES: dict[str, tuple[str, ...]] = {
    # by module: "name", "Class.member", or "Class.method(its, parameters)"
    "aiortc.rtcdtlstransport": (
        "RTCCertificate.generateCertificate()",
        "RTCCertificate.getFingerprints",
        "RTCDtlsFingerprint(algorithm, value)",
        "RTCDtlsParameters(fingerprints)",
        "RTCDtlsTransport.state",
        "RTCDtlsTransport.start(remoteParameters)",
        "RTCDtlsTransport.stop()",
        "RTCDtlsTransport._set_role(role)",
        "RTCDtlsTransport._recv_next()",
        "RTCDtlsTransport._write_ssl()",
        "RTCDtlsTransport._send_data(data)",
        "RTCDtlsTransport._handle_rtp_data(data, arrival_time_ms)",
        "RTCDtlsTransport._handle_rtcp_data(data)",
    ),
    "aiortc.rtcsctptransport": (
        "RTCSctpCapabilities(maxMessageSize)",
        "RTCSctpTransport.state",
        "RTCSctpTransport.start(remoteCaps, remotePort)",
        "RTCSctpTransport.stop()",
        "RTCSctpTransport._receive_data_chunk(chunk)",
    ),
    "aiortc.rtcdatachannel": (
        "RTCDataChannel.bufferedAmount",
        "RTCDataChannel.bufferedAmountLowThreshold",
        "RTCDataChannel.close()",
        "RTCDataChannel.readyState",
        "RTCDataChannel.send(data)",
        "RTCDataChannelParameters",
    ),
    "aioice.ice": (
        "CandidatePair.remote_addr",
        "Connection.add_remote_candidate(remote_candidate)",
        "Connection.build_request(pair, nominate)",
        "Connection.check_complete(pair)",
        "Connection.close()",
        "Connection.connect()",
        "Connection.data_received(data, component)",
        "Connection.gather_candidates()",
        "Connection.get_component_candidates(component, addresses, timeout)",
        "Connection.local_candidates",
        "Connection.local_password",
        "Connection.local_username",
        "Connection.query_consent()",
        "Connection.switch_role(ice_controlling)",
        "StunProtocol.connection_made(transport)",
        "StunProtocol.datagram_received(data, addr)",
        "StunProtocol.request(request, addr, integrity_key, retransmissions)",
        "TransportPolicy.RELAY",
        "get_host_addresses(use_ipv4, use_ipv6)",
        "relayed_candidate",
        "server_reflexive_candidate(protocol, stun_server)",
    ),
    "aioice.stun": (
        "COOKIE",
        "Class.REQUEST",
        "Message.add_message_integrity(key)",
        "Message.check_message_integrity(key)",
        "Method.BINDING",
        "TransactionError",
        "parse_message(data)",
    ),
    "aioice.candidate": (
        "Candidate(foundation, component, transport, priority, host, port, type)",
        "Candidate.to_sdp()",
        "candidate_foundation",
        "candidate_priority",
    ),
    "aioice.utils": ("random_string(length)",),
    "pylibsrtp": (
        "Error",
        "SRTP_MAX_SRTCP_TRAILER_LEN",
        "SRTP_MAX_TRAILER_LEN",
        "Session.protect(packet)",
        "Session.protect_rtcp(packet)",
        "Session.unprotect(packet)",
        "Session.unprotect_rtcp(packet)",
    ),
}

MENTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    # by module and function: attributes its body must use, because we set, read or override them
    "aiortc.rtcdtlstransport": {
        "RTCDtlsTransport.__init__": ("_data_receiver", "_rx_srtp", "_ssl", "_task", "_tx_srtp", "encrypted"),
        "RTCDtlsTransport._setup_srtp": ("_rx_srtp", "_tx_srtp"),
        "RTCDtlsTransport._do_handshake": ("_recv_next", "_write_ssl", "encrypted"),
        "RTCDtlsTransport._RTCDtlsTransport__run": ("_recv_next",),
        "RTCDtlsTransport._register_data_receiver": ("_data_receiver",),
        "RTCDtlsTransport._write_ssl": ("_send",),
        "RTCDtlsTransport.start": ("_do_handshake", "_task"),
    },
    "aiortc.rtcsctptransport": {
        "RTCSctpTransport._receive_data_chunk": ("_advertised_rwnd",),
        "RTCSctpTransport._handle_data": ("_receive_chunk",),
        "RTCSctpTransport._receive_chunk": ("_receive_data_chunk",),
        "RTCSctpTransport._send_chunk": ("_send_data",),
    },
    "aioice.turn": {
        "TurnTransport.close": ("_TurnTransport__close_task",),
    },
    "aioice.ice": {
        "Connection.__init__": ("_closing", "_nominated", "_protocols", "_transport_policy", "remote_is_lite"),
        "Connection.check_complete": ("_nominated",),
        "Connection.check_start": ("check_complete",),
        "Connection.close": ("_protocols",),
        "Connection.connect": ("query_consent",),
        "Connection.gather_candidates": ("get_component_candidates",),
        "StunProtocol.__init__": ("receiver",),
        "StunProtocol.connection_made": ("transport",),
        "StunProtocol.datagram_received": ("local_candidate", "data_received", "request_received"),
    },
}


def check() -> None:
    """Raise DependencyError, naming the version to install, when something we lean on is not there."""
    for module_name, names in NAMES.items():
        module = _import(module_name)
        for name in names:
            if not _present(module, name):
                raise _dependency_error(f"{module_name}.{name}", module_name)
    for module_name, functions in MENTIONS.items():
        module = _import(module_name)
        for path, attributes in functions.items():
            mentioned = _mentioned(getattr(_resolve(module, path), "__code__", None))
            for attribute in attributes:
                if attribute not in mentioned:
                    raise _dependency_error(f"{attribute} in {module_name}.{path}", module_name)


def _import(module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise _dependency_error(module_name, module_name) from error


def _resolve(module: ModuleType, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _present(module: ModuleType, name: str) -> bool:
    path, parenthesis, parameters = name.partition("(")
    value = _resolve(module, path)
    if value is None or not parenthesis:
        return value is not None
    wanted = [parameter for parameter in parameters.rstrip(")").split(", ") if parameter]
    actual = [parameter for parameter in inspect.signature(value).parameters if parameter != "self"]
    return actual[: len(wanted)] == wanted


def _mentioned(code: CodeType | None) -> set[str]:
    """The names a function's body uses, those in its comprehensions and lambdas too."""
    if code is None:
        return set()
    nested = (_mentioned(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*nested)


def _dependency_error(what: str, module_name: str) -> DependencyError:
    package = module_name.partition(".")[0]
    try:
        installed = f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        installed = f"{package}, which is not installed,"
    return DependencyError(
        f"lknb leans on {what}, and the installed {installed} does not have it as expected. "
        f'Install a version it knows: pip install "{package}{REQUIRED_VERSIONS[package]}"'
    )


def _load_binding() -> tuple[Any, Any]:
    """cffi's `ffi` and `lib` of pylibsrtp when they look as we know them, else (None, None)."""
    try:
        binding = importlib.import_module("pylibsrtp._binding")
        pylibsrtp = importlib.import_module("pylibsrtp")
        ffi, lib = binding.ffi, binding.lib
        for function in ("srtp_protect", "srtp_protect_rtcp", "srtp_unprotect", "srtp_unprotect_rtcp"):
            arguments = ffi.typeof(getattr(lib, function)).args
            # (session, packet, int *length) of libsrtp 2; libsrtp 3 takes more
            if len(arguments) != 3 or arguments[2].cname != "int *":
                return None, None
        if not hasattr(pylibsrtp.Session(), "_srtp") or not hasattr(pylibsrtp, "ERRORS"):
            return None, None
    except (ImportError, AttributeError):
        return None, None
    return ffi, lib


check()
ffi, lib = _load_binding()
IN_PLACE_SRTP = lib is not None
"""Whether packets can be encrypted in place; else the public methods of pylibsrtp are used."""
