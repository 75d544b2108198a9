from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from servers.made_decisions import NOON_NS, SECOND_NS, make_decision

import streamer.events
from streamer.core.decision import Decision, Doubt, Verdict
from streamer.events.payload import rfc3339
from streamer.events.verdicts import encode_decision

FIELDS = "schema camera number item verdict reason captured_at age_ms late"
NOW_NS = 1_000 * SECOND_NS
GOOD = make_decision(4711, item="A-20931", now_ns=NOW_NS)
SHORT = replace(GOOD, verdict=Verdict.REJECT, reason="short")
BLIND = replace(SHORT, reason=Doubt.FAILED.value, captured_utc_ns=None, captured_ns=None, late=True)
OF_A_FILE = replace(GOOD, captured_ns=None, expires_ns=None)


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    text = (Path(streamer.events.__path__[0]) / "decision.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


def said(decision: Decision, now_ns: int = NOW_NS) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_decision(decision, now_ns=now_ns))
    return value


@pytest.mark.parametrize("decision", [GOOD, SHORT, BLIND, OF_A_FILE])
def test_every_kind_of_decision_fits_the_schema(schema: Draft202012Validator, decision: Decision) -> None:
    schema.validate(said(decision))


def test_all_that_is_known_is_said_in_the_order_of_the_contract() -> None:
    assert said(SHORT, NOW_NS + 1_440_000) == {
        "schema": 1,
        "camera": "belt",
        "number": 4711,
        "item": "A-20931",
        "verdict": "reject",
        "reason": "short",
        "captured_at": rfc3339(NOON_NS),
        "age_ms": 61.4,
        "late": False,
    }
    assert list(said(SHORT)) == FIELDS.split()


def test_without_a_picture_there_is_no_moment_and_a_file_has_no_age() -> None:
    assert (said(BLIND)["captured_at"], said(BLIND)["age_ms"], said(BLIND)["late"]) == (None, None, True)
    assert (said(OF_A_FILE)["captured_at"], said(OF_A_FILE)["age_ms"]) == (rfc3339(NOON_NS), None)


def test_an_age_is_never_negative_and_an_item_may_be_called_anything() -> None:
    assert said(GOOD, NOW_NS - SECOND_NS)["age_ms"] == 0.0
    assert said(replace(GOOD, item='Größe "7" / 箱'))["item"] == 'Größe "7" / 箱'


def test_the_schema_refuses_what_is_no_decision(schema: Draft202012Validator) -> None:
    good = said(GOOD)
    wrong: list[dict[str, Any]] = [
        {**good, "extra": 1},
        {**good, "verdict": "maybe"},
        {**good, "reason": ""},
        {**good, "item": ""},
        {**good, "item": "x" * 129},
        {**good, "number": 0},
        {**good, "age_ms": -1.0},
        {**good, "captured_at": None},  # a moment of nothing has no age
        {**good, "captured_at": "2026-11-21T10:15:30Z"},
        {**good, "late": None},
        {key: value for key, value in good.items() if key != "late"},
    ]
    assert [schema.is_valid(w) for w in wrong] == [False] * len(wrong)
