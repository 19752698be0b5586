"""The last log line of a run with refused sessions: short, and it ends with the next step."""

from __future__ import annotations

from mag7.errors import LONGEST_MESSAGE
from mag7.runs.refusal import SessionRefusedError, refusal_sentence

WHAT_TO_DO = (
    "what was fetched is stored: if a response is wrong, trigger mag7_daily with trading_date and collect_again;"
    " else fix the cause, then run it again"
)


def test_it_says_how_to_ask_the_provider_again() -> None:
    assert refusal_sentence({"2024-12-13": ["no NVDA"]}) == (
        f"2024-12-13 refused: no NVDA. Nothing was published; {WHAT_TO_DO}"
    )


def test_where_nothing_was_asked_it_does_not_say_to_ask_again() -> None:
    assert refusal_sentence({"2025-08-04": ["not in the table"]}, asked=False) == (
        "2025-08-04 refused: not in the table. Nothing was published; what was fetched is stored: fix the cause, then"
        " run it again"
    )


def test_it_says_what_became_of_the_others() -> None:
    refused = {"2024-12-12": [], "2024-12-13": ["no NVDA"]}

    assert refusal_sentence(refused, ["2024-12-12"]) == (
        f"2024-12-13 refused: no NVDA. 2024-12-12 published, but none of the refused; {WHAT_TO_DO}"
    )


def test_what_to_do_outlasts_any_number_of_reasons() -> None:
    refused = {f"2024-12-{day:02}": ["no NVDA " * 100] * 9 for day in range(1, 31)}
    message = str(SessionRefusedError(refusal_sentence(refused)))

    assert len(message) <= LONGEST_MESSAGE
    assert message.endswith(WHAT_TO_DO)
