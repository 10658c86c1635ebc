"""Session description -> values. Total: text of a peer gives a `SessionDescription` or WireError."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized

from lknb import limits
from lknb.errors import WireError
from lknb.wire.sdp.model import (
    DIRECTIONS,
    SCTP_PORT_DEFAULT,
    SETUPS,
    Codec,
    MediaSection,
    SessionDescription,
    TransportParameters,
)

# Payload types that need no rtpmap (RFC 3551 section 6), and the kind of section they make sense in: pion writes
# "m=video 0 UDP/TLS/RTP/SAVPF 0" for a refused section.
_STATIC_CODECS = {
    ("audio", 0): ("PCMU", 8000, 1),
    ("audio", 3): ("GSM", 8000, 1),
    ("audio", 8): ("PCMA", 8000, 1),
    ("audio", 9): ("G722", 8000, 1),
    ("audio", 13): ("CN", 8000, 1),
    ("video", 26): ("JPEG", 90000, 1),
    ("video", 31): ("H261", 90000, 1),
    ("video", 34): ("H263", 90000, 1),
}
_ANY_PAYLOAD_TYPE = -1
_FINGERPRINT = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){1,63}").fullmatch
_UINT32 = 0xFFFFFFFF
_UINT64 = 0xFFFFFFFFFFFFFFFF


def parse_sdp(text: str) -> SessionDescription:
    """The description written in `text`; lines end with LF or CR LF, unknown ones are passed over.

    Raises WireError for text over the limits of `lknb.limits`, a malformed line of a known kind, a payload type above
    127, two sections of one mid, and live sections of which none has ICE credentials.
    """
    if len(text) > limits.SDP_BYTES:
        raise WireError("session description is too long")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > limits.SDP_LINES:
        raise WireError("session description has too many lines")
    if lines[0] != "v=0":
        raise WireError("session description does not begin with v=0")
    description = SessionDescription()
    session = _Level(MediaSection(kind=""))
    level = session
    levels: list[_Level] = []
    for line in lines:
        if len(line) > limits.SDP_LINE_BYTES or "\0" in line:
            raise WireError("session description has a line that is too long, or a NUL")
        head = line[:2]
        if head == "a=":
            name, _, value = line[2:].partition(":")
            read = _ATTRIBUTES.get(name)
            if read is not None:
                read(level, value)
            elif level is session:
                _session_attribute(description, name, value)
        elif head == "m=":
            if len(levels) == limits.SDP_MEDIA_SECTIONS:
                raise WireError("session description has too many media sections")
            level = _media_line(line[2:], session)
            levels.append(level)
        elif head == "o=":
            _origin(description, line[2:])
    description.ice_lite = session.ice_lite or any(level.ice_lite for level in levels)
    description.media = [level.finish(description.ice_lite) for level in levels]
    if levels and not description.extmap_allow_mixed:
        description.extmap_allow_mixed = session.extmap_allow_mixed or all(level.extmap_allow_mixed for level in levels)
    _check(description)
    return description


class _Level:
    """Attributes of one media section, or of the session, while they are read."""

    def __init__(self, section: MediaSection, session: _Level | None = None) -> None:
        self.section = section
        self.payload_types: list[int] = []
        self.rtpmaps: dict[int, tuple[str, int, int]] = {}
        self.fmtps: dict[int, str] = {}
        self.feedback: dict[int, list[str]] = {}
        self.ssrc_msid: tuple[str, str] | None = None
        self.candidates: list[str] = []
        self.end_of_candidates = False
        self.fingerprints: list[tuple[str, str]] = []
        self.ufrag: str = session.ufrag if session else ""
        self.pwd: str = session.pwd if session else ""
        self.setup: str = session.setup if session else ""
        self.ice_lite = False
        self.extmap_allow_mixed = False
        self._session = session

    def finish(self, ice_lite: bool) -> MediaSection:
        """The section, once all of its lines are read."""
        section = self.section
        if section.msid is None:
            section.msid = self.ssrc_msid
        for payload_type in self.payload_types:
            known = self.rtpmaps.get(payload_type) or _STATIC_CODECS.get((section.kind, payload_type))
            if known is None:
                continue
            feedback = self.feedback.get(_ANY_PAYLOAD_TYPE, []) + self.feedback.get(payload_type, [])
            name, clock_rate, channels = known
            fmtp = self.fmtps.get(payload_type, "")
            section.codecs.append(Codec(payload_type, name, clock_rate, channels, fmtp, tuple(dict.fromkeys(feedback))))
        if bool(self.ufrag) != bool(self.pwd):
            raise WireError("session description has only one half of the ICE credentials")
        if self.ufrag:
            inherited = self._session.fingerprints if self._session else []
            section.transport = TransportParameters(
                ufrag=self.ufrag,
                pwd=self.pwd,
                fingerprints=tuple(self.fingerprints or inherited),
                setup=self.setup or "actpass",
                ice_lite=ice_lite,
                candidates=tuple(self.candidates),
                end_of_candidates=self.end_of_candidates,
            )
        return section


def _number(text: str, maximum: int) -> int:
    # int() alone would take signs, blanks, underscores and digits of other scripts
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > maximum:
        raise WireError("session description has a number that is malformed or out of range")
    return int(text)


def _token(text: str) -> str:
    if not text or len(text) > limits.SDP_TOKEN_BYTES or len(text.split()) != 1 or text != text.strip():
        raise WireError("session description has a value that is empty, too long, or holds a blank")
    return text


def _words(value: str, minimum: int) -> list[str]:
    words = value.split()
    if len(words) < minimum:
        raise WireError("session description has a line with too few words")
    return words


def _bounded(items: Sized, limit: int) -> None:
    if len(items) >= limit:
        raise WireError("session description repeats a line too often")


def _origin(description: SessionDescription, value: str) -> None:
    words = _words(value, 3)
    description.session_id = _number(words[1], _UINT64)
    description.session_version = _number(words[2], _UINT64)


def _session_attribute(description: SessionDescription, name: str, value: str) -> None:
    if name == "group" and not description.bundle:
        words = _words(value, 1)
        if words[0] == "BUNDLE":
            description.bundle = [_token(word) for word in words[1:]]


def _media_line(value: str, session: _Level) -> _Level:
    words = _words(value, 4)
    kind, port, protocol = _token(words[0]), words[1].partition("/")[0], _token(words[2])
    section = MediaSection(
        kind=kind, port=_number(port, 0xFFFF), protocol=protocol, direction=session.section.direction
    )
    level = _Level(section, session)
    if "RTP" in protocol.upper():
        formats = [_number(word, 127) for word in words[3:]]
        level.payload_types = list(dict.fromkeys(formats))
    elif kind == "application":
        # "DTLS/SCTP 5000" with a=sctpmap is the form before RFC 8841
        section.sctp_port = _number(words[3], 0xFFFF) if words[3].isdigit() else SCTP_PORT_DEFAULT
    return level


def _check(description: SessionDescription) -> None:
    mids = [section.mid for section in description.media if section.mid]
    if len(set(mids)) != len(mids):
        raise WireError("session description has two sections of one mid")
    live = [section for section in description.media if not section.rejected]
    if live and all(section.transport is None for section in live):
        raise WireError("session description has no ICE credentials")


def _mid(level: _Level, value: str) -> None:
    level.section.mid = _token(value)


def _rtpmap(level: _Level, value: str) -> None:
    payload_type, encoding = _words(value, 2)[:2]
    parts = encoding.split("/")
    if not parts[0] or not 2 <= len(parts) <= 3:
        raise WireError("session description has a malformed rtpmap")
    channels = _number(parts[2], 255) if len(parts) == 3 else 1
    level.rtpmaps[_number(payload_type, 127)] = (_token(parts[0]), _number(parts[1], _UINT32), max(channels, 1))


def _fmtp(level: _Level, value: str) -> None:
    payload_type, _, parameters = value.partition(" ")
    level.fmtps[_number(payload_type, 127)] = parameters.strip()


def _rtcp_fb(level: _Level, value: str) -> None:
    payload_type, _, item = value.partition(" ")
    key = _ANY_PAYLOAD_TYPE if payload_type == "*" else _number(payload_type, 127)
    items = level.feedback.setdefault(key, [])
    _bounded(items, limits.SDP_FEEDBACK)
    if item := " ".join(item.split()):
        items.append(item)


def _extmap(level: _Level, value: str) -> None:
    id, uri = _words(value, 2)[:2]
    number = _number(id.partition("/")[0], 4351)
    # 4096 and up stand for "give me any id" (RFC 8285 section 7); encrypted elements (RFC 6904) are not for us
    if not 0 < number < 256 or uri.endswith(":encrypt"):
        return
    extensions = level.section.extensions
    _bounded(extensions, limits.SDP_EXTENSIONS)
    extensions.setdefault(_token(uri), number)


def _msid(level: _Level, value: str) -> None:
    if level.section.msid is None:
        level.section.msid = _msid_pair(value)


def _msid_pair(value: str) -> tuple[str, str]:
    words = _words(value, 1)
    return _token(words[0]), _token(words[1]) if len(words) > 1 else ""


def _ssrc(level: _Level, value: str) -> None:
    number, _, attribute = value.partition(" ")
    ssrc = _number(number, _UINT32)
    section = level.section
    if ssrc not in section.ssrcs:
        _bounded(section.ssrcs, limits.SDP_SSRCS)
        section.ssrcs.append(ssrc)
    name, _, text = attribute.partition(":")
    if name == "cname" and not section.cname and text:
        section.cname = _token(text)
    elif name == "msid" and level.ssrc_msid is None:
        level.ssrc_msid = _msid_pair(text)


def _ssrc_group(level: _Level, value: str) -> None:
    semantics, *ssrcs = _words(value, 2)
    _bounded(level.section.ssrc_groups, limits.SDP_SSRC_GROUPS)
    level.section.ssrc_groups.append((_token(semantics), tuple(_number(ssrc, _UINT32) for ssrc in ssrcs)))


def _rid(level: _Level, value: str) -> None:
    rid, way = _words(value, 2)[:2]
    rids = level.section.rids
    _bounded(rids, limits.RIDS)
    if way not in ("send", "recv"):
        raise WireError("session description has a rid of no direction")
    if all(rid != other for other, _ in rids):
        rids.append((_token(rid), way))


def _simulcast(level: _Level, value: str) -> None:
    way, streams = _words(value, 2)[:2]
    # "rid=" is the form of the drafts; "~" marks a paused stream and "," parts alternatives (RFC 8853 section 5.1)
    rids = tuple(_token(stream.partition(",")[0].lstrip("~")) for stream in streams.removeprefix("rid=").split(";"))
    if way not in ("send", "recv") or len(rids) > limits.RIDS:
        raise WireError("session description has a malformed simulcast line")
    if level.section.simulcast is None:
        level.section.simulcast = way, rids


def _ice_ufrag(level: _Level, value: str) -> None:
    level.ufrag = _token(value)


def _ice_pwd(level: _Level, value: str) -> None:
    level.pwd = _token(value)


def _fingerprint(level: _Level, value: str) -> None:
    algorithm, digest = _words(value, 2)[:2]
    pair = _token(algorithm).lower(), digest.upper()
    if not _FINGERPRINT(pair[1]):
        raise WireError("session description has a malformed fingerprint")
    if pair not in level.fingerprints:
        _bounded(level.fingerprints, limits.SDP_FINGERPRINTS)
        level.fingerprints.append(pair)


def _setup(level: _Level, value: str) -> None:
    if value not in SETUPS:
        raise WireError("session description has an unknown DTLS role")
    level.setup = value


def _candidate(level: _Level, value: str) -> None:
    if len(level.candidates) < limits.CANDIDATES and len(value) <= limits.CANDIDATE_BYTES:
        level.candidates.append(f"candidate:{value}")


def _end_of_candidates(level: _Level, value: str) -> None:
    level.end_of_candidates = True


def _ice_lite(level: _Level, value: str) -> None:
    level.ice_lite = True


def _bundle_only(level: _Level, value: str) -> None:
    level.section.bundle_only = True


def _extmap_allow_mixed(level: _Level, value: str) -> None:
    level.extmap_allow_mixed = True


def _sctp_port(level: _Level, value: str) -> None:
    level.section.sctp_port = _number(value, 0xFFFF)


def _max_message_size(level: _Level, value: str) -> None:
    level.section.max_message_size = _number(value, _UINT64)


def _direction(direction: str) -> Callable[[_Level, str], None]:
    def read(level: _Level, value: str) -> None:
        level.section.direction = direction

    return read


_ATTRIBUTES: dict[str, Callable[[_Level, str], None]] = {
    "mid": _mid,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "rtcp-fb": _rtcp_fb,
    "extmap": _extmap,
    "msid": _msid,
    "ssrc": _ssrc,
    "ssrc-group": _ssrc_group,
    "rid": _rid,
    "simulcast": _simulcast,
    "ice-ufrag": _ice_ufrag,
    "ice-pwd": _ice_pwd,
    "fingerprint": _fingerprint,
    "setup": _setup,
    "candidate": _candidate,
    "end-of-candidates": _end_of_candidates,
    "ice-lite": _ice_lite,
    "bundle-only": _bundle_only,
    "extmap-allow-mixed": _extmap_allow_mixed,
    "sctp-port": _sctp_port,
    "max-message-size": _max_message_size,
    **{direction: _direction(direction) for direction in DIRECTIONS},
}
