"""Commands, carried out and answered. Nothing that comes is trusted: what is malformed is refused in one sentence."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from streamer.publish.commands import Command

_log = logging.getLogger(__name__)

TAKEN, REFUSED = "commands", "commands_refused"  # what is counted
MOST_CHARACTERS = 128  # of an item's id
_COMMANDS = "enabled, snapshot, trigger"
_SHOWN = 64  # characters of what came that an answer repeats
_T = TypeVar("_T")


class Orders:
    """Takes commands in the sink's thread: nothing here waits."""

    def __init__(
        self,
        triggers: Mapping[str, Callable[[str, int], None]],
        answer: Callable[[Message], object],
        count: Callable[[str, int], None],
        *,
        switches: Mapping[str, Callable[[bool], None]] | None = None,
        snapshots: Mapping[str, Callable[[], None]] | None = None,
        disabled: Collection[str] = (),
    ) -> None:
        """Store the parts. What a camera does on command raises ValueError where it can't, and must not wait.

        Args:
            triggers: by camera, what begins an item: told its id and when it was triggered (monotonic, ns).
            answer: sends a message, or drops it; must not wait.
            count: told a counter and how much to add.
            switches: by camera, what switches it on (True) and off.
            snapshots: by camera, what asks for a picture of it.
            disabled: cameras that the configuration has switched off: no command reaches them.
        """
        self._triggers = triggers
        self._answer = answer
        self._count = count
        self._switches = switches or {}
        self._snapshots = snapshots or {}
        self._disabled = frozenset(disabled)

    def take(self, command: Command) -> None:
        """Carry out a command and answer it."""
        try:
            self._carry_out(command)
        except ValueError as exc:
            self._count(REFUSED, 1)
            _log.debug("mqtt: %s/set/%s refused: %s", _shown(command.camera), _shown(command.what), exc)
            self._say(command, error=str(exc))
        else:
            self._count(TAKEN, 1)
            self._say(command, error=None)

    def _carry_out(self, command: Command) -> None:
        """Do what is asked for.

        Raises:
            ValueError: it can't be done; the message says what is allowed.
        """
        if command.what == "trigger":
            why = "no camera has a rule with `decide: {trigger: command}`"
            trigger = self._of(command, self._triggers, "that takes a trigger", none=why)
            trigger(item_id(command.payload), command.arrived_ns)
        elif command.what == "enabled":
            turn = self._of(command, self._switches, "that can be switched", none="no camera is enabled")
            turn(switched_on(command.payload))
        elif command.what == "snapshot":
            ask = self._of(command, self._snapshots, "that takes a snapshot", none="no camera is enabled")
            ask()
        else:
            raise ValueError(f"there is no command {_shown(command.what)}; allowed: {_COMMANDS}")

    def _of(self, command: Command, able: Mapping[str, _T], which: str, *, none: str) -> _T:
        """Return what the camera of a command does.

        Raises:
            ValueError: it does no such thing.
        """
        if command.camera in self._disabled:
            raise ValueError(
                f"{command.camera} is disabled in the configuration, where no command reaches it; allowed there: "
                "enabled: true, and a new start"
            )
        if command.camera not in able:
            allowed = ", ".join(sorted(able)) or f"none: {none}"
            raise ValueError(f"{_shown(command.camera)} is no camera {which}; allowed: {allowed}")
        return able[command.camera]

    def _say(self, command: Command, *, error: str | None) -> None:
        said: dict[str, object] = {"ok": error is None, "error": error}
        if command.what == "trigger" and command.camera in self._triggers:
            with suppress(ValueError):
                said["item"] = item_id(command.payload)
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


def switched_on(payload: bytes) -> bool:
    """Return whether a payload says ON.

    Raises:
        ValueError: it says neither ON nor OFF.
    """
    if payload not in (b"ON", b"OFF"):
        raise ValueError(f"{_shown(payload.decode(errors='replace'))} is no position of a switch; allowed: ON, OFF")
    return payload == b"ON"


def _repeatable(level: str) -> bool:
    """Whether a level of a topic that came may stand in one of ours."""
    return 0 < len(level) <= MOST_CHARACTERS and level.isprintable() and not set(level) & {"+", "#"}


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
