"""All by which a run speaks: the store that keeps what it says, the broker, Home Assistant, and the other sinks."""

from __future__ import annotations

import random
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from streamer.events.payload import encode_event, encode_interrupted
from streamer.evidence.files import CLIPS, PART
from streamer.pipeline.deliver import Delivery
from streamer.pipeline.worker import Worker
from streamer.publish.birth import Birth
from streamer.publish.mqtt import open_mqtt
from streamer.publish.states import StateBoard
from streamer.store.store import open_store

from .announcing import announcer_of
from .broker import broker_address
from .connections import mqtt_options
from .other_sinks import OtherSinks, filters_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.ops.health import Beats
    from streamer.publish.base import Message
    from streamer.publish.commands import Command
    from streamer.settings import Settings

_LIMIT_S = 30.0  # for which a thread may be silent before the watchdog is no longer fed


class Outgoing:
    """What of a run goes out. Made in the main thread, before the others; `stack` owns what was opened."""

    def __init__(self, settings: Settings, stack: ExitStack, *, folder: Path, clock: Clock, beats: Beats) -> None:
        """Take the data directory, and end what a crash has left open.

        Args:
            settings: of the run.
            stack: owns what is opened.
            folder: of the configuration.
            clock: for ages and back-offs.
            beats: the threads show life there.

        Raises:
            StoreError: another run has the directory, or it can't be written.
            ConfigError: there is no broker to be had inside the process.
        """
        self._settings = settings
        self._stack = stack
        self._folder = folder
        self._clock = clock
        self._beats = beats
        self._board = StateBoard()
        self._announcer = announcer_of(settings, self._board, clock=clock)
        self.set_state: Callable[[str, bytes], None] = (
            self._board.set if self._announcer is None else self._announcer.set
        )
        self._in_commit = False
        self.store = open_store(
            settings.data_dir,
            encode=encode_event,
            clock=clock,
            max_bytes=settings.outbox.max_size,
            max_age_s=settings.outbox.max_age_s,
            qos=settings.mqtt.qos,
            sinks=filters_of(settings.sinks),
        )
        stack.callback(self._close_store)
        clips = partial(_has_clip, settings.data_dir / CLIPS)
        self.store.interrupted(
            lambda last, seen_utc_ns: encode_interrupted(last, seen_utc_ns, now_utc_ns=clock.utc_ns(), clips=clips)
        )
        self.broker = broker_address(settings, stack)
        outbox = self.store.outbox()
        with closing(outbox):
            self.retained = outbox.retained()  # topics under which earlier runs have left something
        self._delivery: Delivery | None = None  # until there is a connection to be made

    def connect(self, take: Callable[[Command], None]) -> None:
        """Begin to connect to the broker, and to the others.

        Args:
            take: told each command, in the sink's thread.
        """
        birth, settings = None, self._settings
        if self._announcer is not None:
            rng = random.Random()  # noqa: S311  jitter is no secret
            birth = Birth(settings.mqtt.discovery_prefix, self._announcer.renew, rng)
        self.sink = open_mqtt(mqtt_options(settings.mqtt, self.broker), on_command=take, birth=birth)
        self._stack.callback(self.sink.close)
        self.others = OtherSinks(settings.sinks, self.store, folder=self._folder, clock=self._clock, stack=self._stack)
        self._stack.callback(self.cut)  # first of all: one after the other they would take too long
        self.delivery = Delivery(self.store.outbox(), self.sink, self._board, clock=self._clock)
        self._delivery = self.delivery

    def send(self, message: Message) -> None:
        """Send a message now, or drop it. Any thread, also that of a sink that has connected sooner than we look."""
        if self._delivery is not None:
            self._delivery.feed(message)

    def begin(self, topics: list[str], states: dict[str, bytes]) -> None:
        """Say what there is, before anything has been seen.

        Args:
            topics: retained ones of this configuration that have no first state; those of others are cleared.
            states: first payloads by topic.
        """
        self._board.expect(topics)
        for topic, payload in states.items():
            self.set_state(topic, payload)
        if self._announcer is not None:
            self._announcer.begin()

    def look(self) -> None:
        """Announce what has come since. Main thread, about once a second."""
        if self._announcer is not None:
            self._announcer.look()

    def stored(self) -> None:
        """Say that messages were stored, or states changed."""
        self.delivery.poke()
        self.others.poke()

    def workers(self) -> list[Worker]:
        """Return the threads that send, the broker's first."""
        beat = self._beats.register("publish", _LIMIT_S)
        publish = Worker("publish", lambda: self.delivery.run(beat), at_end=lambda: self._beats.retire("publish"))
        return [publish, *self.others.workers(self._beats)]

    def end_within(self, timeout_s: float) -> None:
        """Let those threads end once all is delivered, or the time is over. Waits not."""
        self.delivery.end_within(timeout_s)
        self.others.end_within(timeout_s)

    def cut(self) -> None:
        """Close all sinks, also under threads that do not leave; those beside the broker's while that says goodbye."""
        self.others.let_go()
        self.sink.close()
        self.others.cut()

    def undelivered(self) -> int:
        """Return how many stored messages the broker or another sink has not taken."""
        return self.delivery.undelivered() + sum(self.others.undelivered().values())

    def leave_store(self) -> None:
        """Do not close the store: its thread is in the middle of a commit, which SQLite mends at the next start."""
        self._in_commit = True

    def _close_store(self) -> None:
        if not self._in_commit:
            self.store.close()


def _has_clip(folder: Path, relative: str) -> bool:
    """Whether a clip is there, or what a crash has left of it: this start makes a clip of that."""
    return (folder / relative).is_file() or (folder / f"{relative}{PART}").is_file()
