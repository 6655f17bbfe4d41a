"""The settings of a registry that are not arguments of ``ServiceRegistry``."""

from __future__ import annotations

import os
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ciris_registry.circuit_breaker import CircuitBreakerConfig
from ciris_registry.circuit_breaker.outcomes import CooldownDurations
from ciris_registry.errors import SettingsError

_TEN_YEARS: Final = 10 * 365 * 86_400.0
REPLY_TIMEOUT: Final = 5.0
"""Seconds for one command, connecting included. A resolve waits for less: ``store_timeout``. A
command that blocks on the server must block for less than this."""


class RegistrySettings(BaseModel):
    """The settings of one registry. Durations are in seconds.

    Raises:
        SettingsError: A setting is unknown or out of its bounds; all of them are named.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True
    )

    lease: float = Field(default=15.0, ge=0.05, le=86_400)
    """How long this process counts as alive after its last heartbeat. 0.05 s to a day."""

    heartbeat_interval: float | None = Field(default=None, ge=0.01, le=86_400)
    """Time between heartbeats, at most half of the lease; None is a third of the lease."""

    retention: float = Field(default=3600.0, ge=1, le=30 * 86_400)
    """How long a breaker stays after its last registration, so that a restart does not close it.
    1 s to 30 days."""

    mass_expiry_share: float = Field(default=0.5, ge=0, le=1)
    """If more than this share of the leases (0 to 1) ended while Redis was away, they are kept for
    one more lease."""

    store_timeout: float = Field(default=0.05, gt=0, le=REPLY_TIMEOUT)
    """How long a resolve waits for Redis. The first resolve of an outage waits for this long, later
    ones not at all. At most 5 s."""

    max_store_timeout: float = Field(default=2.0, gt=0, le=REPLY_TIMEOUT)
    """How long a resolve waits for a Redis that is far away, at most: it waits for four round trips
    if these take longer than ``store_timeout``. At most 5 s."""

    write_timeout: float = Field(default=5.0, ge=0, le=3600)
    """How long ``flush`` and ``refresh`` wait for Redis to come back. 0 to 3600 s."""

    max_staleness: float = Field(default=1.0, ge=0.05, le=60)
    """Cached mode: how long Redis may be silent before a resolve asks it. 0.05 to 60 s."""

    success_report_interval: float = Field(default=1.0, ge=0.01, le=60)
    """Cached mode: how long this process counts successes of a closed breaker before it reports
    them. 0.01 to 60 s."""

    cooldown: float = Field(default=5.0, gt=0, le=_TEN_YEARS)
    """The cooldown of a provider that limits its callers (HTTP 429) without a wait of its own; the
    default is LiteLLM's. Up to ten years, as the two below."""

    quota_cooldown: float = Field(default=3600.0, gt=0, le=_TEN_YEARS)
    """The shortest cooldown of a provider whose quota is used up: no credit, no budget."""

    max_cooldown: float = Field(default=86_400.0, gt=0, le=_TEN_YEARS)
    """The longest cooldown, whatever the provider, a policy or the two settings above ask for."""

    max_retry_wait: float = Field(default=60.0, gt=0, le=_TEN_YEARS)
    """How long ``retry`` waits for a provider that may serve later, at most; if that takes longer,
    the call ends with its last error at once. A call with a ``deadline`` waits within that instead.
    Up to ten years; the default is that of OpenAI's clients."""

    breaker: CircuitBreakerConfig = CircuitBreakerConfig()
    """The settings of breakers whose registration gives none."""

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
        """The lengths of cooldowns that classification uses."""
        return CooldownDurations(self.cooldown, self.quota_cooldown, self.max_cooldown)

    @property
    def heartbeat_every(self) -> float:
        """Seconds between two heartbeats."""
        return self.lease / 3 if self.heartbeat_interval is None else self.heartbeat_interval


def environment_url() -> str:
    """The URL of the state in ``$CIRIS_REGISTRY_URL``; empty if there is none."""
    return os.environ.get("CIRIS_REGISTRY_URL", "")


def environment_namespace() -> str:
    """The fleet's name in ``$CIRIS_REGISTRY_NAMESPACE``, else ``default``."""
    return os.environ.get("CIRIS_REGISTRY_NAMESPACE") or "default"
