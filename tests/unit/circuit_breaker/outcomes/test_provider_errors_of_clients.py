"""What providers answer, as the errors of real clients: of OpenAI, Anthropic, AWS, gRPC, Google."""

from __future__ import annotations

import importlib
from typing import Any, Final

import pytest

from ciris_registry import RegistrySettings
from ciris_registry.circuit_breaker.outcomes import Classifier
from tests.unit.circuit_breaker.outcomes.provider_errors import ROWS, Row

CLIENTS: Final = {
    *("openai", "openai-stream", "anthropic", "anthropic-stream"),
    *("botocore", "grpc", "google-api-core"),
}


def clients() -> Any:
    """The clients, imported where they are called: not by every process that collects tests."""
    return importlib.import_module("tests.unit.circuit_breaker.outcomes.client_errors")


@pytest.mark.parametrize("row", [row for row in ROWS if row.client in CLIENTS], ids=str)
def test_the_error_of_a_client_means_what_the_table_says(row: Row) -> None:
    error = clients().raised_by_client(row)
    assert type(error).__module__.partition(".")[0] in {
        "openai",
        "anthropic",
        "botocore",
        "grpc",
        "google",
    }
    found = Classifier(RegistrySettings().cooldown_durations).error(error)
    assert (found.kind, found.code, found.scope) == (row.kind, row.code, row.scope)
    assert found.seconds == pytest.approx(row.seconds)


def test_each_client_is_called() -> None:
    assert set(clients().CALLS) == CLIENTS
