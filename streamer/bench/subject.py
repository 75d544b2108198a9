"""What is measured: a clip, cameras of the bench's own, or the user's configuration; each is a configuration file."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.capture.record import record_scene
from streamer.core.errors import ConfigError, SourceError
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.pipeline.frames import OUTSTANDING
from streamer.settings import load

from .child import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streamer.settings import Camera

DEFAULT_MODEL = "shapes"
SIZES = {"360p": (640, 360), "480p": (854, 480), "720p": (1280, 720), "1080p": (1920, 1080),
         "1440p": (2560, 1440), "2160p": (3840, 2160), "4k": (3840, 2160)}  # fmt: skip
MOST_CAMERAS = 64
_FPS = (1, 120)
_CLIP_S = 8.0  # of a drawn scene; it is repeated
_SEED = 1
_START_S = 30.0
_HASHED = 1 << 20  # bytes: enough to tell one file from another
_OWN_CONFIG = "bench.yaml"
_OF_THE_MODEL = ("head", "labels", "look", "activation")  # options that say how a model is used
_OWN_PLACE = re.compile(rf"^.*?\b{re.escape(_OWN_CONFIG)}:\d+: ((models\.net|cameras\.[a-z0-9]+)\.)?", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asks for. None: not given."""

    file: Path | None = None
    cameras: int | None = None
    size: str | None = None
    fps: int | None = None
    config: Path | None = None
    publish: bool = False
    model: str | None = None
    head: str | None = None
    labels: str | None = None
    look: str | None = None
    activation: str | None = None
    backend: str = "auto"
    precision: str = "auto"
    rounds: int = 3
    seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A configuration to run, and what is known of its pictures."""

    kind: str  # file | cameras | config
    config: Path
    files: Mapping[str, Path] = field(default_factory=dict)  # camera -> what it decodes, where that is a file
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the report; two runs compare if these are equal
    server_pid: int | None = None  # of the cameras' process
    live: bool = False


def check_options(options: Options) -> None:
    """Refuse what does not fit together.

    Raises:
        ConfigError: one sentence says what, and what is allowed.
    """
    given = [name for name in ("file", "cameras", "config") if getattr(options, name) is not None]
    if len(given) > 1:
        raise ConfigError(f"bench: --{given[0]} and --{given[1]} exclude each other; choose one source")
    if options.cameras is None and (options.size is not None or options.fps is not None):
        raise ConfigError("bench: --size and --fps are for --cameras; a file and a configuration have their own")
    if options.cameras is not None and not 1 <= options.cameras <= MOST_CAMERAS:
        raise ConfigError(f"bench: --cameras {options.cameras}: allowed are 1 to {MOST_CAMERAS}")
    if options.fps is not None and not _FPS[0] <= options.fps <= _FPS[1]:
        raise ConfigError(f"bench: --fps {options.fps}: allowed are {_FPS[0]} to {_FPS[1]}")
    if options.size is not None:
        size_of(options.size)
    if options.config is not None:
        own = [name for name in ("model", *_OF_THE_MODEL) if getattr(options, name) is not None]
        own += [name for name in ("backend", "precision") if getattr(options, name) != "auto"]
        if own:
            raise ConfigError(f"bench: --{own[0]} does not go with --config, which names its own models")
    elif options.publish:
        raise ConfigError("bench: --publish goes with --config only: there is no other broker")
    if options.file is not None and not options.file.is_file():
        raise ConfigError(f"bench: no such file: {options.file}")


def check_model(options: Options) -> Task:
    """Recognise the model before anything is drawn; return what it answers.

    Raises:
        ConfigError: there is no such model, or it is not known how to use it.
        BackendError: its file is not here.
    """
    if options.config is not None:  # its models are recognised where they are opened
        return Task.DETECT
    said = SpecOptions(head=options.head, labels=options.labels, look=options.look, activation=options.activation)
    return load_spec(options.model or DEFAULT_MODEL, options=said, task=None).task


def models_of(camera: Camera) -> dict[str, int]:
    """Return the models that a camera uses, its detector first, and how many of its pictures may wait for each."""
    frames = 1 if camera.delivery == "newest" else 2
    waiting: Counter[str] = Counter() if camera.detect is None else Counter({camera.detect.model: frames})
    for looks in camera.classify:
        waiting[looks.model] += OUTSTANDING if looks.of.objects else frames
    return dict(waiting)


def plain(message: str) -> str:
    """Return a message about the bench's own configuration without its place in that file, which nobody can see."""
    return _OWN_PLACE.sub("bench: ", message)


def size_of(text: str) -> tuple[int, int]:
    """Return width and height, px.

    Raises:
        ConfigError: it is no size; the sentence says what is one.
    """
    if text.lower() in SIZES:
        width, height = SIZES[text.lower()]
        return width, height
    sides = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if sides is None or any(int(side) % 2 or not 64 <= int(side) <= 4320 for side in sides.groups()):
        allowed = f"{', '.join(SIZES)}, or WIDTHxHEIGHT in even numbers from 64 to 4320"
        raise ConfigError(f"bench: --size {text!r}: allowed are {allowed}")
    return int(sides[1]), int(sides[2])


@contextmanager
def open_subject(
    options: Options, folder: Path, say: Callable[[str], None], *, task: Task = Task.DETECT
) -> Iterator[Subject]:
    """Prepare what is measured; cameras of the bench's own serve until the block ends.

    Args:
        options: checked.
        folder: for clips and configurations of the bench's own.
        say: told what is going on, for people.
        task: of the model that the options name.

    Raises:
        ConfigError: the user's configuration is wrong.
    """
    if options.config is not None:
        yield _of_config(options.config)
    elif options.cameras is not None:
        with _cameras(options, options.cameras, _Own(folder, say, task)) as subject:
            yield subject
    else:
        yield _of_file(options, _Own(folder, say, task))


@dataclass(frozen=True, slots=True)
class _Own:
    """Where a subject of the bench's own goes, and what its model answers."""

    folder: Path
    say: Callable[[str], None]
    task: Task


def _of_config(path: Path) -> Subject:
    settings = load(path, os.environ).settings
    cameras = {name: camera for name, camera in settings.cameras.items() if camera.enabled}
    return Subject(
        kind="config",
        config=path,
        files={n: Path(c.source.reveal()) for n, c in cameras.items() if c.source.kind == "file"},
        facts={"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "cameras": len(cameras)},
        live=any(camera.source.live for camera in cameras.values()),
    )


def _of_file(options: Options, own: _Own) -> Subject:
    if options.file is None:
        own.say("no --file, --cameras or --config: a clip is drawn (1280x720 at 25 frames a second)")
        clip = own.folder / "scene.mp4"
        record_scene(clip, size=(1280, 720), fps=25, seconds=_CLIP_S, seed=_SEED)
        facts: dict[str, Any] = {"name": "drawn scene", "width": 1280, "height": 720, "fps": 25}
    else:
        clip = options.file.absolute()
        _refuse_no_recording(clip)
        with clip.open("rb") as file:
            head = file.read(_HASHED)
        digest = hashlib.sha256(head).hexdigest()
        facts = {"name": clip.name, "bytes": clip.stat().st_size, "sha256_of_first_mib": digest}
    camera = {"source": str(clip), "frames": "every"}
    config = _write(options, {"file": camera}, own)
    return Subject(kind="file", config=config, files={"file": clip}, facts=facts)


def _refuse_no_recording(clip: Path) -> None:
    """Say before anything is measured that a file gives no pictures.

    Raises:
        ConfigError: it can't be read, or is something else.
    """
    spec = SourceSpec(camera="file", url=str(clip), delivery=Delivery.EVERY)
    try:
        source = open_source(spec, stopping=lambda: False, dropped=lambda *_: None)
    except SourceError as exc:
        raise ConfigError(f"bench: --file {exc}") from exc
    source.close()


@contextmanager
def _cameras(options: Options, count: int, own: _Own) -> Iterator[Subject]:
    size, fps = size_of(options.size or "1080p"), options.fps or 25
    own.say(f"drawing {_CLIP_S:.0f} s of a scene at {size[0]}x{size[1]}")
    clip = own.folder / "scene.mp4"
    record_scene(clip, size=size, fps=fps, seconds=_CLIP_S, seed=_SEED)
    with Child("cameras", {"clip": str(clip), "cameras": count}) as server:
        urls = server.answer(_START_S)["urls"]
        cameras = {f"cam{number}": {"source": url} for number, url in enumerate(urls, start=1)}
        config = _write(options, cameras, own)
        facts = {"cameras": count, "width": size[0], "height": size[1], "fps": fps}
        yield Subject(
            kind="cameras", config=config, files={"cam1": clip}, facts=facts, server_pid=server.pid, live=True
        )


def _write(options: Options, cameras: dict[str, dict[str, Any]], own: _Own) -> Path:
    """Write a configuration that looks at every frame, and tells of each that was detected in; JSON is YAML, too."""
    if options.model is None:
        own.say(f"no --model: {DEFAULT_MODEL}, the project's own small network; give the model that you will use")
    model = {"model": _absolute(options.model or DEFAULT_MODEL), "backend": options.backend}
    model |= {"precision": options.precision}
    said = {key: getattr(options, key) for key in _OF_THE_MODEL}
    model |= {key: _absolute(value) if key == "labels" else value for key, value in said.items() if value is not None}
    looked_at: dict[str, Any] = {"detect": {"model": "net", "fps": 0}, "publish_detections": True}
    if own.task is Task.CLASSIFY:
        looked_at = {"classify": [{"name": "scene", "model": "net", "fps": 0}]}
    tree = {"models": {"net": model}, "cameras": {name: {**camera, **looked_at} for name, camera in cameras.items()}}
    path = own.folder / _OWN_CONFIG
    path.write_text(json.dumps(tree, ensure_ascii=False, indent=1), "utf-8")
    return path


def _absolute(named: str) -> str:
    """Return the whole path of a file that is here; anything else is a name, or refused when it is read."""
    return str(Path(named).absolute()) if os.path.isfile(named) else named  # noqa: PTH113  pathlib raises for odd names
