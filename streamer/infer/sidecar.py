"""A model's sidecar: a small YAML file that says what its weights don't."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from streamer.core.errors import ConfigError
from streamer.core.names import needs_alias

from .labels import load_labels
from .spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

_MAX_BYTES = 1_000_000


def _ratio(value: object) -> object:
    """Read `1/255`, as people write it."""
    if isinstance(value, str) and value.count("/") == 1:
        over, under = value.split("/")
        return float(over) / float(under) if float(under) else value
    return value


def _each(value: object) -> object:
    """Spread one number over the three channels."""
    return value if isinstance(value, list) else [value] * 3


def _topic_name(value: str) -> str:
    """Refuse what can't be a level of a topic."""
    if not value.strip() or not value.isprintable() or needs_alias(value):
        raise ValueError("a name in a topic is printable text without / + and #")
    return value


def in_pairs(value: object) -> object:
    """Take numbers two by two, as Darknet writes them; pairs stay as they are."""
    if isinstance(value, list) and len(value) % 2 == 0 and not any(isinstance(item, list) for item in value):
        return [value[i : i + 2] for i in range(0, len(value), 2)]
    return value


Px = Annotated[float, Field(gt=0, le=16384)]
Ratio = Annotated[float, BeforeValidator(_ratio), Field(gt=0, allow_inf_nan=False)]
PerChannel = Annotated[tuple[float, float, float], BeforeValidator(_each)]
TopicName = Annotated[str, AfterValidator(_topic_name)]
ClassId = Annotated[int, Field(ge=0, lt=65536)]
Side = Annotated[int, Field(ge=8, le=16384)]
Score = Annotated[float, Field(ge=0, le=1)]


class Sidecar(BaseModel):
    """Everything that a sidecar may say. What it leaves out is looked for elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    file: str | None = Field(None, validation_alias=AliasChoices("file", "model"))  # beside the sidecar or in the cache
    task: str | None = None
    head: str | None = None
    labels: str | list[str] | None = None  # coco80, a file beside the sidecar, or the names
    ids: Literal["coco91"] | ClassId | list[ClassId] | None = None  # the network's own of each label; first, or each
    anchors: Annotated[list[tuple[Px, Px]], BeforeValidator(in_pairs)] | None = None  # width, height, px of the input
    aliases: dict[str, TopicName] | None = None  # class -> its name in topics, for one that holds / + or #
    size: Side | tuple[Side, Side] | None = None  # px; two numbers are height, width
    color: str | None = Field(None, validation_alias=AliasChoices("color", "colour"))
    scale: Ratio | None = None
    mean: PerChannel | None = None
    std: PerChannel | None = None
    fit: str | None = None
    pad: Annotated[int, Field(ge=0, le=255)] | None = None
    layout: str | None = None  # nchw | nhwc, checked against the file
    look: str | None = None  # of a classifier: torch | tf | caffe | ultralytics
    resize: Side | None = None  # px: the shorter side before the centre is cut out
    activation: str | None = None  # of a classifier: softmax | sigmoid | none
    threshold: Score | dict[str, Score] | None = None  # from where a class that is judged for itself is there
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    bytes: Annotated[int, Field(gt=0)] | None = None
    url: str | None = None
    mirrors: list[str] | None = None  # further addresses of the same bytes
    licence: str | None = Field(None, validation_alias=AliasChoices("licence", "license"))
    source: str | None = None
    grade: str | None = None  # how well the checksum is confirmed: A upstream's own, B two projects, C one
    ap: float | None = None  # COCO AP 0.5:0.95, percent
    ap_source: str | None = None  # who measured it
    top1: float | None = None  # ImageNet top-1, percent
    top1_source: str | None = None
    measured: dict[str, Any] | None = None  # figures of the project's own
    notes: str | None = None

    def options(self, folder: Path) -> SpecOptions:
        """Return what it says of the model's use, its labels read.

        Args:
            folder: where the sidecar lies.

        Raises:
            ConfigError: the labels can't be read.
        """
        labels = load_labels(self.labels, beside=folder) if isinstance(self.labels, str) else self.labels
        return SpecOptions(
            task=self.task,
            head=self.head,
            labels=None if labels is None else tuple(labels),
            aliases=self.aliases,
            size=self.size,
            color=self.color,
            scale=self.scale,
            mean=self.mean,
            std=self.std,
            fit=self.fit,
            pad=self.pad,
            ids=self.ids,
            anchors=self.anchors,
            look=self.look,
            resize=self.resize,
            activation=self.activation,
            threshold=self.threshold,
        )


def load_sidecar(path: Path) -> Sidecar:
    """Read a sidecar file.

    Raises:
        ConfigError: it can't be read, or says something that is not known; the message names file and key.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path}: a sidecar of over {_MAX_BYTES // 1000} kB is none")
        said = yaml.load(raw.decode("utf-8-sig"), _TextLoader)  # noqa: S506  a BaseLoader builds text, lists, mappings
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read ({exc.strerror})") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"{path}: is no YAML text: {_one_line(exc)}") from exc
    if not isinstance(said, dict):
        raise ConfigError(f"{path}: a sidecar is a mapping of keys, such as `head: v8`")
    try:
        return Sidecar.model_validate(said)
    except ValidationError as exc:
        raise ConfigError(f"{path}: {_first_problem(exc)}") from exc


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text, so that a class called `no` stays one; a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  the library's signature
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, times in keys.items() if times > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _first_problem(exc: ValidationError) -> str:
    problem = exc.errors(include_url=False)[0]
    key = str(problem["loc"][0]) if problem["loc"] else "?"
    if problem["type"] == "extra_forbidden":
        return f"{key}: is not known; allowed are {', '.join(Sidecar.model_fields)}"
    return f"{key}: {problem['input']!r:.80} is not allowed: {problem['msg']}"


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())
