"""The folder of an evaluation: its figures, its curves and its worst mistakes. What is not ours is left alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from streamer.core.errors import ConfigError

from .report import KIND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .report import Report

FIGURES = "scores.json"
CURVES = "curves.png"
CONFUSION = "confusion.png"
MISTAKES = "mistakes.png"
_PICTURES = (CURVES, CONFUSION, MISTAKES)


def check_folder(folder: Path) -> None:
    """Refuse a folder before anything is evaluated for it.

    Raises:
        ConfigError: it can't be written to, or files of our names in it are not of an evaluation.
    """
    try:
        above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as exc:
        raise ConfigError(f"--save: {folder} is no folder that can be written to ({exc.strerror})") from exc
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"--save: {folder} is no folder that can be written to")
    there = [name for name in (FIGURES, *_PICTURES) if (folder / name).exists()]
    if there and not _ours(folder / FIGURES):
        raise ConfigError(f"--save: {folder} holds a {there[0]} that is of no evaluation; choose another folder")


def save(report: Report, folder: Path, pictures: dict[str, Callable[[Path], None]]) -> None:
    """Write an evaluation; what an earlier one left in the folder goes.

    Args:
        report: its figures.
        folder: checked; made if need be.
        pictures: name -> what draws it into a file.

    Raises:
        ConfigError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FIGURES).write_text(f"{json.dumps(report, indent=1)}\n", "utf-8")
        for name in _PICTURES:
            (folder / name).unlink(missing_ok=True)
        for name, draw in pictures.items():
            draw(folder / name)
    except OSError as exc:
        raise ConfigError(f"--save: {folder} can't be written to ({exc.strerror})") from exc


def _ours(figures: Path) -> bool:
    try:
        said = json.loads(figures.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get("kind") == KIND
