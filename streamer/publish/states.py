"""Retained messages: only the newest state of each topic counts, and a new connection wants them all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class State(NamedTuple):
    """The newest payload of a topic, and when it was set: versions rise over all topics.

    A topic is relative to the sink's prefix, or whole behind a slash, as in `Message`.
    """

    version: int
    topic: str
    payload: bytes  # empty: the topic is cleared at the broker


class StateBoard:
    """What each retained topic says now. Any thread sets; the publish thread reads. Never waits."""

    def __init__(self) -> None:
        self._changed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()  # guards all below
        self._states: dict[str, State] = {}  # in the order of their versions
        self._version = 0
        self._expected: frozenset[str] | None = None

    def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called at each change, in the thread that made it; it must not wait."""
        self._changed = changed

    def set(self, topic: str, payload: bytes) -> None:
        """Say what a topic's state is. The same again changes nothing."""
        with self._lock:
            before = self._version
            self._set_locked(topic, payload)
            changed = self._version != before
        if changed:
            self._changed()

    def clear(self, topic: str) -> None:
        """Take a topic away from the broker."""
        self.set(topic, b"")

    def renew(self, topics: Collection[str]) -> None:
        """Send the states of these topics again, though they have not changed: somebody may have missed them."""
        with self._lock:
            before = self._version
            for topic in topics:
                state = self._states.get(topic)
                if state is not None and state.payload:
                    self._put_locked(topic, state.payload)
            changed = self._version != before
        if changed:
            self._changed()

    def expect(self, topics: Collection[str]) -> None:
        """Say which topics belong to this configuration: others of earlier runs are cleared.

        A topic that is set is never cleared by this, whether it is named here or not. Without this call nothing is.
        """
        with self._lock:
            self._expected = frozenset(topics)

    def retire(self, known: Collection[str]) -> None:
        """Clear those of the `known` topics of earlier runs that are neither expected nor set."""
        with self._lock:
            if self._expected is None:
                return
            for topic in sorted(set(known) - self._expected - self._states.keys()):
                self._set_locked(topic, b"")

    def cleared(self, topic: str) -> bool:
        """Whether the newest state of a topic is that it is gone."""
        with self._lock:
            state = self._states.get(topic)
        return state is not None and not state.payload

    def version(self) -> int:
        """Return the version of the newest change, 0 if there is none."""
        return self._version  # one number: reading it needs no lock

    def since(self, version: int) -> list[State]:
        """Return the states that are newer than `version`, oldest first; all with 0."""
        with self._lock:
            if version == 0:
                return list(self._states.values())
            newer: list[State] = []
            for state in reversed(self._states.values()):
                if state.version <= version:
                    break
                newer.append(state)
        return newer[::-1]

    def _set_locked(self, topic: str, payload: bytes) -> None:
        old = self._states.get(topic)
        if old is None or old.payload != payload:
            self._put_locked(topic, payload)

    def _put_locked(self, topic: str, payload: bytes) -> None:
        self._states.pop(topic, None)  # to the end: the dictionary is in the order of the versions
        self._version += 1
        self._states[topic] = State(self._version, topic, payload)
