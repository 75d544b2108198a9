"""Streamer uses no name of TensorRT's that a version it supports lacks; nor does the fake that its tests run on.

By text alone, on every machine; and asked of the real bindings of three versions, where they can be fetched.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from platformdirs import user_cache_path
from real_tensorrt import Unavailable, ask, bindings, overloads
from tensorrt_behaviour import behaviour
from tensorrt_declared import FAKE, declared, members
from tensorrt_names import Known, Reader, Use, read_package

if TYPE_CHECKING:
    from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[2] / "streamer"
USERS = PACKAGE / "infer" / "backends" / "tensorrt"  # the one package that may import tensorrt
VERSIONS = ("10.3.0", "10.16.1.11", "11.4.0.106")


def _names() -> ModuleType:
    """The lists of names, loaded by their file: the fake itself is no import away, it wants a GPU that is faked."""
    spec = importlib.util.spec_from_file_location("fake_names", FAKE / "_names.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = _names()
PORTABLE: dict[str, frozenset[str]] = NAMES.portable()
HISTORY: dict[tuple[str, str], tuple[str, str]] = NAMES.history()


@functools.cache
def _own_names() -> set[str]:
    """Names of members of our own classes, and of Python's: with these nothing tells that TensorRT's is meant."""
    own = {name for kind in (str, bytes, list, dict, set, tuple, int, Path) for name in dir(kind)}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                own |= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
                own |= {ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)}
    return own


@functools.cache
def _distinctive() -> frozenset[str]:
    every = {name for group in PORTABLE.values() for name in group} | {name for _, name in HISTORY}
    return frozenset(every - _own_names())


@functools.cache
def _used() -> tuple[list[Use], list[str]]:
    return read_package(USERS, Known(members=members()), _distinctive())


def _said(uses: list[Use]) -> list[str]:
    return [f"{use.where}: {use.owner}.{use.name}" for use in uses]


def _unportable(uses: list[Use]) -> list[Use]:
    return [
        use
        for use in uses
        if use.name != "__init__"
        and use.name not in PORTABLE.get(use.owner, frozenset())
        and not (use.owner == "module" and use.name in PORTABLE)
        and f"{use.owner}.{use.name}" not in PORTABLE
        and use.name != "__version__"
    ]


def test_every_use_is_one_of_a_known_class() -> None:
    uses, unresolved = _used()
    assert uses
    assert not unresolved, "annotate what these belong to, as `trt.IBuilderConfig`:\n" + "\n".join(unresolved)


def test_no_name_is_used_that_a_version_from_10_3_to_11_4_lacks() -> None:
    wrong = _said(_unportable(_used()[0]))
    assert not wrong, "\n".join(wrong)


def test_no_name_that_is_gone_is_written_anywhere() -> None:
    """Neither as an attribute nor as a text for getattr, whatever it is asked of."""
    still = {name for group in PORTABLE.values() for name in group}
    gone = {name for (_, name), (_, last) in HISTORY.items() if last != "-"} - still - _own_names()
    gone |= {"EXPLICIT_BATCH", "FP16", "IInt8EntropyCalibrator2", "IInt8MinMaxCalibrator", "IInt8Calibrator"}
    wrong = []
    for path in (*USERS.rglob("*.py"), *(PACKAGE / "infer" / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in gone:
                wrong.append(f"{path.name}:{node.lineno}: {node.attr}")
            elif isinstance(node, ast.Constant) and node.value in gone:
                wrong.append(f"{path.name}:{node.lineno}: {node.value!r}")
    assert not wrong, "\n".join(wrong)


def test_nothing_of_tensorrt_is_named_by_a_text_that_only_runs() -> None:
    for path in USERS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"getattr", "hasattr"}
            ):
                assert "trt" not in ast.unparse(node), f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def _is_hidden(use: Use) -> bool:
    """TensorRT looks for an allocator's callbacks when it calls them: the bindings do not show them."""
    return use.owner == "IOutputAllocator" and use.name != "__init__"


def _folder_of(version: str) -> Path:
    try:
        return bindings(version, user_cache_path("streamer-contract"))
    except Unavailable as exc:
        pytest.skip(f"needs {exc}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_bindings_have_what_is_used_and_what_the_fake_declares(version: str) -> None:
    folder = _folder_of(version)
    uses = [dataclasses.asdict(use) for use in _used()[0] if use.name != "__version__" and not _is_hidden(use)]
    said = ask(folder, {"uses": uses, "declared": declared(major=int(version.split(".", 1)[0]))})
    names = {(use["owner"], use["name"]) for use in uses}
    count = f"TensorRT {said['version']}: {len(names)} names used by Streamer, {said['checked']} uses and declarations"
    print(count)  # noqa: T201  what the contract covers
    assert said["version"].startswith(version)
    assert not said["wrong"], "\n".join(said["wrong"])


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("fake_gpu")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_answers_as_the_real_bindings_do(version: str) -> None:
    real = ask(_folder_of(version), {"uses": [], "declared": [], "behaviour": True})["behaviour"]
    assert real
    assert behaviour(importlib.import_module("tensorrt")) == real


# How the text is read, shown on texts that are known.


def _read(source: str) -> tuple[list[Use], list[str]]:
    known = Known(members=members())
    for _ in range(2):
        reader = Reader(source, "text", known, _distinctive())
        reader.visit(ast.parse(source))
    return reader.uses, reader.unresolved


def test_types_are_followed_from_annotations_through_calls_and_attributes() -> None:
    uses, unresolved = _read(
        "class Engine:\n"
        "    def __init__(self, handle: trt.ICudaEngine) -> None:\n"
        "        self._handle = handle\n"
        "    def open(self):\n"
        "        context = self._handle.create_execution_context()\n"
        "        context.set_input_shape('x', shape=(1,))\n"
        "        low, _, high = (tuple(s) for s in self._handle.get_tensor_profile_shape('x', 0))\n"
    )
    assert not unresolved
    assert {(use.owner, use.name) for use in uses} >= {
        ("ICudaEngine", "create_execution_context"),
        ("IExecutionContext", "set_input_shape"),
        ("ICudaEngine", "get_tensor_profile_shape"),
    }
    (call,) = [use for use in uses if use.name == "set_input_shape"]
    assert (call.positional, call.keywords) == (1, ("shape",))


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("trt.BuilderFlag.FP16", "BuilderFlag.FP16"),
        ("trt.IRuntimeCache", "module.IRuntimeCache"),
        ("def f(c: trt.IBuilderConfig):\n    c.max_workspace_size = 1", "IBuilderConfig.max_workspace_size"),
        ("def f(c: Any):  # tensorrt.IBuilderConfig\n    c.int8_calibrator = 1", "IBuilderConfig.int8_calibrator"),
        (
            "class C:\n    def f(self, b: trt.Builder | None):\n        b.build_engine()",
            "Builder.build_engine",
        ),
    ],
)
def test_a_name_that_is_not_portable_is_found(source: str, wrong: str) -> None:
    uses, _ = _read(source)
    assert [f"{use.owner}.{use.name}" for use in _unportable(uses)] == [wrong]


def test_a_name_whose_class_can_not_be_told_is_found() -> None:
    _, unresolved = _read("def f(c):\n    c.set_tensor_address('x', 1)")
    assert set(unresolved) == {"text:2: c.set_tensor_address"}


def test_the_signatures_of_pybind11_are_read() -> None:
    doc = (
        "f(*args, **kwargs)\nOverloaded function.\n\n"
        "1. f(self: m.C, name: str, shape: collections.abc.Sequence[int]) -> bool\n\ntext\n\n"
        "2. f(self: m.C, flags: typing.SupportsInt = 0, how: m.E = <E.A: 0>) -> None\n"
    )
    assert overloads(doc, "f") == [(["name", "shape"], 2), (["flags", "how"], 0)]


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are linked as Linux does")
def test_what_the_real_bindings_lack_is_told(tmp_path: Path) -> None:
    """The child is a real one, the bindings are a text."""
    (tmp_path / "tensorrt_bindings.py").write_text(
        "__version__ = '1.0'\nclass Builder:\n    def create_network(self):\n"
        "        '''create_network(self: Builder, flags: int = 0) -> INetworkDefinition'''\n"
        "    @property\n    def logger(self): ...\n"
    )
    base: dict[str, object] = {"where": "here", "positional": None, "keywords": []}
    uses = [
        {**base, "owner": "Builder", "name": "create_network", "kind": "call", "positional": 2},
        {**base, "owner": "Builder", "name": "create_network", "kind": "call", "keywords": ["flag"]},
        {**base, "owner": "Builder", "name": "logger", "kind": "write"},
        {**base, "owner": "module", "name": "Runtime", "kind": "read"},
        {**base, "owner": "Builder", "name": "create_network", "kind": "call", "positional": 1},
    ]
    declares = [{"owner": "Builder", "name": "logger", "kind": "method", "parameters": []}]
    said = ask(tmp_path, {"uses": uses, "declared": declares})
    assert said["checked"] == 6
    assert len(said["wrong"]) == 4, said["wrong"]
