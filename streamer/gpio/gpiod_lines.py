"""Lines of this machine's GPIO chips, over libgpiod (version 2). Not run on real GPIO: see docs/gpio.md.

Its objects are not thread-safe; each line here is a request of its own, and one thread uses it.
"""

from __future__ import annotations

import errno
import logging
import select
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import gpiod
from gpiod.line import Bias, Clock, Direction, Edge, Value

from streamer.core.clock import NS_PER_S
from streamer.core.errors import GpioError

from .base import DEVICES, ChipFound, chip_path

if TYPE_CHECKING:
    from .base import InputSpec, OutputSpec

_log = logging.getLogger(__name__)

_CONSUMER = "streamer"  # what `gpioinfo` shows beside the line
_KEPT_EDGES = 1024  # that the kernel keeps until they are read: all it can. Its default is 16
_EDGES = {"rising": Edge.RISING, "falling": Edge.FALLING}
_BIASES = {"as-is": Bias.AS_IS, "up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "off": Bias.DISABLED}
_WHY = {
    errno.ENOENT: "there is no such chip (`streamer doctor` lists those of this machine)",
    errno.EACCES: "no permission; your user must be in the group that owns the chip, mostly `gpio`",
    errno.EPERM: "no permission; your user must be in the group that owns the chip, mostly `gpio`",
    errno.EBUSY: "another program uses it (`gpioinfo` shows which)",
    errno.ENODEV: "the chip is gone, or it is no GPIO chip",
    errno.ENOTTY: "it is no GPIO chip",
    errno.EINVAL: "the chip can't do with this line what is asked of it",
    errno.ENXIO: "the chip can't tell of changes of this line",
}


class GpiodInput:
    """An `InputLine` of a real chip."""

    def __init__(self, spec: InputSpec) -> None:
        """Request the line.

        Raises:
            GpioError: it can't be had.
        """
        self._spec = spec
        # Of a line that is debounced the kernel tells the moment at which it had been still for that long.
        self._late_ns = round(spec.debounce_s * NS_PER_S)
        self._seen = 0  # number of the last edge that was read; the kernel counts from 1
        self._request = _request(
            spec,
            gpiod.LineSettings(
                direction=Direction.INPUT,
                edge_detection=_EDGES[spec.edge],
                bias=_BIASES[spec.bias],
                debounce_period=timedelta(seconds=spec.debounce_s),
                event_clock=Clock.MONOTONIC,
            ),
            kept_edges=_KEPT_EDGES,
        )
        self._poll = select.poll()  # not `wait_edge_events`: it uses select(), which takes no descriptor above 1023
        self._poll.register(self._request.fd, select.POLLIN)

    def wait(self, timeout_s: float) -> list[int]:
        """Wait for edges; what the kernel had to throw away is logged."""
        if not self._poll.poll(max(0.0, timeout_s) * 1e3):
            return []
        try:
            events = self._request.read_edge_events()
        except OSError as exc:
            raise _failed(f"{self._spec} can't be read", exc) from exc
        for event in events:
            if event.line_seqno > self._seen + 1:
                _log.warning(
                    "%s: %d edges were lost before they were read", self._spec, event.line_seqno - self._seen - 1
                )
            self._seen = event.line_seqno
        return [event.timestamp_ns - self._late_ns for event in events]

    def close(self) -> None:
        """Release the line."""
        if self._request:
            self._poll.unregister(self._request.fd)
            self._request.release()


class GpiodOutput:
    """An `OutputLine` of a real chip."""

    def __init__(self, spec: OutputSpec) -> None:
        """Request the line, inactive.

        Raises:
            GpioError: it can't be had.
        """
        self._spec = spec
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT, active_low=spec.active == "low", output_value=Value.INACTIVE
        )
        self._request = _request(spec, settings, kept_edges=None)

    def set(self, *, active: bool) -> None:
        """Drive the line."""
        try:
            self._request.set_value(self._spec.line, Value.ACTIVE if active else Value.INACTIVE)
        except OSError as exc:
            raise _failed(f"{self._spec} can't be driven", exc) from exc

    def close(self) -> None:
        """Make the line inactive, for the kernel leaves a released line as it is, and release it."""
        if not self._request:
            return
        try:
            self.set(active=False)
        except GpioError as exc:
            _log.warning("%s; it may be active still", exc)
        finally:
            self._request.release()


def chips() -> list[ChipFound]:
    """Return the GPIO chips that this user may open."""
    found = (_chip(path) for path in sorted(Path(DEVICES).glob("gpiochip*")))
    return [chip for chip in found if chip is not None]


def _chip(path: Path) -> ChipFound | None:
    try:
        with gpiod.Chip(str(path)) as chip:
            info = chip.get_info()
    except OSError as exc:
        _log.debug("%s can't be opened: %s", path, exc)
        return None
    return ChipFound(path=str(path), label=info.label, lines=info.num_lines)


def _request(
    spec: InputSpec | OutputSpec, settings: gpiod.LineSettings, *, kept_edges: int | None
) -> gpiod.LineRequest:
    try:
        return gpiod.request_lines(
            chip_path(spec.chip), consumer=_CONSUMER, config={spec.line: settings}, event_buffer_size=kept_edges
        )
    except OSError as exc:
        raise _failed(f"{spec} can't be opened", exc) from exc
    except ValueError as exc:  # what the library itself looks at: the number
        raise GpioError(f"{spec} can't be opened: the chip has no line of that number") from exc


def _failed(what: str, error: OSError) -> GpioError:
    why = _WHY.get(error.errno or 0) or error.strerror or str(error)
    return GpioError(f"{what}: {why}")
