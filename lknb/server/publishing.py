"""The sections a client sends in: matching them with announced tracks, and noticing when they end.

An offer may come before the AddTrack it belongs to; such a section is answered and parked. There is no message for the end
of a track: its section turns inactive (or receiving) in a later offer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lknb.server.section import choose_any_codec, choose_published_codec, receive_plan

if TYPE_CHECKING:
    from lknb.logic.negotiation import SectionPlan
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication
    from lknb.server.uplink import Uplink
    from lknb.wire.sdp import Codec, MediaSection, SessionDescription


@dataclass(slots=True)
class _Agreed:
    section: MediaSection
    codec: Codec
    publication: Publication | None = None


class Publishing:
    """The publisher side of one connection's negotiation."""

    def __init__(self, participant: Participant, uplink: Uplink) -> None:
        self._participant = participant
        self._uplink = uplink
        self._agreed: dict[str, _Agreed] = {}
        self._parked: dict[str, _Agreed] = {}
        self._ended: list[str] = []
        self._named: set[str] = set()
        """Ids of tracks in the newest offer, by its sections that are new."""
        self._used: set[str] = set()
        """By those that are not, or rest."""

    def read(self, offer: SessionDescription) -> None:
        """An offer, before a plan is made for each of its sections."""
        named = [section for section in offer.media if section.msid]
        new = [it for it in named if _sends(it) and self._uplink.publication_of(it.mid) is None]
        self._named = {it.msid[1] for it in new if it.msid}
        self._used = {it.msid[1] for it in named if it.msid and it not in new}

    def plan(self, section: MediaSection) -> SectionPlan | None:
        """The plan for a section the client sends in; None for any other."""
        if not _sends(section):
            if self._uplink.publication_of(section.mid) is not None:
                self._ended.append(section.mid)
            self._parked.pop(section.mid, None)
            return None
        known = self._uplink.publication_of(section.mid)
        publication = known or self._match(section) or self._match_renamed(section)
        codec = choose_published_codec(section, publication) if publication else choose_any_codec(section)
        if codec is None:
            return None
        self._uplink.learn_extensions(section.extensions)
        if known is None:
            (self._agreed if publication else self._parked)[section.mid] = _Agreed(section, codec, publication)
        else:
            self._uplink.bind(section, known, codec.payload_type)
        return receive_plan(section, codec)

    def settle(self) -> None:
        """The answer is out: begin and end what it says."""
        ended, self._ended = self._ended, []
        for mid in ended:
            self.end(mid)
        agreed, self._agreed = self._agreed, {}
        for mid, item in agreed.items():
            if item.publication is not None and self._participant.pending.get(item.publication.cid) is item.publication:
                self._begin(item, item.publication)
            else:
                self._parked[mid] = item

    def end(self, mid: str) -> None:
        """The track of a section is over."""
        publication = self._uplink.publication_of(mid)
        self._uplink.release(mid)
        if publication is not None:
            self._participant.unpublish(publication)

    def match_parked(self) -> None:
        """A track was announced: perhaps its section is waiting."""
        for mid, item in list(self._parked.items()):
            publication = self._match(item.section)
            if publication is not None:
                del self._parked[mid]
                self._begin(item, publication)

    def _begin(self, item: _Agreed, publication: Publication) -> None:
        section, codec = item.section, item.codec
        rids = [rid for rid, way in section.rids if way == "send"]
        publication.bind(section.mid, codec, rids)
        self._uplink.bind(section, publication, codec.payload_type)
        self._participant.publish(publication)

    def _match(self, section: MediaSection) -> Publication | None:
        """The announced track of a section: by the track id of its msid, without one the first of its kind."""
        pending = [p for p in self._participant.pending.values() if p.kind == section.kind]
        track_id = section.msid[1] if section.msid else ""
        if not track_id:
            return pending[0] if pending else None
        for publication in pending:
            if track_id in _names(publication):
                return publication
        return None

    def _match_renamed(self, section: MediaSection) -> Publication | None:
        """The first announced track of its kind that no new section of the offer names, best one that another section does.

        Browsers give a track that is published a second time another id in the description: each sender of a connection,
        those that rest included, has one of its own (LiveKit: participant.go getPendingTrack).
        """
        taken = [item.publication for item in self._agreed.values()]
        free = [
            publication
            for publication in self._participant.pending.values()
            if publication.kind == section.kind and publication not in taken and not _names(publication) & self._named
        ]
        again = (publication for publication in free if _names(publication) & self._used)
        return next(again, free[0] if free else None)


def _sends(section: MediaSection) -> bool:
    return section.direction in ("sendonly", "sendrecv")


def _names(publication: Publication) -> set[str]:
    """The ids by which a section may name an announced track."""
    return {publication.cid, *(codec.cid for codec in publication.info.codecs)}
