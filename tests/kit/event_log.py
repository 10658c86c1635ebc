"""What a room tells its user, written down so that two clients can be compared: names, order, arguments."""

from __future__ import annotations

from typing import Any

EVENTS = (
    "participant_connected", "participant_disconnected", "participant_active", "local_track_published",
    "local_track_unpublished", "local_track_republished", "local_track_subscribed", "track_published", "track_unpublished",
    "track_subscribed", "track_unsubscribed", "track_subscription_failed", "track_muted", "track_unmuted",
    "room_metadata_changed", "participant_metadata_changed", "participant_name_changed", "participant_attributes_changed",
    "participant_encryption_status_changed", "participant_permissions_changed", "e2ee_state_changed",
    "connection_state_changed", "disconnected", "reconnecting", "reconnected", "moved",
)  # fmt: skip
"""All of livekit.rtc but those that come by the clock (speakers, quality, room_updated, token_refreshed), those with data,
and `connected`, which the wheel documents and never emits."""


class EventLog:
    """Listens to a room of `livekit.rtc` or `lknb.rtc` from its construction on."""

    def __init__(self, room: Any) -> None:
        self.lines: list[list[Any]] = []
        for name in EVENTS:
            room.on(name, lambda *arguments, name=name: self.lines.append([name, *map(describe, arguments)]))


def describe(value: Any) -> Any:
    """An argument as it is at the moment of the event, without ids that differ from run to run."""
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if hasattr(value, "identity"):
        return f"participant {value.identity!r} name={value.name!r} metadata={value.metadata!r}"
    if hasattr(value, "simulcasted"):
        track = "with a track" if value.track is not None else "without a track"
        return (
            f"publication {value.name!r} kind={int(value.kind)} source={int(value.source)} muted={value.muted} {track}"
        )
    if hasattr(value, "sid"):
        return f"track {value.name!r} kind={int(value.kind)} muted={value.muted}"
    if hasattr(value, "can_subscribe"):
        return f"permissions publish={value.can_publish} subscribe={value.can_subscribe} data={value.can_publish_data}"
    return value if value is None or isinstance(value, str) else str(value)
