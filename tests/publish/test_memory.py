from __future__ import annotations

from streamer.publish.base import Message
from streamer.publish.memory import MemorySink

MESSAGE = Message(topic="a", payload=b"1", qos=1, retain=False)


def test_it_answers_when_told() -> None:
    sink = MemorySink(answers=False, window=2)
    answers: list[str | None] = []
    assert sink.send(MESSAGE, answers.append)
    assert sink.send(MESSAGE, answers.append)
    assert not sink.send(MESSAGE, answers.append)
    assert sink.answer("no") == 2
    assert answers == ["no", "no"]


def test_a_lost_connection_answers_nothing() -> None:
    sink = MemorySink(answers=False)
    answers: list[str | None] = []
    sink.send(MESSAGE, answers.append)
    sink.lose()
    assert sink.connection() is None
    assert not sink.send(MESSAGE, answers.append)
    sink.connect()
    assert sink.connection() == 1
    assert sink.answer() == 0
    assert answers == []
