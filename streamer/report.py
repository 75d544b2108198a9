"""How a run is doing, for people and machines: the status table, the statistics topic, the last words."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from streamer.ops.status import BrokerRow, CameraRow, ItemsRow, ModelRow, SinkRow, Snapshot, items_in_words
from streamer.publish.base import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamer.infer.network import Network
    from streamer.pipeline.desk import CameraDesk

    from .figures import Figures
    from .outgoing import Outgoing

_log = logging.getLogger(__name__)


class Report:
    """Reads the figures of a run; owns nothing. Main thread."""

    def __init__(
        self,
        figures: Figures,
        out: Outgoing,
        *,
        names: Iterable[str],
        models: dict[str, Network[Any]],
        doing: Callable[[str], str | None],
        address: str,
    ) -> None:
        self._figures = figures
        self._out = out
        self._names = sorted(names)  # of all models
        self._models = models  # those that are open
        self._doing = doing  # model -> what is being built or proved beside it
        self._address = address

    def snapshot(self, desks: dict[str, CameraDesk]) -> Snapshot:
        """Return everything the status table shows."""
        figures = self._figures
        cameras = tuple(
            CameraRow(
                camera=name,
                state=camera.state,
                reason=camera.reason,
                size=camera.size,
                fps_in=figures.rate(name, "decoded"),
                inferred_per_s=figures.rate(name, "inferred") or figures.rate(name, "classified"),
                drops=sum(figures.drops(name).values()) - figures.value(name, "still"),
                still=figures.value(name, "still") or None,
                age_p50_ms=camera.age_p50_ms(),
                open_events=desks[name].active() if name in desks else 0,
            )
            for name, camera in figures.cameras.items()
        )
        models = tuple(
            ModelRow(
                name=name,
                backend=model.ref.backend if model else "",
                precision=model.ref.precision if model else "",
                infer_ms=figures.infer_ms(name),
                doing=doing,
            )
            for name, model, doing in ((name, self._models.get(name), self._doing(name)) for name in self._names)
            if model or doing
        )
        delivery = self._out.delivery
        broker = BrokerRow(
            address=self._address,
            connected=self._out.sink.connection() is not None,
            undelivered=delivery.undelivered(),
            parked=delivery.parked,
            missed=sum(delivery.decisions_dropped.values()),
        )
        counted = ((name, figures.items(name)) for name in figures.cameras)
        items = tuple(items_row(name, counts) for name, counts in counted if counts is not None)
        sinks = tuple(
            SinkRow(name=name, undelivered=of["undelivered"], parked=of["parked"], trouble=of["trouble"])
            for name, of in self._out.others.figures().items()
        )
        return Snapshot(cameras=cameras, models=models, broker=broker, items=items, sinks=sinks)

    def statistics(self) -> Message:
        """Return the numbers since the start as a message on `stats`: frames, drops by cause, models, delivery."""
        figures = self._figures
        cameras = {
            name: {
                "state": camera.state,
                "decoded": figures.value(name, "decoded"),
                "idle": figures.value(name, "idle"),
                "inferred": figures.value(name, "inferred"),
                "classified": figures.value(name, "classified"),
                "zoomed": figures.value(name, "zoomed"),
                "looks_dropped": figures.look_drops(name),
                "dropped": figures.drops(name),
                "lost_connections": figures.value(name, "lost_connections"),
                "evidence": figures.evidence(name),
                "age_p50_ms": None if (age_ms := camera.age_p50_ms()) is None else round(age_ms, 1),
                **({} if (items := figures.items(name)) is None else {"items": dict(items)}),
            }
            for name, camera in figures.cameras.items()
        }
        models = {
            name: {
                "backend": model.ref.backend,
                "precision": model.ref.precision,
                "infer_ms": None if (infer_ms := figures.infer_ms(name)) is None else round(infer_ms, 2),
                "doing": self._doing(name),
            }
            for name, model in sorted(self._models.copy().items())
        }
        delivery, store = self._out.delivery, self._out.store
        outbox = {
            "delivered": delivery.delivered,
            "undelivered": delivery.undelivered(),
            "parked": delivery.parked,
            "not_durable": store.not_durable,
            "dropped": dict(store.dropped),
            "feed_sent": delivery.feed_sent,
            "feed_dropped": dict(delivery.feed_dropped),
            **figures.commands(),
            "decisions_sent": delivery.decisions_sent,
            "decisions_dropped": dict(delivery.decisions_dropped),
        }
        said = {"cameras": cameras, "models": models, "outbox": outbox, "sinks": self._out.others.figures()}
        payload = json.dumps(said, separators=(",", ":")).encode()
        return Message(topic="stats", payload=payload, qos=0, retain=False)

    def last_words(self) -> None:
        """Log what each camera gave and lost, and what has not been delivered."""
        figures = self._figures
        for name in figures.cameras:
            drops = ", ".join(f"{n} {cause}" for cause, n in figures.drops(name).items()) or "none"
            decoded, inferred = figures.value(name, "decoded"), figures.value(name, "inferred")
            idle = figures.value(name, "idle")
            spared = f" ({idle} more spared while nothing moved)" if idle else ""
            looks = figures.value(name, "classified")
            missed = ", ".join(f"{n} {cause}" for cause, n in figures.look_drops(name).items())
            looked = f", {looks} looks classified ({missed or 'none dropped'})" if looks or missed else ""
            extra = {"camera": name}
            found = (decoded, spared, inferred, looked, drops)
            _log.info("%d frames decoded%s, %d inferred%s; dropped: %s", *found, extra=extra)
            if (items := figures.items(name)) is not None:
                _log.info("items %s", items_in_words(items_row(name, items)), extra={"camera": name})
        self._last_words_of_delivery()

    def _last_words_of_delivery(self) -> None:
        delivery, store = self._out.delivery, self._out.store
        if left := delivery.undelivered():
            _log.warning("%d messages are not delivered; the next run sends them first", left)
        for name, waiting in self._out.others.undelivered().items():
            if waiting:
                _log.warning("sink %s: %d messages are not delivered; the next run sends them first", name, waiting)
        if store.not_durable:
            _log.warning("%d messages could not be put on the disk before they were sent", store.not_durable)
        if missed := delivery.decisions_left + sum(delivery.decisions_dropped.values()):
            _log.warning(
                "%d decisions did not reach the broker in their time (`streamer events --decisions` has them all)",
                missed,
            )


def items_row(camera: str, counts: Mapping[str, int]) -> ItemsRow:
    """Return what became of a camera's items, as the status table shows it.

    Args:
        camera: its name.
        counts: as `ItemBook.counts` names them. What could not be judged (`otherwise_...`) is all accepted or all
            rejected, as the configuration wants it: rejected, where the defects alone are fewer than that.
    """
    defects = {word.removeprefix("rejected_"): n for word, n in counts.items() if word.startswith("rejected_")}
    doubts = {word.removeprefix("otherwise_"): n for word, n in counts.items() if word.startswith("otherwise_")}
    doubts_rejected = counts["rejected"] > sum(defects.values())
    return ItemsRow(
        camera=camera,
        items=counts["items"],
        accepted=counts["accepted"],
        rejected=counts["rejected"],
        why_accepted=() if doubts_rejected else _most_first(doubts),
        why_rejected=_most_first(Counter(defects) + Counter(doubts if doubts_rejected else {})),
    )


def _most_first(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])))
