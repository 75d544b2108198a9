from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from streamer.settings import geometry, model_values, values


def parsed(kind: Any, value: object) -> object:  # noqa: ANN401  a type expression
    return TypeAdapter(kind).validate_python(value, context={"folder": "/etc/streamer", "home": "/home/ada"})


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (values.Seconds, "500ms", 0.5),
        (values.Seconds, "1.5s", 1.5),
        (values.Seconds, "5m", 300.0),
        (values.Seconds, "1h", 3600.0),
        (values.Seconds, "7d", 604800.0),
        (values.Seconds, "0s", 0.0),
        (values.Size, "500MB", 500_000_000),
        (values.Size, "1.5GB", 1_500_000_000),
        (values.Flag, "true", True),
        (values.Flag, "False", False),
        (values.Flag, True, True),
        (values.Share, "0.25", 0.25),
        (values.Share, ".5", 0.5),
        (values.Share, 1, 1.0),
        (values.Rate, "0", 0.0),
        (values.Port, "8780", 8780),
        (values.Qos, "1", 1),
        (values.Name, "porch-2_b", "porch-2_b"),
        (values.MqttText, "", None),
        (values.OptionalPath, "", None),
        (values.OptionalPath, "ca.pem", Path("/etc/streamer/ca.pem")),
        (values.FilePath, "./data", Path("/etc/streamer/data")),
        (values.FilePath, "../data", Path("/etc/streamer/../data")),
        (values.FilePath, "/var/data", Path("/var/data")),
        (values.FilePath, "~/data", Path("/home/ada/data")),
        (values.ClassNames, "person", ("person",)),
        (values.ClassNames, ["no", "1"], ("no", "1")),
        (model_values.ModelName, "yolox-nano", "yolox-nano"),
        (model_values.ModelName, "./a.onnx", "/etc/streamer/a.onnx"),
        (model_values.ModelName, "a.yaml", "/etc/streamer/a.yaml"),
        (model_values.Labels, "coco80", "coco80"),
        (model_values.Labels, "names.txt", Path("/etc/streamer/names.txt")),
        (model_values.Labels, ["box", "no"], ("box", "no")),
        (model_values.InputHW, "640", (640, 640)),
        (model_values.InputHW, ["384", "640"], (384, 640)),
        (model_values.Ratio, "1/255", 1 / 255),
        (model_values.Ratio, "0.5", 0.5),
        (model_values.PerChannel, "0.5", (0.5, 0.5, 0.5)),
        (model_values.PerChannel, ["0", "0.1", "0.2"], (0.0, 0.1, 0.2)),
        (model_values.Digest, "sha256:" + "AB" * 32, "ab" * 32),
        (geometry.Point, ["0", "1"], (0.0, 1.0)),
        (geometry.Polygon, [["0", "0"], ["1", "0"], ["1", "1"]], ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
    ],
)
def test_taken(kind: Any, value: object, expected: object) -> None:  # noqa: ANN401  a type expression
    assert parsed(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "refused", "words"),
    [
        (
            values.Seconds,
            ["5", "5.", "s", "5 s", "1h30m", "-1s", "5S", "1e3s", "٣s", "999999d", "9" * 999 + "d", 5, None],
            "unit",
        ),
        (values.PositiveSeconds, ["0s", "0.0ms"], "longer than nothing"),
        (values.Size, ["1", "1KB", "1gb", "999kB", "-1GB", "9" * 400 + "TB", [], None], "at least 1MB"),
        (values.Flag, ["on", "off", "yes", "no", "1", "0", "TrUe", "", None, 1, []], "true or false"),
        (
            values.Share,
            ["-0.1", "1.1", "nan", ".nan", ".inf", "1e999", "", "x", "0x1", "1_0", True, None, []],
            "0 to 1",
        ),
        (values.Rate, ["-1", "1001", "1e-300", "0.0009"], "frames a second"),
        (values.Port, ["0", "65536", "80.0", "9" * 5000, True], "1 to 65535"),
        (values.Qos, ["0", "3", "x", None], "lost"),
        (values.Name, ["", "A", "-a", "a b", "a" * 65, "é", "a\n"], "a-z"),
        (values.Name, [None, [], {}], "text"),
        (values.Topic, ["", "/a", "a/", "a+b", "a#", "$SYS", "a\nb"], "MQTT topic"),
        (values.Text, ["", "  "], "empty"),
        (values.ClassNames, [[], {}, None, 1], "class names"),
        (values.ClassNames, [[None], [["a"]], [""]], "quotes"),
        (model_values.ModelName, ["a b", "-x", "a/b"], "catalogue"),
        (model_values.InputHW, ["0", ["1", "2"], ["640"], ["640"] * 3, "x", None], "pixels"),
        (model_values.Ratio, ["0", "-1", "1/0", "1/x", "", "/", None], "above 0"),
        (model_values.PerChannel, [["1"], ["1", "2", "x"], "x", None], "three"),
        (model_values.Divisors, ["0", ["1", "0", "1"]], "above 0"),
        (model_values.Byte, ["256", "-1"], "0 to 255"),
        (model_values.Digest, ["ab", "g" * 64], "SHA-256"),
        (geometry.Point, [["0"], ["0", "1.1"], "x", None], "fractions"),
        (geometry.Polygon, [[], [["0", "0"]] * 2, "x", None], "at least 3"),
        (geometry.Polygon, [[["0", "0"], ["1", "0"], ["2", "0"]], [["0", "0"], "x", ["1", "1"]]], "point"),
        (geometry.Polygon, [[["0", "0"], ["1", "1"], ["0.5", "0.5"]], [["0", "0"]] * 3], "no area"),
        (geometry.Polygon, [[[0, 0], [1, 0], [1, 1], [0, 0], [1, 0], [1, 1]]], "the same point twice"),
        (
            geometry.Polygon,
            [[[0, 0], [1, 1], [1, 0], [0, 1]], [[0, 0.5], [1, 0.5], [1, 1], [0.5, 0]]],
            "crosses itself",
        ),
    ],
)
def test_refused(kind: Any, refused: list[object], words: str) -> None:  # noqa: ANN401  a type expression
    for value in refused:
        with pytest.raises(ValidationError, match=words):
            parsed(kind, value)


@pytest.mark.parametrize("text", ["500ms", "1500ms", "2s", "5m", "1h", "7d", "0s", "90s"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    seconds = values.as_seconds(text)

    assert seconds is not None
    assert values.duration_text(seconds) == text


@pytest.mark.parametrize("text", ["1GB", "1500MB", "2TB"])
def test_sizes_are_written_as_they_are_read(text: str) -> None:
    size = parsed(values.Size, text)

    assert isinstance(size, int)
    assert values.size_text(size) == text
