"""Access tokens: who somebody is and what they may do (LiveKit: auth/grants.go).

Every refusal looks the same from outside: the answer never says which check failed.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

import jwt
from livekit.api.access_token import AccessToken, Claims, TokenVerifier, VideoGrants
from livekit.protocol import models

from lknb import limits

SOURCES = {
    "camera": models.TrackSource.CAMERA,
    "microphone": models.TrackSource.MICROPHONE,
    "screen_share": models.TrackSource.SCREEN_SHARE,
    "screen_share_audio": models.TrackSource.SCREEN_SHARE_AUDIO,
}
KINDS = {
    "": models.ParticipantInfo.Kind.STANDARD,
    "standard": models.ParticipantInfo.Kind.STANDARD,
    "ingress": models.ParticipantInfo.Kind.INGRESS,
    "egress": models.ParticipantInfo.Kind.EGRESS,
    "sip": models.ParticipantInfo.Kind.SIP,
    "agent": models.ParticipantInfo.Kind.AGENT,
}


class TokenRefused(Exception):
    """The token is not accepted. Deliberately without a reason."""


@dataclass(slots=True)
class Grant:
    """A verified token."""

    api_key: str
    identity: str
    name: str
    metadata: str
    attributes: dict[str, str]
    kind: models.ParticipantInfo.Kind
    video: VideoGrants
    claims: Claims = field(repr=False)

    def permission(self) -> models.ParticipantPermission:
        """The permission a participant starts with. canPublishSources, if given, narrows what may be published."""
        video = self.video
        return models.ParticipantPermission(
            can_subscribe=video.can_subscribe,
            can_publish=video.can_publish,
            can_publish_data=video.can_publish_data,
            can_publish_sources=[SOURCES[s] for s in video.can_publish_sources or () if s in SOURCES],
            can_update_metadata=bool(video.can_update_own_metadata),
            can_subscribe_metrics=bool(video.can_subscribe_metrics),
            hidden=bool(video.hidden),
            recorder=bool(video.recorder),
            agent=bool(video.agent),
        )


class TokenAuthority:
    """Checks tokens signed with any of the server's keys, HS256 only, `exp` required, 60 s of leeway."""

    def __init__(self, keys: dict[str, str]) -> None:
        self._keys = keys
        self._verifiers = {key: TokenVerifier(key, secret) for key, secret in keys.items()}

    def verify(self, token: str) -> Grant:
        """The grant of a token. Raises TokenRefused."""
        if not token or len(token) > limits.TOKEN_BYTES:
            raise TokenRefused
        try:
            if jwt.get_unverified_header(token).get("alg") != "HS256":
                raise TokenRefused
            raw: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
            api_key = raw.get("iss")
            verifier = self._verifiers.get(api_key) if isinstance(api_key, str) else None
            if verifier is None or api_key is None:
                raise TokenRefused
            claims = verifier.verify(token)
            return self._grant(api_key, raw, claims)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError) as error:
            # livekit-api raises the plain ones for claims of the wrong shape
            raise TokenRefused from error

    def _grant(self, api_key: str, raw: dict[str, Any], claims: Claims) -> Grant:
        video = claims.video or VideoGrants()
        if "canPublishData" not in raw.get("video", {}):
            video.can_publish_data = video.can_publish
        attributes = claims.attributes or {}
        if not isinstance(claims.identity, str) or not all(
            isinstance(k, str) and isinstance(v, str) for k, v in attributes.items()
        ):
            raise TokenRefused
        return Grant(
            api_key=api_key,
            identity=claims.identity or str(raw.get("jti", "")),
            name=str(claims.name or ""),
            metadata=str(claims.metadata or ""),
            attributes=dict(attributes),
            kind=KINDS.get(claims.kind, models.ParticipantInfo.Kind.STANDARD),
            video=video,
            claims=claims,
        )

    def sign(self, grant: Grant, info: models.ParticipantInfo, room: str, ttl_s: float) -> str:
        """A fresh token for somebody already here, carrying the name, metadata and permission they have now."""
        permission = info.permission
        video = VideoGrants(
            room_join=True,
            room=room,
            can_publish=permission.can_publish,
            can_subscribe=permission.can_subscribe,
            can_publish_data=permission.can_publish_data,
            can_publish_sources=[name for name, value in SOURCES.items() if value in permission.can_publish_sources]
            or None,
            can_update_own_metadata=permission.can_update_metadata or None,
            hidden=permission.hidden or None,
            recorder=permission.recorder or None,
            agent=permission.agent or None,
            can_subscribe_metrics=permission.can_subscribe_metrics or None,
            room_admin=grant.video.room_admin,
            room_create=grant.video.room_create,
            room_list=grant.video.room_list,
        )
        token = (
            AccessToken(grant.api_key, self._keys[grant.api_key])
            .with_identity(grant.identity)
            .with_name(info.name)
            .with_metadata(info.metadata)
            .with_attributes(dict(info.attributes))
            .with_grants(video)
            .with_ttl(datetime.timedelta(seconds=ttl_s))
        )
        if grant.claims.kind:
            token = token.with_kind(grant.claims.kind)  # type: ignore[arg-type]
        return token.to_jwt()
