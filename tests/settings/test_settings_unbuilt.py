from __future__ import annotations

import pytest

from streamer.settings import unbuilt
from streamer.settings.unbuilt import UNBUILT, not_supported


def at(path: str, value: object) -> object:
    for part in reversed(path.split(".")):
        value = {"x": value} if part == "*" else {part: value}
    return value


@pytest.mark.parametrize("path", [row[0] for row in UNBUILT])
def test_each_is_refused_when_on_and_let_through_when_off(path: str) -> None:
    flag = path.rpartition(".")[2] in {"home_assistant", "enabled", "snapshot"}
    on = "true" if flag else {"some": "thing"}
    off = "false" if flag else None

    ((found, sentence),) = not_supported(at(path, on))  # type: ignore[arg-type]
    assert ".".join(found) == path.replace("*", "x")
    assert "not supported yet; " in sentence
    assert list(not_supported(at(path, off))) == []  # type: ignore[arg-type]


def test_lists_are_walked_by_number_and_odd_shapes_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("cameras.*.events.*.siren", lambda value: value is not None, "sirens are not supported yet; leave it out")
    monkeypatch.setattr(unbuilt, "UNBUILT", (*UNBUILT, row))
    rules = {"cameras": {"a": {"events": [{"name": "x"}, {"siren": {}}]}, "b": "text", "c": {"events": {"siren": {}}}}}

    assert [path for path, _ in not_supported(rules)] == [("cameras", "a", "events", "1", "siren")]  # type: ignore[arg-type]
    assert list(not_supported(None)) == list(not_supported("text")) == []
