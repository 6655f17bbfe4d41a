"""Every knob of a registry that is not an argument of its own, validated."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ciris_registry.circuit_breaker import CircuitBreakerConfig
from ciris_registry.circuit_breaker.outcomes import CooldownDurations
from ciris_registry.errors import SettingsError

_TEN_YEARS: Final = 10 * 365 * 86_400.0
REPLY_TIMEOUT: Final = 5.0
"""Seconds for one command, connecting included. It ends what hangs for good; a resolve gives up
long before. A command that blocks on the server must block for less than this."""


class RegistrySettings(BaseModel):
    """The settings of one registry. Durations are in seconds.

    Raises:
        SettingsError: Anything unknown or out of its bounds; it names all of them.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True
    )

    lease: float = Field(default=15.0, ge=0.05, le=86_400)
    """How long this process counts as alive after its last heartbeat."""

    heartbeat_interval: float | None = Field(default=None, ge=0.01, le=86_400)
    """Time between heartbeats; a third of the lease if not given."""

    retention: float = Field(default=3600.0, ge=1, le=30 * 86_400)
    """How long a breaker outlives its last registration, so that a restart does not close it."""

    mass_expiry_share: float = Field(default=0.5, ge=0, le=1)
    """If more than this share of the leases ended while Redis was away, they are kept for once."""

    store_timeout: float = Field(default=0.05, gt=0, le=REPLY_TIMEOUT)
    """How long a resolve waits for Redis. The first one that finds it away waits for this long,
    those behind it not at all. At most 5 seconds, after which any command is given up."""

    write_timeout: float = Field(default=5.0, ge=0, le=3600)
    """How long what is of no use without Redis, such as ``flush``, waits for it to come back."""

    max_staleness: float = Field(default=1.0, ge=0.05, le=60)
    """Cached mode: how long Redis may be silent before a resolve asks it."""

    success_report_interval: float = Field(default=1.0, ge=0.01, le=60)
    """Cached mode: how long successes of a closed breaker are counted here before they are told."""

    cooldown: float = Field(default=5.0, gt=0, le=_TEN_YEARS)
    """How long a provider is left alone that limits its callers (HTTP 429) without saying for how
    long; LiteLLM's default."""

    quota_cooldown: float = Field(default=3600.0, gt=0, le=_TEN_YEARS)
    """How long, at least, a provider is left alone whose quota is used up: no credit, no budget."""

    max_cooldown: float = Field(default=86_400.0, gt=0, le=_TEN_YEARS)
    """The longest that a provider is left alone, whatever it, a policy or the two above say."""

    breaker: CircuitBreakerConfig = CircuitBreakerConfig()
    """The settings of breakers whose registration names none."""

    def __init__(self, **values: Any) -> None:  # pydantic's own signature
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = tuple(
                f"{'.'.join(str(part) for part in one['loc']) or 'settings'}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError("registry settings", problems) from None

    @model_validator(mode="after")
    def _beats_within_the_lease(self) -> RegistrySettings:
        if self.heartbeat_interval is not None and self.heartbeat_interval > self.lease / 2:
            raise ValueError("the heartbeat must come at least twice within a lease")
        return self

    @property
    def cooldown_durations(self) -> CooldownDurations:
        """How long outcomes leave a provider alone."""
        return CooldownDurations(self.cooldown, self.quota_cooldown, self.max_cooldown)

    @property
    def heartbeat_every(self) -> float:
        """Seconds between two heartbeats."""
        return self.lease / 3 if self.heartbeat_interval is None else self.heartbeat_interval
