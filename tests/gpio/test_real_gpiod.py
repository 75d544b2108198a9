"""Our stand-in for gpiod looks like gpiod: compared with the real library, where it is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

FAKE = Path(__file__).resolve().parents[1] / "fakes" / "gpiod" / "__init__.py"
real = pytest.importorskip("gpiod")
CALLED = {
    "Chip": ("__init__", "__enter__", "__exit__", "close", "get_info"),
    "LineRequest": ("__bool__", "set_value", "read_edge_events", "release"),
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "fake_gpiod_library", FAKE, submodule_search_locations=[str(FAKE.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fake_gpiod_library", module)
    spec.loader.exec_module(module)
    return module


def shape(function: object) -> list[tuple[str, object, object]]:
    """Names, kinds and defaults of the parameters."""
    assert callable(function)
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_what_is_called_takes_the_same(fake: ModuleType) -> None:
    assert shape(fake.request_lines) == shape(real.request_lines)
    for kind, names in CALLED.items():
        for name in names:
            assert shape(getattr(getattr(fake, kind), name)) == shape(getattr(getattr(real, kind), name)), (kind, name)
    assert isinstance(real.LineRequest.fd, property)


def test_values_have_the_same_fields(fake: ModuleType) -> None:
    for name in ("ChipInfo", "EdgeEvent"):
        kinds = [getattr(module, name) for module in (fake, real)]
        assert [f.name for f in dataclasses.fields(kinds[0])] == [f.name for f in dataclasses.fields(kinds[1])]
    told = [
        {f.name: getattr(f.default, "name", f.default) for f in dataclasses.fields(module.LineSettings)}
        for module in (fake, real)
    ]
    assert told[0] == told[1]


def test_the_enumerations_have_the_same_members(fake: ModuleType) -> None:
    kinds = [kind for kind in vars(fake.line).values() if isinstance(kind, type) and issubclass(kind, Enum)]
    kinds.remove(Enum)
    assert len(kinds) == 6
    for kind in kinds:
        assert set(kind.__members__) == set(getattr(real.line, kind.__name__).__members__)


def test_a_chip_that_is_not_there_is_the_error_that_the_stand_in_raises(fake: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = []
    for module in (fake, real):
        with pytest.raises(FileNotFoundError) as missing:
            module.Chip(str(tmp_path / "none"))
        told.append(missing.value.errno)
    assert told[0] == told[1]
    for path in (tmp_path / "file", Path("/dev/null")):
        with pytest.raises(OSError, match=r"\[Errno (19|25)\]"):  # ENODEV or ENOTTY: both are explained
            real.Chip(str(path))
