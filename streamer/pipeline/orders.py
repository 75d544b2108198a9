"""Commands, carried out and answered. Nothing that comes is trusted: what is malformed is refused in one sentence."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.publish.commands import Command

_log = logging.getLogger(__name__)

TAKEN, REFUSED = "commands", "commands_refused"  # what is counted
MOST_CHARACTERS = 128  # of an item's id
_LATER = ("enabled", "snapshot")  # of the contract, and not built yet
_SHOWN = 64  # characters of what came that an answer repeats


class Orders:
    """Takes commands in the sink's thread: nothing here waits."""

    def __init__(
        self,
        triggers: Mapping[str, Callable[[str, int], None]],
        answer: Callable[[Message], object],
        count: Callable[[str, int], None],
    ) -> None:
        """Store the parts.

        Args:
            triggers: by camera, what begins an item: told its id and when it was triggered (monotonic, ns); raises
                ValueError for an id that can't be taken. Must not wait.
            answer: sends a message, or drops it; must not wait.
            count: told a counter and how much to add.
        """
        self._triggers = triggers
        self._answer = answer
        self._count = count

    def take(self, command: Command) -> None:
        """Carry out a command and answer it."""
        item: str | None = None
        try:
            self._look(command)
            item = item_id(command.payload)
            self._triggers[command.camera](item, command.arrived_ns)
        except ValueError as exc:
            self._count(REFUSED, 1)
            _log.debug("mqtt: %s/set/%s refused: %s", _shown(command.camera), _shown(command.what), exc)
            self._say(command, error=str(exc), item=item)
        else:
            self._count(TAKEN, 1)
            self._say(command, error=None, item=item)

    def _look(self, command: Command) -> None:
        if command.what in _LATER:
            raise ValueError(f"{command.what} is not supported yet; allowed: trigger")
        if command.what != "trigger":
            raise ValueError(f"there is no command {_shown(command.what)}; allowed: trigger")
        if command.camera not in self._triggers:
            allowed = (
                ", ".join(sorted(self._triggers)) or "none: no camera has a rule with `decide: {trigger: command}`"
            )
            raise ValueError(f"{_shown(command.camera)} is no camera that takes a trigger; allowed: {allowed}")

    def _say(self, command: Command, *, error: str | None, item: str | None) -> None:
        said: dict[str, object] = {"ok": error is None, "error": error}
        if item is not None:
            said["item"] = item
        payload = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
        topic = f"{command.camera}/set/{command.what}/result"
        if _repeatable(command.camera) and _repeatable(command.what):
            self._answer(Message(topic=topic, payload=payload, qos=1, retain=False))
        if command.reply is not None:
            self._answer(Message(topic=topic, payload=payload, qos=1, retain=False, reply=command.reply))


def item_id(payload: bytes) -> str:
    """Return the id of an item from what a command holds.

    Raises:
        ValueError: it is none; the message says what is allowed.
    """
    allowed = f"allowed: 1 to {MOST_CHARACTERS} printable characters in UTF-8"
    if not payload:
        raise ValueError(f"an item id is missing; {allowed}")
    if len(payload) > 4 * MOST_CHARACTERS:
        raise ValueError(f"an item id of {len(payload)} bytes is too long; {allowed}")
    try:
        text = payload.decode()
    except UnicodeDecodeError as exc:
        raise ValueError(f"an item id must be UTF-8; {allowed}") from exc
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"an item id of {len(text)} characters is too long; {allowed}")
    if not text.isprintable() or not text.strip():
        raise ValueError(f"an item id holds a control character, or nothing but spaces; {allowed}")
    return text


def _repeatable(level: str) -> bool:
    """Whether a level of a topic that came may stand in one of ours."""
    return 0 < len(level) <= MOST_CHARACTERS and level.isprintable() and not set(level) & {"+", "#"}


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
