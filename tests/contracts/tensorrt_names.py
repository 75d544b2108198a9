"""Which of TensorRT's names a source file uses, and how, read from its text.

Types come from where the house writes them: `import tensorrt as trt` for the type checker and annotations such as
`trt.IExecutionContext`; beside an `Any`, a comment `tensorrt.IExecutionContext` on the same line; and what the fake's
methods return. The module itself is what is called `trt`, `_trt` or `tensorrt`, or is a `ModuleType`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MODULE = ("trt", "_trt", "tensorrt")
OVERRIDDEN = ("ILogger", "IProgressMonitor", "IOutputAllocator")  # what they are given besides is our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One name of TensorRT's in our code."""

    owner: str  # a class, or `module`
    name: str
    where: str  # file:line
    kind: str  # read | write | call
    positional: int | None = None  # arguments of a call; None: not known, some are starred
    keywords: tuple[str, ...] = ()


@dataclass(slots=True)
class Known:
    """What is known before a file is read: the fake's members, and what functions of ours return."""

    members: Mapping[str, Mapping[str, str]]  # class -> member -> the type that it gives, or ""
    returns: dict[str, str] = field(default_factory=dict)  # function of ours -> type
    attributes: dict[tuple[str, str], str] = field(default_factory=dict)  # our class, attribute -> type


class Reader(ast.NodeVisitor):
    """Reads one file. `uses` is what it uses; `unresolved` what has a name of TensorRT's and no known class.

    A type is `module`, `class:Builder`, `Builder`, `list:Dims`, `tuple:A,B`, or empty where nothing is known.
    """

    def __init__(self, source: str, label: str, known: Known, distinctive: Iterable[str]) -> None:
        self._lines = source.splitlines()
        self._label = label
        self._known = known
        self._distinctive = frozenset(distinctive)
        self._scopes: list[dict[str, str]] = [{}]
        self._class = ""
        self._uses: dict[int, Use] = {}  # by the node's id: it is met as part of others, too
        self._imported: set[str] = set()  # modules and names of others
        self.unresolved: list[str] = []

    @property
    def uses(self) -> list[Use]:
        """Every name of TensorRT's that the file uses."""
        return list(self._uses.values())

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self._imported |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}

    visit_ImportFrom = visit_Import  # noqa: N815  ast's

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self._class = self._class, node.name
        for base in node.bases:
            kind = self._type(base)
            if kind.startswith("class:"):
                self._overrides(node, kind.removeprefix("class:"))
        self.generic_visit(node)
        self._class = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._scopes.append({})
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._scopes[-1][argument.arg] = self.annotated(argument.annotation, argument.lineno)
        self._known.returns.setdefault(node.name, self.annotated(node.returns, (node.returns or node).lineno))
        self.generic_visit(node)
        self._scopes.pop()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._bind(node.target, self.annotated(node.annotation, node.lineno))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        kind = self._type(node.value)
        for target in node.targets:
            self._bind(target, kind)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, self._type(node.iter).removeprefix("list:"))
        self.generic_visit(node)

    def _visit_comprehension(self, node: Any) -> None:  # noqa: ANN401  one of four kinds of node
        self._scopes.append({})
        for part in node.generators:
            self._bind(part.target, self._type(part.iter).removeprefix("list:"))
        self.generic_visit(node)
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension  # noqa: N815  ast's

    def visit_Call(self, node: ast.Call) -> None:
        self._type(node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._type(node)
        self.generic_visit(node)

    def annotated(self, node: ast.expr | None, line: int) -> str:
        """Return the type that an annotation, or the comment beside it, tells."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in MODULE:
            return node.attr
        if isinstance(node, ast.Name) and node.id == "ModuleType":
            return "module"  # the only one that is handed about in this package
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left, line) or self.annotated(node.right, line)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            kinds = [self.annotated(part, line) for part in inner]
            if any(kinds):
                return f"tuple:{','.join(kinds)}" if node.value.id == "tuple" else f"list:{kinds[-1]}"
        if isinstance(node, ast.Name) and node.id in {"Any", "_Trt"}:
            said = re.search(r"#.*\btensorrt\.(\w+)", self._lines[line - 1])
            return said.group(1) if said else ""
        return ""

    def _type(self, node: ast.expr) -> str:
        kind = ""
        match node:
            case ast.Name(id=name):
                known = (scope[name] for scope in reversed(self._scopes) if name in scope)
                kind = "module" if name in MODULE else next(known, "")
            case ast.Attribute():
                kind = self._of_attribute(node)
            case ast.Call():
                kind = self._of_call(node)
            case ast.Subscript():
                kind = self._type(node.value).removeprefix("list:")
            case ast.ListComp() | ast.GeneratorExp():
                kind = self._of_comprehension(node)
            case ast.BoolOp():
                kind = next((k for part in node.values if (k := self._type(part))), "")
        return kind

    def _of_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> str:
        self._scopes.append({})
        for part in node.generators:
            self._bind(part.target, self._type(part.iter).removeprefix("list:"))
        kind = self._type(node.elt)
        self._scopes.pop()
        return f"list:{kind}" if kind else ""

    def _of_attribute(self, node: ast.Attribute, call: ast.Call | None = None) -> str:
        if node.attr in MODULE:
            return "module"
        holder = self._type(node.value)
        if isinstance(node.value, ast.Name) and node.value.id == "self" and not holder:
            return self._known.attributes.get((self._class, node.attr), "")
        if holder == "module":
            self._note(node, "module", call)
            return f"class:{node.attr}"
        return self._of_member(node, holder.removeprefix("class:"), call)

    def _of_member(self, node: ast.Attribute, owner: str, call: ast.Call | None) -> str:
        members = self._known.members.get(owner)
        if members is None:
            if node.attr in self._distinctive and not self._is_imported(node.value):
                self.unresolved.append(f"{self._label}:{node.lineno}: {ast.unparse(node)}")
            return ""
        if owner in OVERRIDDEN and node.attr not in members:
            return ""  # of our subclass
        self._note(node, owner, call)
        nested = f"{owner}.{node.attr}"  # an enum within a class
        return f"class:{nested}" if nested in self._known.members else members.get(node.attr, "")

    def _of_call(self, node: ast.Call) -> str:
        function = node.func
        if isinstance(function, ast.Attribute):
            kind = self._of_attribute(function, node)
            if kind.startswith("class:"):
                return kind.removeprefix("class:")
            return kind or self._known.returns.get(function.attr, "")
        if isinstance(function, ast.Name):
            if function.id in {"list", "tuple", "reversed", "enumerate", "zip"} and node.args:
                return self._type(node.args[0])
            return self._known.returns.get(function.id, "")
        return ""

    def _is_imported(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._imported

    def _bind(self, target: ast.expr, kind: str) -> None:
        if isinstance(target, ast.Name):
            self._scopes[-1][target.id] = kind
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = kind.removeprefix("tuple:").split(",") if kind.startswith("tuple:") else []
            for index, part in enumerate(target.elts):
                self._bind(part, parts[index] if index < len(parts) else "")
        elif kind and isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
            self._known.attributes[self._class, target.attr] = kind

    def _note(self, node: ast.Attribute, owner: str, call: ast.Call | None) -> None:
        where = f"{self._label}:{node.lineno}"
        if call is None or node.attr == "__init__":
            kind = "write" if isinstance(node.ctx, ast.Store) else "read"
            self._uses.setdefault(id(node), Use(owner=owner, name=node.attr, where=where, kind=kind))
            return
        starred = any(isinstance(argument, ast.Starred) for argument in call.args)
        self._uses[id(node)] = Use(
            owner=owner,
            name=node.attr,
            where=where,
            kind="call",
            positional=None if starred else len(call.args),
            keywords=tuple(k.arg for k in call.keywords if k.arg is not None),
        )

    def _overrides(self, node: ast.ClassDef, base: str) -> None:
        """Note the methods that TensorRT calls: it gives their arguments by position."""
        for method in node.body:
            if not isinstance(method, ast.FunctionDef) or method.name == "__init__":
                continue
            if method.name in self._known.members.get(base, {}):
                where, count = f"{self._label}:{method.lineno}", len(method.args.args) - 1
                use = Use(owner=base, name=method.name, where=where, kind="call", positional=count)
                self._uses[id(method)] = use


def read_package(folder: Path, known: Known, distinctive: Iterable[str]) -> tuple[list[Use], list[str]]:
    """Return what all files of a folder use, and what could not be resolved.

    They are read three times: what a function returns and what an attribute holds may stand further down.
    """
    uses: list[Use] = []
    unresolved: list[str] = []
    for _ in range(3):
        uses, unresolved = [], []
        for path in sorted(folder.rglob("*.py")):
            source = path.read_text("utf-8")
            reader = Reader(source, path.name, known, distinctive)
            reader.visit(ast.parse(source))
            uses += reader.uses
            unresolved += reader.unresolved
    return uses, sorted(set(unresolved))
