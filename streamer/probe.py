"""`streamer check --probe`: each model, each camera and the broker of a configuration opened once."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TextIO

from streamer.capture.open import open_source
from streamer.core.clock import SystemClock
from streamer.core.errors import ConfigError, EndOfStream, SourceError, StreamerError
from streamer.core.redact import redact
from streamer.publish.mqtt import open_mqtt
from streamer.publish.url import BrokerAddress

from .connections import mqtt_options, record_spec, source_spec
from .serving import LEAST_SCORE
from .ways import ServingPlan, ways_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.capture.base import DropCause, SourceSpec
    from streamer.infer.spec import ModelSpec
    from streamer.settings import Camera, Loaded, Mqtt

_BROKER_S = 10.0


def probe(loaded: Loaded, specs: Mapping[str, ModelSpec], out: TextIO, *, unusable: bool) -> int:
    """Open everything once, and say what came of it.

    Args:
        loaded: the configuration.
        specs: its models.
        out: a line for each.
        unusable: whether a model is known not to work.

    Returns:
        3 if a model can't work, 2 if a camera or the broker can't be reached, else 0.
    """
    code = 3 if unusable else 0
    for name, spec in specs.items():
        if not _tried(f"model {name}", partial(_open_model, loaded, name, spec), out):
            code = 3
    for name, camera in loaded.settings.cameras.items():
        if camera.enabled and not _tried(f"camera {name}", partial(_first_picture, loaded, name, camera), out):
            code = code or 2
        if camera.enabled and camera.record is not None:
            stream = record_spec(name, camera.record)
            if not _tried(f"camera {name}, record", partial(_picture_of, stream), out):
                code = code or 2
    mqtt = loaded.settings.mqtt
    if not mqtt.url.embedded and not _tried("broker", partial(_connect, mqtt), out):
        code = code or 2
    return code


def _tried(what: str, attempt: Callable[[], str], out: TextIO) -> bool:
    try:
        out.write(f"{what}: {attempt()}\n")
    except StreamerError as exc:
        out.write(f"{what}: {redact(str(exc))}\n")
        return False
    return True


def _open_model(loaded: Loaded, name: str, spec: ModelSpec) -> str:
    """Open a model as `run` would begin with it; an engine that is missing is not built."""
    plan = ServingPlan(
        name=name,
        spec=spec,
        settings=loaded.settings.models[name],
        latency=True,
        least=LEAST_SCORE,
        on_ready=lambda: None,
        clock=SystemClock(),
    )
    ways = ways_of(plan)
    ways.begin.open_to_serve().close()
    height, width = spec.input.hw
    found = f"{spec.name} on {ways.begin.name}, {width}x{height}, {len(spec.labels)} classes"
    if not ways.builds or ways.begin is not ways.exact:
        return found
    return f"{found}; `run` builds and proves an engine, until then it stays so"


def _first_picture(loaded: Loaded, name: str, camera: Camera) -> str:
    return _picture_of(source_spec(name, camera, device=loaded.settings.models[camera.main_model].device))


def _picture_of(spec: SourceSpec) -> str:
    began = time.monotonic()
    deadline = began + spec.open_timeout_s * 2

    def dropped(_cause: DropCause, _frames: int) -> None:
        """Of no interest: one picture is asked for."""

    try:
        source = open_source(spec, stopping=lambda: time.monotonic() > deadline, dropped=dropped)
        with ExitStack() as stack:
            stack.callback(source.close)
            picture = source.read().picture
    except EndOfStream:
        raise ConfigError("it opens, and gives no picture") from None
    except SourceError as exc:
        raise ConfigError(f"{exc} ({exc.reason.value})") from exc
    return f"{picture.width}x{picture.height}, first picture after {time.monotonic() - began:.1f} s"


def _connect(mqtt: Mqtt) -> str:
    url = mqtt.url
    sink = open_mqtt(mqtt_options(mqtt, BrokerAddress(host=url.host, port=url.port, tls=url.tls)))
    pause = threading.Event()
    try:
        deadline = time.monotonic() + _BROKER_S
        while sink.connection() is None and sink.trouble() is None and time.monotonic() < deadline:
            pause.wait(0.05)
        if sink.connection() is None:
            raise ConfigError(sink.trouble() or f"{url}: no answer within {_BROKER_S:.0f} s")
    finally:
        sink.close()
    return f"{url}: connected"
