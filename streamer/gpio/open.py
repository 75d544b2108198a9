"""Choose what drives a line. The library is imported only here, and only when a line is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError, GpioError

if TYPE_CHECKING:
    from types import ModuleType

    from .base import ChipFound, InputLine, InputSpec, Kind, OutputLine, OutputSpec

HOW_TO_GET = 'GPIO needs gpiod 2.1 or newer: pip install "streamer[gpio]"'


def require_gpiod() -> None:
    """Make sure that lines can be opened on this machine at all; for checks before a run.

    Raises:
        ConfigError: gpiod is missing, or the one that is there is too old.
    """
    try:
        _gpiod_lines()
    except GpioError as exc:
        raise ConfigError(str(exc)) from exc


def open_input(spec: InputSpec, kind: Kind = "gpiod") -> InputLine:
    """Open a line for reading its edges.

    Raises:
        GpioError: it can't be opened; the message says what to do.
    """
    match kind:
        case "gpiod":
            line: InputLine = _gpiod_lines().GpiodInput(spec)
        case "memory":
            from .memory_lines import MemoryInput  # noqa: PLC0415  imported only when chosen

            line = MemoryInput()
    return line


def open_output(spec: OutputSpec, kind: Kind = "gpiod") -> OutputLine:
    """Open a line for driving it; it is inactive then.

    Raises:
        GpioError: it can't be opened; the message says what to do.
    """
    match kind:
        case "gpiod":
            line: OutputLine = _gpiod_lines().GpiodOutput(spec)
        case "memory":
            from .memory_lines import MemoryOutput  # noqa: PLC0415  imported only when chosen

            line = MemoryOutput()
    return line


def chips() -> list[ChipFound]:
    """Return the GPIO chips that this user may open.

    Raises:
        GpioError: gpiod is missing, or the one that is there is too old.
    """
    found: list[ChipFound] = _gpiod_lines().chips()
    return found


def _gpiod_lines() -> ModuleType:
    try:
        import gpiod  # noqa: PLC0415  an extra

        if not hasattr(gpiod, "request_lines"):  # some distributions still ship 1.x, under the same name
            raise GpioError(f"the gpiod that is installed is too old. {HOW_TO_GET}")
        from . import gpiod_lines  # noqa: PLC0415  it needs the above
    except ImportError as exc:
        raise GpioError(HOW_TO_GET) from exc
    return gpiod_lines
