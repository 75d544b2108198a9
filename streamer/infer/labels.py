"""Where class names come from: a list that ships, or a file with one a line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from streamer.core.errors import ConfigError

# Those that ship: COCO's as Ultralytics spells them, ImageNet's as torchvision does (without commas, and none twice).
LISTS = ("coco80", "imagenet1000")
MAX_NAME = 200  # characters; topics and tables hold them
_MAX_BYTES = 1_000_000  # far more than any label file; keeps a wrong path from filling the memory


def load_labels(named: str, *, beside: Path | None = None) -> tuple[str, ...]:
    """Return the class names, in the order of the class ids.

    Args:
        named: one of `LISTS`, or the path of a text file with one name a line.
        beside: the folder that a relative path starts from; None: the working folder.

    Raises:
        ConfigError: there is no such list or file, or it holds no names.
    """
    if named in LISTS:
        return _lines(resources.files("streamer.infer").joinpath(f"data/{named}.txt").read_text("utf-8"), named)
    if not named.isprintable():
        raise ConfigError(f"labels: {named!r} is no file name")
    path = Path(named) if beside is None else beside / named
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        allowed = f"{', '.join(LISTS)} or a text file"
        raise ConfigError(f"labels: {named} can't be read ({exc.strerror}); allowed are {allowed}") from exc
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"labels: {named} is over {_MAX_BYTES // 1000} kB; allowed is one class name a line")
    try:
        return _lines(raw.decode("utf-8-sig"), named)
    except UnicodeDecodeError as exc:
        raise ConfigError(f"labels: {named} is no UTF-8 text; allowed is one class name a line") from exc


def _lines(text: str, named: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not any(lines):
        raise ConfigError(f"labels: {named} is empty; allowed is one class name a line")
    for number, line in enumerate(lines, start=1):
        if (wrong := what_is_wrong(line)) is not None:
            raise ConfigError(f"labels: {named}:{number}: {wrong}")
    return tuple(lines)


def what_is_wrong(name: str) -> str | None:
    """Return why a text can't be the name of a class, in a sentence's second half; None: it can."""
    if not name.strip() or not name.isprintable():
        return f"a class name must be printable text, not {name[:80]!r}"
    if len(name) > MAX_NAME:
        return f"a class name has at most {MAX_NAME} characters, not {len(name)} ({name[:40]!r}...)"
    return None
