"""Arguments, signals, exit codes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from streamer import __version__
from streamer.core.errors import BackendError, ConfigError, StoreError, StreamerError
from streamer.core.redact import redact
from streamer.ops import log
from streamer.options import (
    ActivationOption,
    Backend,
    BackendOption,
    ConfigArgument,
    DemoScene,
    EnginePrecision,
    HeadOption,
    LabelsOption,
    LogFormat,
    LogOption,
    LookOption,
    ModelOption,
    Precision,
    VerboseOption,
)
from streamer.signals import Signals
from streamer.stdout import leave_unwritten, open_streams, say, why_unwritten

if TYPE_CHECKING:
    from collections.abc import Iterator


class Exit(IntEnum):
    """The contract's exit codes."""

    DONE = 0
    FAULT = 1  # of ours, the only one with a traceback
    USAGE = 2  # wrong configuration or arguments, or `data_dir` is in use
    BACKEND = 3  # a model or runtime can't work here
    UNDELIVERED = 4  # ended with events not yet delivered
    SECOND_SIGNAL = 130


app = typer.Typer(
    name="streamer",
    help="Cameras in, asked-for events out over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

models_app = typer.Typer(help="The catalogue of models: what is known, what is here.", no_args_is_help=True)
app.add_typer(models_app, name="models")


def _version(wanted: bool) -> None:  # noqa: FBT001  the signature typer calls
    if wanted:
        typer.echo(f"streamer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # noqa: ARG001  its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    log.setup()
    log.log_thread_faults()


@app.command()
def run(
    config: ConfigArgument,
    *,
    log_format: LogOption = LogFormat.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Watch the cameras until stopped, or until every source, being a finite file, has ended."""
    _set_up_log(log_format, verbose=verbose)
    signals = Signals(_leave_at_once)
    from streamer.app import open_run  # noqa: PLC0415  the other commands need not wait for the runtimes

    with open_run(config, table=log_format is LogFormat.TEXT) as streamer:
        signals.tell(streamer.request_stop)
        code = streamer.run()
    _leave(code)


@app.command()
def demo(
    *,
    scene: Annotated[DemoScene, typer.Option(help="circuit boards on a line, or shapes in a yard")] = DemoScene.LINE,
    rate: Annotated[float | None, typer.Option(min=0.5, max=10.0, help="boards a second, of the line: else 2")] = None,
    seconds: Annotated[float | None, typer.Option(help="end after so many seconds of the scene")] = None,
    seed: Annotated[int, typer.Option(help="which boards, or shapes")] = 1,
    log_format: LogOption = LogFormat.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """See it work with nothing to set up: a drawn scene, a small network, a broker inside the process.

    The line: each board gets its verdict before a deadline, and a tally compares the verdicts with what was drawn. The
    yard: an event for each shape that stays.
    """
    if rate is not None and scene is not DemoScene.LINE:
        raise typer.BadParameter(f"boards a second are of the line, the {scene.value} has none", param_hint="--rate")
    _set_up_log(log_format, verbose=verbose)
    signals = Signals(_leave_at_once)
    from streamer.demo import RATE, open_demo  # noqa: PLC0415

    with open_demo(scene=scene.value, seconds=seconds, seed=seed, rate=rate or RATE, out=sys.stdout) as streamer:
        signals.tell(streamer.request_stop)
        code = streamer.run()
    _leave(code)


@app.command()
def check(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="the configuration")] = None,
    *,
    probe: Annotated[bool, typer.Option("--probe", help="also open each camera, model and the broker")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schema, for editors")] = False,
) -> None:
    """Validate a configuration; every problem on a line of its own."""
    from streamer.check import check as check_config  # noqa: PLC0415
    from streamer.check import print_schema  # noqa: PLC0415

    if config is None and not schema:
        raise ConfigError("which configuration? streamer check CONFIG")
    with _a_reader_may_leave():
        if schema:
            print_schema(sys.stdout)
        if config is not None:
            _leave(check_config(config, probe=probe, out=sys.stdout))


@app.command()
def detect(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="pictures")],
    *,
    model: ModelOption,
    score: Annotated[float, typer.Option(min=0.0, max=1.0, help="the least score shown")] = 0.25,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="write pictures with boxes here")] = None,
    head: HeadOption = None,
    labels: LabelsOption = None,
    backend: BackendOption = Backend.AUTO,
) -> None:
    """Detect objects in pictures, once."""
    from streamer.infer.recognise import SpecOptions  # noqa: PLC0415
    from streamer.stills import detect as detect_stills  # noqa: PLC0415

    options = SpecOptions(head=head, labels=labels)
    with _a_reader_may_leave():
        _leave(
            detect_stills(
                images, model=model, options=options, score=score, backend=backend.value, as_json=as_json, save=save,
                out=sys.stdout,
            )
        )  # fmt: skip


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="pictures")],
    *,
    model: ModelOption,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="how many classes are shown, the best first")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    labels: LabelsOption = None,
    look: LookOption = None,
    activation: ActivationOption = None,
    backend: BackendOption = Backend.AUTO,
) -> None:
    """Say what pictures show overall, once."""
    from streamer.classify import classify as classify_stills  # noqa: PLC0415
    from streamer.infer.recognise import SpecOptions  # noqa: PLC0415

    options = SpecOptions(labels=labels, look=look, activation=activation)
    with _a_reader_may_leave():
        _leave(
            classify_stills(
                images, model=model, options=options, top=top, backend=backend.value, as_json=as_json, out=sys.stdout
            )
        )


@models_app.command("list")
def models_list(*, as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False) -> None:
    """Print the catalogue: task, input size, AP or top-1, licence, size, and what is here."""
    from streamer.models import list_models  # noqa: PLC0415

    with _a_reader_may_leave():
        _leave(list_models(sys.stdout, as_json=as_json))


@models_app.command("show")
def models_show(model: Annotated[str, typer.Argument(metavar="M", help="a name, an .onnx file or a sidecar")]) -> None:
    """Print everything that is known of a model, and how it would be used."""
    from streamer.models import show_model  # noqa: PLC0415

    with _a_reader_may_leave():
        _leave(show_model(model, sys.stdout))


@models_app.command("pull")
def models_pull(
    models: Annotated[list[str], typer.Argument(metavar="M", help="catalogue names, or sidecars")],
    *,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="DIR|URL", help="a folder or a mirror that has them")
    ] = None,
) -> None:
    """Fetch weights into the cache, and compare their checksums."""
    from streamer.pull_models import pull_models  # noqa: PLC0415

    with _a_reader_may_leave():
        _leave(pull_models(models, origin=origin, out=sys.stdout))


@models_app.command("add")
def models_add(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="an .onnx file")],
    *,
    head: HeadOption = None,
    labels: LabelsOption = None,
    look: LookOption = None,
    activation: ActivationOption = None,
    name: Annotated[str | None, typer.Option(help="of the sidecar; else that of the file")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="what to try it on")] = None,
    force: Annotated[bool, typer.Option("--force", help="write over a sidecar that is there")] = False,
) -> None:
    """Take a short look at a model of your own, and write a sidecar beside it."""
    from streamer.add_model import add_model  # noqa: PLC0415
    from streamer.infer.recognise import SpecOptions  # noqa: PLC0415

    options = SpecOptions(head=head, labels=labels, look=look, activation=activation)
    with _a_reader_may_leave():
        _leave(add_model(path, options=options, name=name, picture=picture, force=force, out=sys.stdout))


@models_app.command("build")
def models_build(  # noqa: PLR0913  an option each
    model: Annotated[str, typer.Argument(metavar="M", help="a name, an .onnx file or a sidecar")],
    *,
    precision: Annotated[
        EnginePrecision, typer.Option("--precision", help="auto: f16, and f32 where that does not agree")
    ] = EnginePrecision.AUTO,
    batch: Annotated[int | None, typer.Option("--batch", min=1, max=8, help="pictures at once")] = None,
    device: Annotated[int, typer.Option("--device", min=0, metavar="N", help="which GPU")] = 0,
    frames: Annotated[
        Path | None,
        typer.Option(
            "--frames", metavar="DIR|CLIP", help="your own pictures, to compare on; int8 is calibrated on them"
        ),
    ] = None,
    head: HeadOption = None,
    labels: LabelsOption = None,
    look: LookOption = None,
    activation: ActivationOption = None,
) -> None:
    """Compile a TensorRT engine for this GPU, and compare it with ONNX Runtime."""
    from streamer.build_models import build_model  # noqa: PLC0415
    from streamer.infer.recognise import SpecOptions  # noqa: PLC0415

    options = SpecOptions(head=head, labels=labels, look=look, activation=activation)
    with _a_reader_may_leave():
        _leave(
            build_model(
                model, options=options, precision=precision.value, batch=batch, device=device, frames=frames,
                out=sys.stdout,
            )
        )  # fmt: skip


@app.command()
def events(
    config: ConfigArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on, as events come")] = False,
    camera: Annotated[str | None, typer.Option(help="of this camera only")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="T", help="10m, 2h, 3d ago, or a time like 2026-11-21T10:15")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    decisions: Annotated[bool, typer.Option("--decisions", help="a factory's decisions on its items")] = False,
) -> None:
    """Show what happened, from the local store, also while `run` is running."""
    from streamer.history import show_events  # noqa: PLC0415

    with _a_reader_may_leave():
        _leave(
            show_events(
                config, follow=follow, camera=camera, since=since, as_json=as_json, decisions=decisions, out=sys.stdout
            )
        )


@app.command()
def bench(  # noqa: PLR0913  an option each
    *,
    file: Annotated[Path | None, typer.Option("--file", metavar="CLIP", help="measure on a recording")] = None,
    cameras: Annotated[
        int | None, typer.Option("--cameras", metavar="N", help="measure on N drawn cameras, served by RTSP")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="of the cameras: 720p, 1080p, 4k, 1280x960 ...; left out: 1080p")
    ] = None,
    fps: Annotated[int | None, typer.Option("--fps", help="of the cameras; left out: 25")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="measure your own configuration")
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="with --config: send to its real broker")] = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="M", help="a catalogue name, an .onnx file, a .yaml sidecar")
    ] = None,
    head: HeadOption = None,
    labels: LabelsOption = None,
    look: LookOption = None,
    activation: ActivationOption = None,
    backend: BackendOption = Backend.AUTO,
    precision: Annotated[Precision, typer.Option("--precision", help="auto: a faster one if proved before")] = (
        Precision.AUTO
    ),
    rounds: Annotated[int, typer.Option(help="how often everything is measured, by turns")] = 3,
    seconds: Annotated[float, typer.Option(help="how long each part is measured")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object; its keys: docs/bench.md")] = False,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="put an earlier --json result beside this one")
    ] = None,
) -> None:
    """Measure the whole pipeline against what this machine could do at best.

    How: each round runs three things, one after the other, each in a process of its own. The pipeline, as `run` runs
    it, with a receiver inside the bench in the broker's place and a data folder that is thrown away. Inference alone:
    the same network, runtime, precision, streams and batches in flight, on one constant input. Decoding alone: the same
    clip on one thread. Rates are medians over the rounds with the least and the most; shares are taken within a round.

    A recording is read as fast as possible, every frame, again from its start when it ends. The drawn cameras are a
    real RTSP server in a process of its own; every frame is looked at if there is time. With --config the cameras, the
    models and the rules are yours; nothing is published unless --publish is given, and your data_dir is not touched.

    What the figures do not mean: on a shared or throttling machine rates drift, shares less so: look at the ranges.
    What decoding costs depends on what is seen: drawn scenes are not your cameras. A network sees what it sees: more
    objects cost more. Everything goes over loopback: your network, your broker and its disk are not measured. An age
    begins when a frame could be here at the earliest: what the camera itself takes is not in it. The cameras and the
    receiver run on the same cores, and are told apart. Inference alone has all cores to itself: a pipeline that also
    decodes on them can't reach it once they are full. On a GPU an engine must be built before (streamer models build);
    beside the rates stand its own time for a batch, and how much of the time the pipeline keeps it busy.
    """
    from streamer.bench.command import bench as run_bench  # noqa: PLC0415
    from streamer.bench.subject import Options  # noqa: PLC0415

    options = Options(
        file=file, cameras=cameras, size=size, fps=fps, config=config, publish=publish, model=model, head=head,
        labels=labels, look=look, activation=activation, backend=backend.value, precision=precision.value,
        rounds=rounds, seconds=seconds,
    )  # fmt: skip
    with _a_reader_may_leave():
        _leave(run_bench(options, as_json=as_json, compare=compare, out=sys.stdout))


@app.command()
def evaluate(  # noqa: PLR0913  an option each
    *,
    model: ModelOption,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="labelled pictures: YOLO, COCO, or a folder for each class")
    ],
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="which part; left out: test, else val, else the only one"),
    ] = None,
    head: HeadOption = None,
    labels: LabelsOption = None,
    look: LookOption = None,
    activation: ActivationOption = None,
    backend: BackendOption = Backend.AUTO,
    precision: Annotated[Precision, typer.Option("--precision", help="auto: f32, which is exact")] = Precision.AUTO,
    threads: Annotated[int, typer.Option("--threads", min=0, help="of the CPU; 0: all")] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="so many pictures, evenly spread")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="for curves and mistakes; left out: evaluation-MODEL")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object; its keys: docs/evaluate.md")] = False,
) -> None:
    """Tell how good a model is on labelled pictures: AP or top-1, and the best least score for each class."""
    from streamer.evaluate.command import Options  # noqa: PLC0415
    from streamer.evaluate.command import evaluate as evaluate_model  # noqa: PLC0415

    options = Options(
        model=model, data=data, split=split, head=head, labels=labels, look=look, activation=activation,
        backend=backend.value, precision=precision.value, threads=threads, limit=limit, save=save,
    )  # fmt: skip
    with _a_reader_may_leave():
        _leave(evaluate_model(options, as_json=as_json, out=sys.stdout))


@app.command()
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False) -> None:
    """Tell what this machine offers, what is missing and how to get it."""
    from streamer.doctor import doctor as examine  # noqa: PLC0415

    with _a_reader_may_leave():
        _leave(examine(sys.stdout, as_json=as_json))


def main() -> None:
    """Run the command line; the process leaves with one of `Exit`."""
    code: int = Exit.DONE
    open_streams()
    try:
        app()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else Exit.DONE
    except StreamerError as exc:
        say(f"{redact(str(exc))}\n")
        code = _code_of(exc)
    except Exception as exc:  # noqa: BLE001  the one place where a fault of ours ends, with its traceback
        if not isinstance(exc, OSError) or why_unwritten() is None:
            say(redact(traceback.format_exc()))
            code = Exit.FAULT
    _exit(code if why_unwritten() is None else leave_unwritten(code, usage=Exit.USAGE))


def _code_of(exc: StreamerError) -> Exit:
    if isinstance(exc, (ConfigError, StoreError)):
        return Exit.USAGE
    return Exit.BACKEND if isinstance(exc, BackendError) else Exit.FAULT


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _set_up_log(log_format: LogFormat, *, verbose: bool) -> None:
    log.setup(as_json=log_format is LogFormat.JSON, level=logging.DEBUG if verbose else logging.INFO)


def _leave_at_once() -> None:
    os._exit(Exit.SECOND_SIGNAL)


@contextmanager
def _a_reader_may_leave() -> Iterator[None]:
    """`streamer events | head`: a reader that has seen enough is no fault, and neither is Ctrl-C."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return


def _exit(code: int) -> NoReturn:
    """Leave the process, also when a thread of ours is stuck in native code: it can't be joined, and is left behind."""
    if any(thread.name.startswith("streamer-") for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)
    sys.exit(code)
