"""Arguments, signals, exit codes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamer import __version__
from streamer.core.errors import BackendError, ConfigError, StoreError, StreamerError
from streamer.core.redact import redact
from streamer.ops import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class Exit(IntEnum):
    """The contract's exit codes."""

    DONE = 0
    FAULT = 1  # of ours, the only one with a traceback
    USAGE = 2  # wrong configuration or arguments, or `data_dir` is in use
    BACKEND = 3  # a model or runtime can't work here
    UNDELIVERED = 4  # ended with events not yet delivered
    SECOND_SIGNAL = 130


class LogFormat(str, Enum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


app = typer.Typer(
    name="streamer",
    help="Cameras in, asked-for events out over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="the configuration, a YAML file")]
LogOption = Annotated[LogFormat, typer.Option("--log", help="log lines for people, or JSON for machines")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="log more")]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="M", help="a catalogue name, an .onnx file or a .yaml sidecar")
]
HeadOption = Annotated[str | None, typer.Option("--head", help="the output family, where the file does not tell")]
LabelsOption = Annotated[str | None, typer.Option("--labels", help="FILE (a name a line) or coco80")]
BackendOption = Annotated[str, typer.Option("--backend", help="auto, openvino or onnxruntime")]


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
    from streamer.app import open_run  # noqa: PLC0415  the other commands need not wait for the runtimes

    with open_run(config, table=log_format is LogFormat.TEXT) as streamer:
        _on_signals(streamer.request_stop)
        code = streamer.run()
    _leave(code)


@app.command()
def demo(
    *,
    seconds: Annotated[float | None, typer.Option(help="end after so many seconds of the scene")] = None,
    seed: Annotated[int, typer.Option(help="which scene")] = 1,
    log_format: LogOption = LogFormat.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """See it work with nothing to set up: a drawn scene, a small network, a broker inside the process."""
    _set_up_log(log_format, verbose=verbose)
    from streamer.demo import open_demo  # noqa: PLC0415

    with open_demo(seconds=seconds, seed=seed, out=sys.stdout) as streamer:
        _on_signals(streamer.request_stop)
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

    if schema:
        print_schema(sys.stdout)
    if config is not None:
        _leave(check_config(config, probe=probe, out=sys.stdout))
    elif not schema:
        raise ConfigError("which configuration? streamer check CONFIG")


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
    backend: BackendOption = "auto",
) -> None:
    """Detect objects in pictures, once."""
    from streamer.infer.recognise import SpecOptions  # noqa: PLC0415
    from streamer.stills import detect as detect_stills  # noqa: PLC0415

    options = SpecOptions(head=head, labels=labels)
    _leave(
        detect_stills(
            images, model=model, options=options, score=score, backend=backend, as_json=as_json, save=save,
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
) -> None:
    """Show what happened, from the local store, also while `run` is running."""
    from streamer.history import show_events  # noqa: PLC0415

    _leave(show_events(config, follow=follow, camera=camera, since=since, as_json=as_json, out=sys.stdout))


@app.command()
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False) -> None:
    """Tell what this machine offers, what is missing and how to get it."""
    from streamer.doctor import doctor as examine  # noqa: PLC0415

    _leave(examine(sys.stdout, as_json=as_json))


def main() -> None:
    """Run the command line; the process leaves with one of `Exit`."""
    try:
        app()
    except BrokenPipeError:  # `streamer events | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except KeyboardInterrupt:
        sys.exit(Exit.SECOND_SIGNAL)
    except StreamerError as exc:
        sys.stderr.write(f"{redact(str(exc))}\n")
        sys.exit(_code_of(exc))
    except Exception:  # noqa: BLE001  the one place where a fault of ours ends, with its traceback
        sys.stderr.write(redact(traceback.format_exc()))
        sys.exit(Exit.FAULT)


def _code_of(exc: StreamerError) -> Exit:
    if isinstance(exc, (ConfigError, StoreError)):
        return Exit.USAGE
    return Exit.BACKEND if isinstance(exc, BackendError) else Exit.FAULT


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _set_up_log(log_format: LogFormat, *, verbose: bool) -> None:
    log.setup(as_json=log_format is LogFormat.JSON, level=logging.DEBUG if verbose else logging.INFO)


def _on_signals(request_stop: Callable[[], None]) -> None:
    """The first SIGINT or SIGTERM asks for an orderly end, the second leaves at once."""

    def second(_number: int, _frame: FrameType | None) -> None:
        os._exit(Exit.SECOND_SIGNAL)

    def first(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, second)
        request_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, first)
