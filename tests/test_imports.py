"""The rooms of the house, enforced: who may import whom, and who alone may import which vendor."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1] / "streamer"

MIDDLE = {"capture", "motion", "infer", "track", "decide", "events", "evidence", "store", "publish", "gpio", "ops"}
# Rank on the line `core <- cuda <- pixels <- middle <- pipeline <- dashboard <- app <- cli`; imports point left only.
RANK = {"core": 0, "cuda": 1, "pixels": 2, **dict.fromkeys(MIDDLE, 3)}
RANK |= {"pipeline": 4, "dashboard": 5, "app": 6, "cli": 7}
# `settings` stands beside the line: it imports core only, and only app and cli import it.
READS_SETTINGS = {"app", "cli", "settings"}

# Vendor -> prefixes of the files (relative to the package, without .py) that may import it.
OWNERS = {
    "pycuda": ("cuda/",),
    "tensorrt": ("infer/backends/tensorrt",),
    "openvino": ("infer/backends/openvino",),
    "onnxruntime": ("infer/backends/onnxruntime", "infer/recognise", "infer/engine/"),
    "paho": ("publish/",),
    "amqtt": ("publish/",),
    "av": ("capture/",),
    "gi": ("capture/",),
    "sqlite3": ("store/",),
    "cbor2": ("events/",),
    "gpiod": ("gpio/",),
}
CORE_MAY_IMPORT = {"numpy"}  # beside the standard library


def room_of(module: str) -> str | None:
    """Return the room of `streamer.<...>`; top-level modules such as check or doctor are the outer ring, `app`."""
    parts = module.split(".")
    if parts[0] != "streamer" or len(parts) == 1:
        return None
    if parts[1] in RANK or parts[1] == "settings":
        return parts[1]
    return "cli" if parts[1] == "__main__" else "app"


def imports_of(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import, wherever it stands: in functions, under TYPE_CHECKING, by name."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base == "streamer" or not node.module:  # `from . import x`: x may be a module
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__", "importorskip"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def complaint(importer: str, path: str, imported: str) -> str | None:
    """Return what is wrong with `importer` (file `path`, without .py) importing `imported`, or None."""
    vendor = imported.split(".", maxsplit=1)[0]
    if vendor in OWNERS and not path.startswith(OWNERS[vendor]):
        return f"only {' and '.join(OWNERS[vendor])}* may import {vendor}"
    source, target = room_of(importer), room_of(imported)
    if source == "core" and target is None and vendor not in sys.stdlib_module_names | CORE_MAY_IMPORT | {"streamer"}:
        return f"core imports the standard library and numpy only, not {vendor}"
    if source is None or target is None or source == target:
        return None
    return _room_complaint(source, target)


def _room_complaint(source: str, target: str) -> str | None:
    if target == "settings":
        return None if source in READS_SETTINGS else f"{source} may not read settings: it is handed plain arguments"
    if source == "settings":
        return None if target == "core" else f"settings imports core only, not {target}"
    if RANK[target] < RANK[source]:
        return None
    beside = "its neighbour" if RANK[target] == RANK[source] else "to the right:"
    return f"{source} may not import {beside} {target}"


def complaints(source: str, path: Path) -> list[str]:
    """Return every wrong import of one file; `path` is relative to the package."""
    plain = path.with_suffix("").as_posix()
    is_package = path.name == "__init__.py"
    module = ".".join(["streamer", *(path.parent if is_package else path.with_suffix("")).parts])
    found = []
    for line, imported in imports_of(source, module, is_package=is_package):
        wrong = complaint(module, plain, imported)
        if wrong:
            found.append(f"streamer/{path.as_posix()}:{line}: {wrong}")
    return found


def test_imports_point_left_only() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert files
    wrong = [w for f in files for w in complaints(f.read_text("utf-8"), f.relative_to(PACKAGE))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "source", "said"),
    [
        ("core/frame.py", "from streamer.pixels import fit", "core may not import to the right: pixels"),
        ("core/frame.py", "import cv2", "core imports the standard library and numpy only, not cv2"),
        ("events/rules.py", "from streamer.track.tracker import x", "events may not import its neighbour track"),
        ("events/rules.py", "from ..track import tracker", "events may not import its neighbour track"),
        ("events/__init__.py", "from .. import track", "events may not import its neighbour track"),
        ("events/rules.py", "def f():\n    from streamer import store", "events may not import its neighbour store"),
        ("store/store.py", "import streamer.settings", "store may not read settings"),
        ("pipeline/worker.py", "from streamer.app import run", "pipeline may not import to the right: app"),
        ("pipeline/worker.py", "from streamer import doctor", "pipeline may not import to the right: app"),
        ("doctor.py", "from streamer.cli import main", "app may not import to the right: cli"),
        ("settings/tree.py", "from streamer.capture.base import Delivery", "settings imports core only, not capture"),
        ("pixels/convert.py", "import pycuda.driver", "only cuda/* may import pycuda"),
        ("infer/model.py", "import openvino as ov", "only infer/backends/openvino* may import openvino"),
        ("doctor.py", "import_module('av')", "only capture/* may import av"),
        ("pipeline/x.py", "if TYPE_CHECKING:\n    import sqlite3", "only store/* may import sqlite3"),
    ],
)
def test_a_wrong_import_is_found(path: str, source: str, said: str) -> None:
    found = complaints(source, Path(path))
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("infer/backends/openvino.py", "import openvino as ov\nfrom .base import Backend"),
        ("infer/heads/v8.py", "from . import nms\nfrom .base import Head\nfrom streamer.core import results"),
        ("pipeline/stages.py", "from streamer.events import rules\nfrom streamer.infer.model import Model"),
        ("app.py", "from streamer import doctor, settings\nfrom streamer.pipeline import worker"),
        ("settings/check.py", "from streamer.core.errors import ConfigError\nimport pydantic"),
        ("cli.py", "import streamer.app\nimport typer"),
    ],
)
def test_a_right_import_is_let_through(path: str, source: str) -> None:
    assert complaints(source, Path(path)) == []
