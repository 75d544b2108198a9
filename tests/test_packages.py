"""The wheel holds every package: the list in `pyproject.toml` names each folder with code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_folder_with_code_is_packaged() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^packages = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    named = set(re.findall(r'"([\w.]+)"', block[1]))
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "streamer").rglob("__init__.py")}
    assert named == there | {"streamer.engines"}
