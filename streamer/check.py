"""`streamer check`, and what `run` checks before it starts: the configuration against models, files and cameras."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from streamer.capture.open import check_address, clip_refusal
from streamer.core.errors import BackendError, ConfigError
from streamer.core.names import canonical, needs_alias
from streamer.core.redact import redact
from streamer.events.feed import lacking
from streamer.gpio.open import require_gpiod
from streamer.infer.backends.open import choose
from streamer.infer.catalogue import MissingWeightsError, open_catalogue
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.settings import SettingsError, check_classes, json_schema, load

from .connections import record_spec, source_spec
from .other_sinks import command_problem, webhook_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamer.capture.base import SourceSpec
    from streamer.infer.spec import ModelSpec
    from streamer.settings import Camera, Loaded, ModelSettings, Problem, Settings, Source

# Runtime -> its name, and the precisions that may be asked of it.
_COMPUTES_IN = {
    "onnxruntime": ("ONNX Runtime", ("auto", "f32")),
    "openvino": ("OpenVINO", ("auto", "f32", "bf16")),
    "tensorrt": ("TensorRT", ("auto", "f32", "f16", "int8")),
}


@dataclass(slots=True)
class Examined:
    """What a configuration's models and files turned out to be."""

    specs: dict[str, ModelSpec] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)  # the configuration is wrong
    unusable: dict[str, BackendError] = field(default_factory=dict)  # it is right, but a model can't work here (yet)


def examine(loaded: Loaded) -> Examined:
    """Recognise the models that cameras use, and compare classes and files with what is there."""
    found = Examined()
    settings = loaded.settings
    labels: dict[str, tuple[str, ...]] = {}
    aliases: dict[str, Mapping[str, str]] = {}
    for name, task in _tasks(loaded, found):
        model = settings.models[name]
        try:
            found.specs[name] = load_spec(model.model, options=spec_options(model), task=task)
            labels[name], aliases[name] = found.specs[name].labels, found.specs[name].aliases
            if model.sha256 is not None and found.specs[name].digest != f"sha256:{model.sha256}":
                said = f"its file has {found.specs[name].digest.removeprefix('sha256:')}; it is not what was meant"
                found.problems.append(loaded.problem(("models", name, "sha256"), said))
        except ConfigError as exc:
            said = str(exc).removeprefix("model: ")  # the place says so
            found.problems.append(loaded.problem(("models", name, "model"), said))
        except BackendError as exc:
            found.unusable[name] = exc
            if known := _catalogue_classes(model.model):
                labels[name], aliases[name] = known
        if wrong := _wrong_precision(model):
            found.problems.append(loaded.problem(("models", name, "precision"), wrong))
    found.problems += check_classes(loaded, labels)
    found.problems += _without_alias(loaded, labels, aliases)
    found.problems += _without_gpio(loaded)
    found.problems += _many_in_one(loaded, found.specs)
    for name, camera in settings.cameras.items():
        found.problems += [
            loaded.problem(("cameras", name, *below), wrong) for below, wrong in _wrong_sources(name, camera)
        ]
        if (feed := camera.publish_detections) and (wrong := lacking(feed.format)):
            found.problems.append(loaded.problem(("cameras", name, "publish_detections", "format"), wrong))
    found.problems += [loaded.problem(key, wrong) for key, wrong in _wrong_places(settings)]
    found.problems += _without_program(loaded)
    found.problems.sort()
    return found


def _tasks(loaded: Loaded, found: Examined) -> list[tuple[str, Task]]:
    """Return what each model that is used does; one that is to do both is a problem."""
    enabled = [camera for camera in loaded.settings.cameras.values() if camera.enabled]
    detect = {camera.detect.model for camera in enabled if camera.detect}
    classify = {item.model for camera in enabled for item in camera.classify}
    said = "is used by `detect` and by `classify`; a model does one of the two"
    found.problems += [loaded.problem(("models", name), said) for name in detect & classify]
    return [(name, Task.CLASSIFY if name in classify else Task.DETECT) for name in sorted(detect ^ classify)]


def _without_gpio(loaded: Loaded) -> Iterator[Problem]:
    """Yield a problem for each verdict that needs GPIO lines where what they take is not installed."""
    for name, camera in loaded.settings.cameras.items():
        for number, rule in enumerate(camera.events or ()):
            decide = rule.decide
            if decide is None or not (decide.output or decide.trigger.gpio):
                continue
            try:
                require_gpiod()
            except ConfigError as exc:
                key = "output" if decide.output else "trigger"
                yield loaded.problem(("cameras", name, "events", str(number), "decide", key), str(exc))


def _many_in_one(loaded: Loaded, specs: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    """Yield a problem for each verdict on objects by a model that may find several classes in one: one is its label."""
    for name, camera in loaded.settings.cameras.items():
        models = {item.name: specs.get(item.model) for item in camera.classify if item.of.objects}
        for number, rule in enumerate(camera.events or ()):
            for label in rule.labels or {} if rule.decide else {}:
                model = models.get(label)
                if model is not None and model.scoring is not None and model.scoring.thresholds:
                    said = "is of a multi-label model; a verdict on objects needs one that gives each a single class"
                    yield loaded.problem(("cameras", name, "events", str(number), "labels", label), said)


def _wrong_precision(model: ModelSettings) -> str | None:
    """Return what is wrong with a precision on the runtime that computes the model, or None."""
    runtime, allowed = _COMPUTES_IN[choose(model.backend)]
    if model.precision in allowed:
        return None
    elsewhere = "" if model.backend != "auto" else "; `streamer doctor` tells what this machine has"
    return f"{runtime} does not compute in {model.precision}; allowed with it: {', '.join(allowed)}{elsewhere}"


def _without_alias(
    loaded: Loaded, labels: Mapping[str, Sequence[str]], aliases: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    """Yield a problem for each class that is watched and can't stand in a topic."""
    why = "holds / + or #, which a topic can't; name it in the model's sidecar: `aliases: {CLASS: NAME}`"
    for name, camera in loaded.settings.cameras.items():
        if camera.detect is None or camera.detect.model not in labels:
            continue
        model = camera.detect.model
        named = set(map(canonical, aliases[model]))
        lacking = [label for label in labels[model] if needs_alias(label) and canonical(label) not in named]
        if camera.detect.classes is None and lacking:
            # What the configuration holds may be somebody's secret; what a model's file holds is none.
            own = loaded.settings.models[model].labels is None
            said = f"the model's class {lacking[0]!r}" if own else "a class of the model"
            yield loaded.problem(("cameras", name, "detect", "model"), f"{said} {why}")
        for asked in camera.detect.classes or ():
            if canonical(asked) in map(canonical, lacking):
                yield loaded.problem(("cameras", name, "detect", "classes", asked), why)


def _wrong_sources(name: str, camera: Camera) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with a camera's addresses, as far as that can be told without opening them."""
    if wrong := _wrong_with(camera.source, source_spec(name, camera)):
        yield ("source",), wrong
    if camera.record is not None and (wrong := _wrong_with(camera.record, record_spec(name, camera.record))):
        yield ("record",), wrong
    elif camera.record is not None and not camera.record.live:
        yield ("record",), "must be a live stream of the camera; the clips of a file come from the file itself"
    if camera.clip is not None and (why := clip_refusal((camera.record or camera.source).reveal())):
        instead = "" if camera.record else "; name the camera's RTSP stream as `record`, or leave it out"
        yield ("record",) if camera.record else ("save", "clip"), f"{why}{instead}"


def _wrong_with(source: Source, spec: SourceSpec) -> str | None:
    """Return what is wrong with an address, as far as that can be told without opening it."""
    if source.kind == "file" and not os.path.isfile(source.reveal()):  # noqa: PTH113  as below
        return f"no such file: {source}"
    try:
        check_address(spec)
    except ConfigError as exc:
        return str(exc)
    return None


def _without_program(loaded: Loaded) -> Iterator[Problem]:
    """Yield a problem for each sink whose program is not there, or whose address can't be asked."""
    folder = Path(loaded.file).absolute().parent
    for i, sink in enumerate(loaded.settings.sinks):
        if sink.command is not None and (wrong := command_problem(sink.command, folder)):
            yield loaded.problem(("sinks", str(i), "command"), wrong)
        if sink.webhook is not None:
            try:
                webhook_options(sink)
            except ValueError as exc:
                yield loaded.problem(("sinks", str(i), "webhook"), str(exc))


def _wrong_places(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys whose files or folders can't be what they must be. `os.path`: pathlib raises for odd names."""
    ca_file, data_dir = settings.mqtt.ca_file, settings.data_dir
    if ca_file is not None and not os.path.isfile(ca_file):  # noqa: PTH113  see above
        yield ("mqtt", "ca_file"), f"no such file: {ca_file}"
    there = next((path for path in (data_dir, *data_dir.parents) if os.path.exists(path)), None)  # noqa: PTH110
    if there is not None and not os.path.isdir(there):  # noqa: PTH112
        yield ("data_dir",), f"must be a folder, {there} is a file"


def spec_options(model: ModelSettings) -> SpecOptions:
    """Return what the configuration says of a model beyond its file."""
    return SpecOptions(
        task=model.task,
        head=model.head,
        labels=model.labels,
        size=model.size,
        color=model.color,
        scale=model.scale,
        mean=model.mean,
        std=model.std,
        fit=model.fit,
        pad=model.pad,
        ids=model.ids,
        anchors=model.anchors,
        look=model.look,
        resize=model.resize,
        activation=model.activation,
        threshold=model.threshold,
    )


def print_schema(out: TextIO) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    out.write(f"{json.dumps(json_schema(), indent=2)}\n")


def check(config: Path, *, probe: bool, out: TextIO) -> int:
    """Print each problem on a line of its own; return the exit code.

    That is 2 if the configuration is wrong, and 3 if a model can't be used, as `run` would say. Weights that only have
    to be downloaded are a note.

    Args:
        config: the file.
        probe: also open each model, each camera and the broker.
        out: for the problems, and for what the probe found.
    """
    try:
        loaded = load(config, os.environ)
    except SettingsError as exc:
        out.write(f"{exc}\n")
        return 2
    found = examine(loaded)
    out.writelines(f"{problem}\n" for problem in found.problems)
    code = 2 if found.problems else 0
    for name, unusable in found.unusable.items():
        if isinstance(unusable, MissingWeightsError):  # the configuration is right, and will work once they are here
            sys.stderr.write(f"note: {redact(str(unusable))}\n")
        else:
            out.write(f"{loaded.problem(('models', name, 'model'), redact(str(unusable)))}\n")
            code = code or 3
    if probe and not found.problems:
        from .probe import probe as open_everything  # noqa: PLC0415  a runtime takes a second to load

        code = open_everything(loaded, found.specs, out, unusable=bool(found.unusable))
    if code == 0:
        sys.stderr.write(f"{config}: no problems\n")
    return code


def _catalogue_classes(model: str) -> tuple[tuple[str, ...], Mapping[str, str]] | None:
    """Return the classes and their aliases of a catalogue model whose weights are not here yet."""
    catalogue = open_catalogue()
    if model not in catalogue.names():
        return None
    entry = catalogue.entry(model)
    labels = entry.sidecar.options(entry.path.parent).labels
    return (labels, entry.sidecar.aliases or {}) if isinstance(labels, tuple) else None
