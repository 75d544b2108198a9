"""Webhooks and commands that are told of a run's events, each with an outbox side and a thread of its own."""

from __future__ import annotations

import os
import random
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from streamer import __version__
from streamer.core.event import EventType
from streamer.pipeline.row_delivery import RowDelivery
from streamer.pipeline.worker import Worker
from streamer.publish.shell import CommandOptions, clean_environment, open_command
from streamer.publish.webhook import WebhookOptions, open_webhook
from streamer.store.wanted import SinkFilter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from streamer.core.clock import Clock
    from streamer.ops.health import Beats
    from streamer.publish.shell import CommandSink
    from streamer.publish.webhook import WebhookSink
    from streamer.settings import ExtraSink
    from streamer.store.store import EventStore

_LIMIT_S = 30.0


class _Told(NamedTuple):
    """One that is told."""

    sink: WebhookSink | CommandSink
    delivery: RowDelivery


class OtherSinks:
    """Those of a run. They fail apart from each other and from the broker."""

    def __init__(
        self, sinks: Sequence[ExtraSink], store: EventStore, *, folder: Path, clock: Clock, stack: ExitStack
    ) -> None:
        """Open them; their threads are started with the others.

        Args:
            sinks: the settings of each.
            store: that keeps their messages.
            folder: of the configuration: commands run there.
            clock: for back-offs.
            stack: closes them.
        """
        self._store = store
        self._told: dict[str, _Told] = {}
        stack.callback(self.cut)
        for settings in sinks:
            sink = _opened(settings, folder, clock)
            self._told[settings.name] = _Told(sink, RowDelivery(store.outbox(settings.name), sink, clock=clock))

    def workers(self, beats: Beats) -> list[Worker]:
        """Return a thread for each."""
        workers = []
        for name, told in self._told.items():
            thread = f"sink-{name}"
            run = partial(told.delivery.run, beats.register(thread, _LIMIT_S))
            workers.append(Worker(thread, run, at_end=partial(beats.retire, thread)))
        return workers

    def poke(self) -> None:
        """Say that messages were stored."""
        for told in self._told.values():
            told.delivery.poke()

    def end_within(self, timeout_s: float) -> None:
        """Let each thread end once all is delivered, or the time is over. Waits not."""
        for told in self._told.values():
            told.delivery.end_within(timeout_s)

    def let_go(self) -> None:
        """Begin to break off what is being delivered, by all of them at once. Waits not; idempotent."""
        for told in self._told.values():
            told.sink.let_go()

    def cut(self) -> None:
        """Break that off, and wait for the end: each leaves in the time of the slowest. Idempotent."""
        self.let_go()
        for told in self._told.values():
            told.sink.close()

    def undelivered(self) -> dict[str, int]:
        """Return how many messages each has not taken yet."""
        return {name: told.delivery.undelivered() for name, told in self._told.items()}

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return what each has taken, refused, not got yet and never will, and why it takes nothing now."""
        return {
            name: {
                "delivered": told.delivery.delivered,
                "undelivered": told.delivery.undelivered(),
                "tried_again": told.sink.tried_again,
                "refused": told.delivery.refused,
                "parked": told.delivery.parked,
                "dropped": dict(self._store.sink_dropped[name]),
                "trouble": told.sink.trouble(),
            }
            for name, told in self._told.items()
        }


def filters_of(sinks: Sequence[ExtraSink]) -> list[SinkFilter]:
    """Return which messages each sink wants."""
    return [
        SinkFilter(
            name=sink.name,
            cameras=None if sink.cameras is None else frozenset(sink.cameras),
            rules=None if sink.events is None else frozenset(sink.events),
            types=None if sink.types is None else frozenset(map(EventType, sink.types)),
        )
        for sink in sinks
    ]


def webhook_options(sink: ExtraSink) -> WebhookOptions:
    """Return how a webhook is asked.

    Raises:
        ValueError: its address or a header can't be used; the message holds no secret.
    """
    return WebhookOptions(
        name=sink.name,
        url="" if sink.webhook is None else sink.webhook.get_secret_value(),
        secret=None if sink.secret is None else sink.secret.get_secret_value(),
        headers={name: value.get_secret_value() for name, value in sink.headers.items()},
        timeout_s=sink.timeout_s,
        agent=f"streamer/{__version__}",
    )


def command_problem(command: Sequence[str], folder: Path) -> str | None:
    """Return why a command can't be run, or None; a path in it starts at the configuration's folder."""
    program = str(folder / command[0]) if os.sep in command[0] else command[0]
    return None if shutil.which(program) else "its program is not there, or can't be run"


def _opened(settings: ExtraSink, folder: Path, clock: Clock) -> WebhookSink | CommandSink:
    rng = random.Random()  # noqa: S311  jitter is no secret
    if settings.command is None:
        return open_webhook(webhook_options(settings), clock=clock, rng=rng)
    options = CommandOptions(
        name=settings.name,
        command=settings.command,
        environ=clean_environment(os.environ),
        timeout_s=settings.timeout_s,
        folder=folder if folder.is_dir() else None,
    )
    return open_command(options, clock=clock, rng=rng)
