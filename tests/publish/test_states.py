from __future__ import annotations

from streamer.publish.states import StateBoard


def changes(board: StateBoard, version: int) -> list[tuple[str, bytes]]:
    return [(state.topic, state.payload) for state in board.since(version)]


def test_only_the_newest_state_of_a_topic_counts() -> None:
    board = StateBoard()
    board.set("a", b"1")
    board.set("b", b"1")
    seen = board.version()
    board.set("a", b"2")
    assert changes(board, seen) == [("a", b"2")]
    assert changes(board, 0) == [("b", b"1"), ("a", b"2")]


def test_the_same_again_is_no_change() -> None:
    board = StateBoard()
    board.set("a", b"1")
    seen = board.version()
    board.set("a", b"1")
    assert board.version() == seen
    assert changes(board, seen) == []


def test_what_is_no_longer_configured_is_cleared_and_nothing_else() -> None:
    board = StateBoard()
    board.set("set", b"1")
    board.retire({"gone"})  # nothing was said about what is expected
    assert changes(board, 0) == [("set", b"1")]
    board.expect({"expected"})
    board.retire({"set", "expected", "gone"})
    assert changes(board, 0) == [("set", b"1"), ("gone", b"")]
    assert board.cleared("gone")
    assert not board.cleared("set")
    assert not board.cleared("expected")


def test_each_change_is_told_and_nothing_else() -> None:
    board = StateBoard()
    told: list[int] = []
    board.listen(lambda: told.append(board.version()))
    board.set("a", b"1")
    board.set("a", b"1")
    board.set("a", b"2")
    assert told == [1, 2]


def test_states_are_sent_again_when_somebody_may_have_missed_them() -> None:
    board = StateBoard()
    told: list[int] = []
    board.set("a", b"1")
    board.set("b", b"2")
    board.set("c", b"3")
    board.clear("c")
    seen = board.version()
    board.listen(lambda: told.append(board.version()))
    board.renew(["b", "c", "unknown"])
    assert changes(board, seen) == [("b", b"2")]
    assert changes(board, 0) == [("a", b"1"), ("c", b""), ("b", b"2")]
    board.renew(["c", "unknown"])
    assert told == [seen + 1]
