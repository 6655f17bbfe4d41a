"""What providers answer is classified as the table says, and the reference page has the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from ciris_registry import RegistrySettings
from ciris_registry.circuit_breaker.outcomes import Classifier
from tests.unit.circuit_breaker.outcomes.provider_errors import ROWS, SOURCES, Row, documented_error
from tests.unit.circuit_breaker.outcomes.provider_errors_page import PAGE, page


def raise_while_handling(error: Exception) -> None:
    try:
        raise error
    except type(error):
        raise RuntimeError("of the program")  # noqa: B904 # without from, as programs do


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(RegistrySettings().cooldown_durations)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_an_answer_means_what_the_table_says(classifier: Classifier, row: Row) -> None:
    found = classifier.error(documented_error(row))
    assert (found.kind, found.code, found.scope) == (row.kind, row.code, row.scope)
    assert found.seconds == pytest.approx(row.seconds)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wrapper_changes_nothing(classifier: Classifier, row: Row) -> None:
    error = documented_error(row)
    with pytest.raises(RuntimeError) as raised:
        raise_while_handling(error)
    assert classifier.error(raised.value) == classifier.error(error)


def test_the_table_has_enough_rows_of_each_provider_and_kind() -> None:
    assert len(ROWS) >= 120
    assert {row.kind for row in ROWS} == {"failure", "cooldown", "refused", "unfit", "ignored"}
    assert {row.source for row in ROWS} == set(SOURCES)


def test_the_reference_page_is_made_from_the_table() -> None:
    assert Path(PAGE).read_text(encoding="utf-8") == page(), (
        "python -m tests.unit.circuit_breaker.outcomes.provider_errors_page writes it"
    )
