"""Frozen values of deliveries."""

from __future__ import annotations

from dataclasses import dataclass

DESTINATION_NAMES = (
    "Cliff",
    "Cliffwatch",
    "Webhooks",
    "Webhook",
    "Webhooks (Actions)",
    "Actions Webhook",
    "Extensible Webhook",
    "Extensible Webhooks",
)
"""Names that Segment's catalogue gives to what delivers here; `integrations` speaks of destinations by such a name."""

PREVIOUS_SECRET_MS = 4 * 3_600_000
"""How long the shared secret before stays good: Segment tries a delivery again for four hours."""


@dataclass(frozen=True, slots=True)
class DeliveryAddress:
    """Where Segment delivers a source's events. `signing_secret` "" means that signatures are not looked at."""

    id: int
    source_id: int
    token: str
    signing_secret: str
    previous_secret: str
    previous_until_ms: int
    destination_names: tuple[str, ...]  # beside DESTINATION_NAMES
    created_ms: int
    revoked_ms: int | None

    @property
    def path(self) -> str:
        """The address without its host."""
        return f"/deliveries/webhook/{self.token}"

    def secrets(self, now: int) -> tuple[str, ...]:
        """The shared secrets that a signature may be made with now; empty when none is asked for."""
        if not self.signing_secret:
            return ()
        before = (self.previous_secret,) if self.previous_secret and now < self.previous_until_ms else ()
        return (self.signing_secret, *before)
