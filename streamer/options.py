"""Options that several commands share, and the values that an option may have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class LogFormat(str, Enum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class Backend(str, Enum):
    """The runtimes there are."""

    AUTO = "auto"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


class Precision(str, Enum):
    """What a network may be computed in."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"
    INT8 = "int8"


class DemoScene(str, Enum):
    """What a demo may show."""

    LINE = "line"
    YARD = "yard"


class EnginePrecision(str, Enum):
    """What an engine may be built in."""

    AUTO = "auto"
    F32 = "f32"
    F16 = "f16"
    INT8 = "int8"


ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="the configuration, a YAML file")]
LogOption = Annotated[LogFormat, typer.Option("--log", help="log lines for people, or JSON for machines")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="log more")]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="M", help="a catalogue name, an .onnx file or a .yaml sidecar")
]
HeadOption = Annotated[str | None, typer.Option("--head", help="the output family, where the file does not tell")]
LabelsOption = Annotated[
    str | None, typer.Option("--labels", metavar="NAMES", help="FILE (a name a line), coco80 or imagenet1000")
]
LookOption = Annotated[
    str | None,
    typer.Option("--look", metavar="LOOK", help="of a classifier's pictures: torch, tf, caffe or ultralytics"),
]
ActivationOption = Annotated[
    str | None,
    typer.Option("--activation", metavar="A", help="what a classifier's numbers lack: softmax, sigmoid or none"),
]
BackendOption = Annotated[Backend, typer.Option("--backend", help="which runtime computes it")]
