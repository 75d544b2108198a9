"""What the fake TensorRT declares, read from its text: what the real bindings must have too."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

FAKE = Path(__file__).resolve().parents[1] / "fakes" / "tensorrt"
# Their callbacks are looked up when they are called: the bindings do not show them.
_HIDDEN = ("IOutputAllocator",)
# Classes that can be made by calling them; the others come from a method.
_MADE = ("Builder", "Runtime", "OnnxParser", "Logger", "Dims", "ILogger", "IProgressMonitor", "IOutputAllocator")


def _classes() -> dict[str, ast.ClassDef]:
    """Return every public class by its name, those within another as `Outer.Inner`."""
    exported = ast.parse((FAKE / "__init__.py").read_text("utf-8"))
    names = {alias.name for node in exported.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    found = {}
    for path in sorted(FAKE.glob("_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in names:
                found[node.name] = node
                inner = [part for part in node.body if isinstance(part, ast.ClassDef)]
                found.update({f"{node.name}.{part.name}": part for part in inner})
    return found


def members() -> dict[str, dict[str, str]]:
    """Return class -> member -> the class that it gives (`list:Dims` for a list of them), or an empty text."""
    classes = _classes()
    found: dict[str, dict[str, str]] = {}
    for name, node in classes.items():
        of = found[name] = {"__init__": ""}
        for part in node.body:
            if isinstance(part, ast.FunctionDef):
                of[part.name] = _given(part.returns, classes)
            elif isinstance(part, ast.ClassDef):
                of[part.name] = ""
            else:
                of.update(dict.fromkeys(_enum_members(part), name))
        of.update(dict.fromkeys(_slots(node), ""))
    for name, node in classes.items():
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in found:
                found[name] = {**found[base.id], **found[name]}
    return found


def _given(returns: ast.expr | None, classes: dict[str, ast.ClassDef]) -> str:
    text = ast.unparse(returns) if returns is not None else ""
    named = [word for word in re.findall(r"\w+", text) if word in classes]
    return (f"list:{named[0]}" if text.startswith("list[") else named[0]) if named else ""


def _enum_members(part: ast.stmt) -> list[str]:
    if not isinstance(part, ast.Assign):
        return []
    return [t.id for t in part.targets if isinstance(t, ast.Name) and t.id.isupper() and t.id != "MAX_DIMS"]


def _slots(node: ast.ClassDef) -> list[str]:
    """Return the public attributes that can be set."""
    for part in node.body:
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "__slots__":
            said = ast.literal_eval(part.value)
            return [name for name in ((said,) if isinstance(said, str) else said) if not name.startswith("_")]
    return []


def declared(*, major: int) -> list[dict[str, Any]]:
    """Return what the real bindings of a major version are asked for: members, parameters, the numbers of enums."""
    found: list[dict[str, Any]] = []
    for name, node in _classes().items():
        found += [{"owner": name, "name": slot, "kind": "writable"} for slot in _slots(node)]
        for part in node.body:
            for member in _enum_members(part):
                assert isinstance(part, ast.Assign)
                said = ast.literal_eval(part.value)
                number = said if isinstance(said, int) else said[major >= 11]
                found.append({"owner": name, "name": member, "kind": "number", "number": number})
            if isinstance(part, ast.FunctionDef) and name not in _HIDDEN:
                found += _function(name, part)
    return found


def _function(owner: str, node: ast.FunctionDef) -> list[dict[str, Any]]:
    private = node.name.startswith("_") and node.name not in {"__init__", "__getitem__", "__len__"}
    if private or (node.name == "__init__" and owner not in _MADE):
        return []
    if any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list):
        return []
    if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
        return [{"owner": owner, "name": node.name, "kind": "property"}]
    names = [a.arg for a in node.args.args if a.arg != "self"]
    if node.name == "__getitem__":
        names = ["arg0"]
    return [{"owner": owner, "name": node.name, "kind": "method", "parameters": names}]
