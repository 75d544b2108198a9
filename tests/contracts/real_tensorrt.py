"""The real bindings of TensorRT without TensorRT: fetched, given empty libraries to link with, and asked in a child.

Run as a program it is that child: it reads what is to be checked from stdin, and answers with what is wrong.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from tensorrt_behaviour import behaviour

FETCH_LIMIT_S, COMPILE_LIMIT_S, ASK_LIMIT_S = 25, 20, 20
# The symbols that the bindings' module wants of each library; none is called.
_POINTERS = "#define S(n) void*n(){return 0;}\n"
_LIBRARIES = {
    "libnvinfer": _POINTERS
    + "S(createInferBuilder_INTERNAL)S(createInferRefitter_INTERNAL)S(createInferRuntime_INTERNAL)"
    + "S(getBuilderPluginRegistry)S(getPluginRegistry)\n",
    "libnvinfer_plugin": "int initLibNvInferPlugins(){return 0;}\n",
    "libnvonnxparser": _POINTERS
    + "S(createNvOnnxParser_INTERNAL)S(createNvOnnxParserRefitter_INTERNAL)int getNvOnnxParserVersion(){return 0;}\n",
}


class Unavailable(Exception):  # noqa: N818  no fault: a machine without what it takes
    """The bindings can't be had here; the message says what is missing."""


def bindings(version: str, cache: Path) -> Path:
    """Return the folder with the bindings and the libraries they link with, made once and kept in `cache`.

    Raises:
        Unavailable: the registry can't be reached, has none for this Python, or there is no C compiler.
    """
    folder = cache / f"tensorrt-{version}-cp{sys.version_info.major}{sys.version_info.minor}"
    if (folder / "complete").is_file():
        return folder
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Unavailable("a C compiler")
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies there is loaded: nobody else may write it
        part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache))
    except OSError as exc:
        raise Unavailable(f"a cache that can be written ({exc})") from exc
    try:
        _fetch(version, part)
        _link(compiler, part, major=version.split(".", 1)[0])
        (part / "complete").touch()
        with contextlib.suppress(OSError):  # another run was faster, and its folder is as good
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _fetch(version: str, folder: Path) -> None:
    wanted = f"tensorrt_cu12_bindings=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=0"]
    command += ["--timeout=10", "--disable-pip-version-check", "--quiet", f"--dest={folder}", wanted]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"the package registry, to fetch {wanted}") from exc
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["pip says nothing"]
        raise Unavailable(f"the package registry, to fetch {wanted} ({said[0]})")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    wheel.unlink()


def _link(compiler: str, folder: Path, *, major: str) -> None:
    for library, source in _LIBRARIES.items():
        name = f"{library}.so.{major}"
        command = [compiler, "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-x", "c", "-", "-o", str(folder / name)]
        subprocess.run(command, input=source, text=True, timeout=COMPILE_LIMIT_S, check=True)


def ask(folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Have a child import the bindings of a folder and answer.

    Args:
        folder: of `bindings`.
        wanted: `uses` and `declared`, as `Asked` takes them; with `behaviour` they are asked how they behave.

    Returns:
        `version`, `checked` (a count), `wrong` (sentences) and `behaviour` (question -> answer).
    """
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)}
    child = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        input=json.dumps(wanted),
        env=env,
        capture_output=True,
        text=True,
        timeout=ASK_LIMIT_S,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    said: dict[str, Any] = json.loads(child.stdout)
    return said


def overloads(doc: str, name: str) -> list[tuple[list[str], int]]:
    """Return (parameter names without self, how many must be given) of each signature in a docstring of pybind11."""
    found = []
    for line in doc.splitlines():
        match = re.match(rf"(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", line)
        if match is None or match.group(1).startswith("*args"):
            continue
        parts = [p for p in _parameters(match.group(1)) if not p.startswith("self:")]
        found.append(([p.split(":", 1)[0] for p in parts], sum(" = " not in p for p in parts)))
    return found


def _parameters(text: str) -> list[str]:
    """Split at commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [p.strip() for p in parts if p.strip()]


class Asked:
    """The real module under question."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401  a module that has no types
        self._module = module
        self.checked = 0
        self.wrong: list[str] = []

    def uses(self, uses: list[dict[str, Any]]) -> None:
        """Check what our code names and how it calls it."""
        for use in uses:
            owner, name, where = use["owner"], use["name"], use["where"]
            found = self._found(owner, name)
            self.checked += 1
            if found is None:
                self.wrong.append(f"{where}: {owner}.{name} is not there")
            elif use["kind"] == "write" and getattr(found, "fset", None) is None:
                self.wrong.append(f"{where}: {owner}.{name} can't be set")
            elif use["kind"] == "call":
                self._call(use, found)

    def declared(self, declared: list[dict[str, Any]]) -> None:
        """Check that what the fake declares is what the real one has."""
        for said in declared:
            owner, name = said["owner"], said["name"]
            found = self._found(owner, name)
            self.checked += 1
            if found is None:
                self.wrong.append(f"fake: {owner}.{name} is not there")
            elif said["kind"] == "number" and int(found) != said["number"]:
                self.wrong.append(f"fake: {owner}.{name} is {int(found)}, not {said['number']}")
            elif said["kind"] == "property" and not isinstance(found, property):
                self.wrong.append(f"fake: {owner}.{name} is no property")
            elif said["kind"] == "writable" and getattr(found, "fset", None) is None:
                self.wrong.append(f"fake: {owner}.{name} can't be set")
            elif said["kind"] == "method":
                self._method(said, found)

    def _found(self, owner: str, name: str) -> Any:  # noqa: ANN401  whatever the module has
        holder = self._module
        for part in owner.split(".") if owner != "module" else ():
            holder = getattr(holder, part, None)
            if holder is None:
                return None
        members = getattr(holder, "__members__", None)
        if members is not None and name in members:
            return members[name]
        return getattr(holder, name, None)

    def _call(self, use: dict[str, Any], found: Any) -> None:  # noqa: ANN401  whatever the module has
        name = "__init__" if isinstance(found, type) else use["name"]
        known = overloads(getattr(found, name, found).__doc__ or "", name)
        if known and not any(_takes(names, least, use) for names, least in known):
            self.wrong.append(f"{use['where']}: {use['owner']}.{use['name']} takes {known}, not {use['positional']}")

    def _method(self, said: dict[str, Any], found: Any) -> None:  # noqa: ANN401  whatever the module has
        known = overloads(found.__doc__ or "", said["name"])
        names = said["parameters"]
        if known and not any(real[: len(names)] == names and len(names) >= least for real, least in known):
            self.wrong.append(f"fake: {said['owner']}.{said['name']} takes {known}, not {names}")


def _takes(names: list[str], least: int, use: dict[str, Any]) -> bool:
    given, keywords = use["positional"], use["keywords"]
    if not set(keywords) <= set(names):
        return False
    return given is None or (least <= given + len(keywords) <= len(names) and not set(keywords) & set(names[:given]))


def main() -> None:
    """Answer what stands on stdin."""
    module: Any = importlib.import_module("tensorrt_bindings")  # by name: it is in the child only
    wanted = json.load(sys.stdin)
    asked = Asked(module)
    asked.uses(wanted["uses"])
    asked.declared(wanted["declared"])
    answer = {"version": module.__version__, "checked": asked.checked, "wrong": asked.wrong}
    if wanted.get("behaviour"):
        answer["behaviour"] = behaviour(module)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
