from __future__ import annotations

from streamer.events.recent import Recent


def test_what_was_put_longest_ago_goes_first() -> None:
    recent: Recent[str] = Recent(most=2)
    recent.put(1, "a")
    recent.put(2, "b")
    recent.put(1, "c")
    recent.put(3, "d")
    assert [recent.get(i) for i in (1, 2, 3)] == ["c", None, "d"]
    recent.clear()
    assert recent.get(1) is None
