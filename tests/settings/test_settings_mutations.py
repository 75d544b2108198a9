"""Whatever a configuration is mutated into: settings, or problems with a line and without a secret. Nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.settings import Loaded, SettingsError, check_classes, parse

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter2Sekret"  # noqa: S105  what must never be shown
ENVIRON = {"PORCH_PASSWORD": SECRET, "HOST": "192.0.2.1", "EMPTY": "", "ODD": "caf\udce9", "HOME": "/home/ada"}

BLOCK = f"""\
mqtt:
  url: mqtt://localhost:1883
  username: ${{MQTT_USER:-}}
  password: {SECRET}
  qos: 1
  drain: 30s
data_dir: ./data
models:
  coco: {{model: yolox-nano, backend: auto}}
  own: {{model: ./m.onnx, labels: [box, "no"], size: [384, 640], scale: 1/255, std: [1, 1, 1]}}
cameras:
  porch:
    source: rtsp://user:${{PORCH_PASSWORD}}@${{HOST}}/stream2
    detect: &d
      model: coco
      fps: 5
      classes: {{person: 0.5, dog: 0.6}}
    events:
      - {{name: a, class: [person], after: 1s, min_area: 0.002}}
      - name: b
        class: dog
    max_age: null
  yard:
    source: rtsp://user:{SECRET}@192.0.2.21:554/x?a=1
    frames: every
    detect: {{<<: *d, fps: 0}}
"""
UNBUILT = f"""\
dashboard: {{enabled: false, bind: 127.0.0.1, port: 8780}}
models: {{m: {{model: yolox-nano}}}}
cameras:
  c:
    source: 'gst:rtspsrc location=rtsp://h/x user-pw={SECRET} ! decodebin'
    record: http://u:{SECRET}@h/x
    classify:
      - {{name: w, model: m, of: frame, every: 10s}}
      - {{name: d, model: m, of: {{zone: mat}}, agree: 3}}
    zones: {{mat: {{polygon: [[0.3, 0.5], [0.7, 0.5], [0.7, 0.9]]}}}}
    lines:
      gate: {{from: [0.1, 0.8], to: [0.9, 0.8]}}
    events:
      - {{name: e, class: [p], line: gate, direction: in, count: {{more_than: 5}}}}
      - {{name: f, class: p, decide: {{deadline: 200ms, otherwise: reject}}, labels: {{w: [x]}}}}
    save: {{snapshot: true, clip: {{before: 5s, after: 5s}}}}
"""

ODD_SCALARS = [
    *(
        "",
        "~",
        "null",
        "true",
        "on",
        "no",
        "0",
        "-1",
        "5",
        "1e999",
        ".nan",
        ".inf",
        "0x1F",
        "1_000",
        "9" * 5000,
        "12:30",
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "{a: b}",
        "[1, 2, 3]",
        "{null: 1}",
        "{? [a] : b}",
        "*d",
        "*nothing",
        "&d x",
        "<<: *d",
    ),
    *(
        "!!python/object:os.system x",
        "!secret y",
        "!!int 5",
        "|",
        ">-",
        "|\n      text",
        "'open",
        '"open',
        "[1, 2",
        "{a: 1",
    ),
    *(
        "${HOST}",
        "${EMPTY}",
        "${ODD}",
        "${NOWHERE}",
        "${",
        "${A:-${B}}",
        "$$",
        "${PORCH_PASSWORD}",
        "@x",
        "`x`",
        "%x",
        "- a",
    ),
    *(
        "500ms",
        "5 s",
        "1GB",
        "2026-11-21",
        "2001:db8::1",
        "rtsp://[::1",
        "rtsp://a:b@c:d",
        "usb:x",
        "mqtt://:1",
        "\U0001f600",
    ),
    *(
        '"\\ud800"',
        '"\\UFFFFFFFF"',
        '"\\0"',
        '"\\x1b[31m"',
        "\u2028",
        "a\u0085b",
        "é" * 300,
        "a/../../b",
        "~/x",
        "~root/x",
    ),
    *("frame", "{zone: mat}", "{class: []}", "coco80", "every", "newest", "file", "person", "Person", "a b"),
]
ODD_LINES = [
    *(
        "---",
        "...",
        "%YAML 1.1",
        "%TAG ! x",
        "\t",
        "? x",
        ": x",
        "- x",
        "<<: *d",
        "cameras:",
        "mqtt:",
        "  porch:",
        "#",
        "x",
    ),
    *("    detect:", "    source: usb:0", "  password: x", "  <<: {a: b}", "    zones: {A: {}}", "      - x"),
]
ODD_BYTES = [
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"\t",
    b" ",
    b":",
    b"'",
    b'"',
    b"{",
    b"}",
    b"[",
    b"&",
    b"*",
    b"!",
    b"\x85",
]


class Mutation(NamedTuple):
    kind: str
    where: int
    other: int

    def __call__(self, data: bytes) -> bytes:
        return KINDS[self.kind](data, self.where, self.other)


def _on_lines(change: Callable[[list[str], int, int], None]) -> Callable[[bytes, int, int], bytes]:
    def mutate(data: bytes, where: int, other: int) -> bytes:
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        change(lines, where % len(lines), other)
        return "\n".join(lines).encode("utf-8", "surrogateescape")

    return mutate


def _delete(lines: list[str], at: int, _: int) -> None:
    del lines[at]
    lines.append("")


def _double(lines: list[str], at: int, other: int) -> None:
    lines.insert(other % (len(lines) + 1), lines[at])


def _swap(lines: list[str], at: int, other: int) -> None:
    at_other = other % len(lines)
    lines[at], lines[at_other] = lines[at_other], lines[at]


def _insert(lines: list[str], at: int, other: int) -> None:
    lines.insert(at, ODD_LINES[other % len(ODD_LINES)])


def _indent(lines: list[str], at: int, other: int) -> None:
    lines[at] = " " * (other % 9) + lines[at].lstrip(" ")


def _value(lines: list[str], at: int, other: int) -> None:
    key, colon, _ = lines[at].partition(": ")
    if colon:
        lines[at] = f"{key}: {ODD_SCALARS[other % len(ODD_SCALARS)]}"


def _inner_value(lines: list[str], at: int, other: int) -> None:
    values = list(re.finditer(r"(?<=[:\[,] )[^,\[\]{}]+", lines[at]))
    if values:
        found = values[(other // len(ODD_SCALARS)) % len(values)]
        lines[at] = lines[at][: found.start()] + ODD_SCALARS[other % len(ODD_SCALARS)] + lines[at][found.end() :]


def _key(lines: list[str], at: int, other: int) -> None:
    keys = list(re.finditer(r"[\w-]+(?=:)", lines[at]))
    known = re.findall(r"[\w-]+(?=:)", BLOCK + UNBUILT)
    if keys:
        found = keys[(other // len(known)) % len(keys)]
        lines[at] = lines[at][: found.start()] + known[other % len(known)] + lines[at][found.end() :]


def _noise(data: bytes, where: int, other: int) -> bytes:
    at = where % (len(data) + 1)
    return data[:at] + ODD_BYTES[other % len(ODD_BYTES)] + data[at + other // len(ODD_BYTES) % 2 :]


def _cut(data: bytes, where: int, other: int) -> bytes:
    at = where % (len(data) + 1)
    return data[:at] + data[at + other % 60 :]


KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    **{change.__name__: _on_lines(change) for change in (_delete, _double, _swap, _insert, _indent)},
    **{change.__name__: _on_lines(change) for change in (_value, _inner_value, _key)},
    "_noise": _noise,
    "_cut": _cut,
}

NUMBERS = st.integers(0, 100_000)
MUTATIONS = st.lists(st.builds(Mutation, st.sampled_from(sorted(KINDS)), NUMBERS, NUMBERS), min_size=1, max_size=4)
BASES = st.sampled_from([BLOCK, UNBUILT])
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def survives(base: str, mutations: list[Mutation]) -> None:
    data = base.encode()
    for mutation in mutations:
        data = mutation(data)
    outcome = outcome_of(data)
    if isinstance(outcome, Loaded):
        shows_nothing(outcome, data.decode())
        return
    assert outcome.problems
    for problem in outcome.problems:
        assert 1 <= problem.line <= data.count(b"\n") + 2
        assert SECRET not in str(problem)
        assert "\n" not in str(problem)
        str(problem).encode()
    assert list(outcome.problems) == sorted(outcome.problems, key=lambda problem: problem.line)


def outcome_of(data: bytes) -> Loaded | SettingsError:
    try:
        return parse(data, file=Path("/etc/streamer/c.yaml"), environ=ENVIRON)
    except SettingsError as exc:
        return exc


def shows_nothing(loaded: Loaded, text: str) -> None:
    assert loaded.settings.cameras
    found = check_classes(loaded, {"coco": ["person"], "m": []})
    assert SECRET not in str(found)
    elsewhere = re.sub(rf"(password|source|record): .*{SECRET}|url: .*{SECRET}@|user:\${{PORCH_PASSWORD}}@", "", text)
    if SECRET not in elsewhere and "PORCH_PASSWORD" not in elsewhere:  # else it is where nobody takes it for a secret
        assert SECRET not in repr(loaded.settings)
        assert SECRET not in loaded.settings.model_dump_json()


@settings(max_examples=300, suppress_health_check=QUIET)
@given(BASES, MUTATIONS)
def test_300_mutations(base: str, mutations: list[Mutation]) -> None:
    survives(base, mutations)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=10_000, suppress_health_check=QUIET)
@given(BASES, MUTATIONS)
def test_10000_mutations(base: str, mutations: list[Mutation]) -> None:
    survives(base, mutations)


@settings(max_examples=300, suppress_health_check=QUIET)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise(data: bytes) -> None:
    with pytest.raises(SettingsError):
        parse(data, file=Path("/etc/streamer/c.yaml"), environ=ENVIRON)


def test_the_base_loads() -> None:
    assert set(parse(BLOCK.encode(), file=Path("/c.yaml"), environ=ENVIRON).settings.cameras) == {"porch", "yard"}
