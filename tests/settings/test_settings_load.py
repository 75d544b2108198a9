"""The contract's configuration, its defaults, and how problems are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from streamer.core.errors import ConfigError
from streamer.settings import Loaded, Problem, SettingsError, load, parse

SMALL = """
models: {coco: {model: yolox-nano}}
cameras:
  porch:
    source: rtsp://user:hunter2@192.0.2.20/stream2
    detect: {model: coco}
"""


def loaded(text: str, **environ: str) -> Loaded:
    return parse(text.encode(), file=Path("/etc/streamer/home.yaml"), environ=environ)


def problems(text: str, **environ: str) -> list[tuple[int, str, str]]:
    with pytest.raises(SettingsError) as caught:
        loaded(text, **environ)
    return [(problem.line, problem.key, problem.message) for problem in caught.value.problems]


def test_defaults_are_the_contracts() -> None:
    settings = loaded(SMALL).settings
    mqtt, porch = settings.mqtt, settings.cameras["porch"]

    assert (str(mqtt.url), mqtt.username, mqtt.password, mqtt.ca_file) == ("mqtt://localhost:1883", None, None, None)
    assert (mqtt.client_id, mqtt.topic_prefix, mqtt.qos, mqtt.drain_s) == (None, "streamer", 1, 30.0)
    assert (mqtt.home_assistant, mqtt.discovery_prefix) == (True, "homeassistant")
    assert settings.data_dir == Path("/etc/streamer/data")
    assert (settings.outbox.max_size, settings.outbox.max_age_s) == (1_000_000_000, 604800.0)
    assert (settings.dashboard.enabled, settings.dashboard.bind, settings.dashboard.port) == (False, "127.0.0.1", 8780)
    assert settings.models["coco"].backend == settings.models["coco"].precision == "auto"
    assert (porch.frames, porch.delivery, porch.detect_fps, porch.enabled) == (None, "newest", 5.0, True)
    assert (porch.events, porch.publish_detections, porch.max_age_s, porch.transport) == (None, None, None, "auto")
    assert (porch.motion.enabled, porch.gated, porch.classify, porch.save.snapshot, porch.clip) == (
        None,
        True,
        (),
        True,
        None,
    )
    assert porch.detect is not None
    assert porch.detect.classes is None


def test_a_rules_defaults() -> None:
    (rule,) = loaded(SMALL + "    events: [{name: a, class: person}]\n").settings.cameras["porch"].events or ()

    assert (rule.class_names, rule.after_s, rule.end_after_s, rule.min_area) == (("person",), 0.5, 2.0, 0.0)


@pytest.mark.parametrize(
    ("source", "frames", "fps", "expected"),
    [
        ("rtsp://h/x", "", "", ("newest", 5.0)),
        ("rtsp://h/x", "", "0", ("newest", 0.0)),
        ("rtsp://h/x", "every", "", ("every", 0.0)),
        ("rtsp://h/x", "every", "0", ("every", 0.0)),
        ("a.mp4", "", "", ("every", 0.0)),
        ("a.mp4", "newest", "", ("newest", 5.0)),
        ("a.mp4", "newest", "2.5", ("newest", 2.5)),
    ],
)
def test_delivery_and_rate(source: str, frames: str, fps: str, expected: tuple[str, float]) -> None:
    text = f"""
models: {{m: {{model: ./m.onnx}}}}
cameras: {{c: {{source: {source}, frames: {frames or "null"}, detect: {{model: m, fps: {fps or "null"}}}}}}}
"""
    camera = loaded(text).settings.cameras["c"]

    assert (camera.delivery, camera.detect_fps) == expected


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("true", "json"),
        ("True", "json"),
        ("{}", "json"),
        ("{format: json}", "json"),
        ("{format: cbor}", "cbor"),
        ("{format: '${FORM:-cbor}'}", "cbor"),
        ("{format: null}", "json"),
        ("false", None),
        ("null", None),
        ("'${FEED:-false}'", None),
    ],
)
def test_a_feed_is_true_false_or_a_format(said: str, form: str | None) -> None:
    feed = loaded(SMALL + f"    publish_detections: {said}\n").settings.cameras["porch"].publish_detections

    assert (None if feed is None else feed.format) == form


@pytest.mark.parametrize(
    ("said", "key", "sentence"),
    [
        ("yes", "", "'yes' is not allowed; it must be true, false or {format: json | cbor}"),
        ("cbor", "", "'cbor' is not allowed; it must be true, false or {format: json | cbor}"),
        ("[json]", "", "must be true, false or {format: json | cbor}"),
        ("1", "", "'1' is not allowed; it must be true, false or {format: json | cbor}"),
        ("{format: cbro}", ".format", "'cbro' is not allowed; it must be one of json, cbor; nearest: 'cbor'"),
        ("{formt: cbor}", ".formt", "unknown key; nearest: 'format'; allowed: format"),
    ],
)
def test_anything_else_is_no_feed(said: str, key: str, sentence: str) -> None:
    ((_, where, told),) = problems(SMALL + f"    publish_detections: {said}\n")

    assert (where, told) == (f"cameras.porch.publish_detections{key}", sentence)


def test_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "home.yaml"
    file.write_text(
        "data_dir: store\nmqtt: {ca_file: certs/ca.pem}\n"
        "models: {m: {model: ./m.onnx, labels: names.txt}}\n"
        "cameras: {c: {source: films/a.mp4, detect: {model: m}}}\n"
    )
    settings = load(file, {}).settings

    assert settings.data_dir == tmp_path / "store"
    assert settings.mqtt.ca_file == tmp_path / "certs/ca.pem"
    assert settings.models["m"].model == str(tmp_path / "m.onnx")
    assert settings.models["m"].labels == tmp_path / "names.txt"
    assert settings.cameras["c"].source.reveal() == str(tmp_path / "films/a.mp4")


def test_the_broker_login_comes_from_the_keys_or_from_the_address() -> None:
    keys = loaded(SMALL + "mqtt: {username: '${U:-}', password: '${P}'}\n", P="12345").settings.mqtt
    address = loaded(SMALL + "mqtt: {url: 'mqtt://ada:${P}@b'}\n", P="p@s/s").settings.mqtt

    assert (keys.login_name, keys.login_password) == (None, SecretStr("12345"))
    assert (address.login_name, address.login_password) == ("ada", SecretStr("p@s/s"))
    assert "12345" not in repr(keys)
    assert "p@s" not in repr(address)


def test_settings_do_not_change() -> None:
    settings = loaded(SMALL).settings

    with pytest.raises(ValidationError, match="frozen"):
        settings.data_dir = Path("/")


def test_secrets_are_shown_by_nothing_that_prints_settings() -> None:
    settings = loaded(SMALL + "mqtt: {password: hunter2}\n").settings

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "hunter2" not in text


def test_every_problem_is_told_at_once_with_file_line_key_and_what_is_allowed() -> None:
    found = problems(
        """
mqtt:
  url: http://b
  qos: 0
data_dri: x
models:
  coco: {model: yolox-nano, backend: openvno}
cameras:
  porch:
    source: rtsp://h
    frames: newst
    publish_detections: on
    max_age: 150
    detect: {model: cocoa, fps: [5]}
    events: {name: a}
  Yard:
    detect: {model: coco, classes: {person: 2}}
"""
    )

    assert [(line, key) for line, key, _ in found] == [
        (3, "mqtt.url"),
        (4, "mqtt.qos"),
        (5, "data_dri"),
        (7, "models.coco.backend"),
        (11, "cameras.porch.frames"),
        (12, "cameras.porch.publish_detections"),
        (13, "cameras.porch.max_age"),
        (14, "cameras.porch.detect.fps"),
        (14, "cameras.porch.detect.model"),
        (15, "cameras.porch.events"),
        (16, "cameras.Yard"),
        (16, "cameras.Yard.source"),
        (17, "cameras.Yard.detect.classes.person"),
    ]
    said = {key: message for _, key, message in found}
    assert "nearest: 'data_dir'; allowed: mqtt, data_dir" in said["data_dri"]
    assert "one of auto, tensorrt, openvino, onnxruntime; nearest: 'openvino'" in said["models.coco.backend"]
    assert said["cameras.porch.publish_detections"] == (
        "'on' is not allowed; it must be true, false or {format: json | cbor}"
    )
    assert "'150' is not allowed; it must be a duration with its unit" in said["cameras.porch.max_age"]
    assert "nearest: 'coco'" in said["cameras.porch.detect.model"]
    assert said["cameras.porch.events"] == "must be a list, not a mapping"
    assert said["cameras.Yard.source"].startswith("is missing; needed: The camera's address: rtsp://")


def test_a_problem_is_one_line_as_the_contract_has_it() -> None:
    assert str(Problem("home.yaml", 3, "mqtt.qos", "must be 1")) == "home.yaml:3: mqtt.qos: must be 1"

    with pytest.raises(ConfigError) as caught:
        loaded("mqtt: 5\ncameras: {}\n")
    assert str(caught.value).splitlines() == [
        (
            "/etc/streamer/home.yaml:1: mqtt: must be a mapping of url, username, password, ca_file, client_id,"
            " topic_prefix, qos, drain, home_assistant, discovery_prefix, not text"
        ),
        "/etc/streamer/home.yaml:2: cameras: must name at least one camera",
    ]


@pytest.mark.parametrize("key", ["username", "password", "client_id"])
def test_what_no_mqtt_packet_can_carry_is_refused(key: str) -> None:
    assert loaded(f"mqtt: {{{key}: {'x' * 65_535}}}\n{SMALL}")
    with pytest.raises(ConfigError, match=f"mqtt.{key}: must be at most 65535 bytes"):
        loaded(f"mqtt: {{{key}: {'ü' * 32_768}}}\n{SMALL}")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("password: hunter2\n  password: hunter2", "mqtt.password"),
        ("pasword: hunter2", "mqtt.pasword"),
        ("password: [hunter2]", "mqtt.password"),
        ("password: {hunter2: x}", "mqtt.password"),
        ("qos: hunter2", "mqtt.qos"),
        ("url: mqtt://u:hunter2@h:x", "mqtt.url"),
        ("url: mqtt://u:${P}@h:x", "mqtt.url"),
        ("url: hunter2", "mqtt.url"),
        ("hunter2 hunter2: x", "mqtt.?"),
        ("rtsp://u:hunter2@h: x", "mqtt.?"),
    ],
)
def test_no_problem_repeats_a_secret(line: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(SMALL + f"mqtt:\n  {line}\n", P="hunter2")

    assert [problem.key for problem in caught.value.problems] == [key]
    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.problems}"
    assert caught.value.__context__ is None  # so that no log shows what pydantic has seen


@pytest.mark.parametrize("value", ["${P}", "x${P}", "rtsp://u:hunter2@h/x", "[hunter2]"])
@pytest.mark.parametrize("key", ["frames", "transport", "max_age", "enabled", "zones", "nonsense"])
def test_a_secret_in_the_wrong_place_is_not_repeated(key: str, value: str) -> None:
    found = problems(SMALL + f"    {key}: {value}\n", P="hunter2")

    assert found
    assert "hunter2" not in str(found)


def test_an_unset_variable_is_one_problem() -> None:
    assert problems(SMALL.replace("hunter2", "${PORCH_PASSWORD}")) == [
        (
            5,
            "cameras.porch.source",
            "the variable PORCH_PASSWORD is not set; set it, or give a default: ${PORCH_PASSWORD:-...}",
        )
    ]


def test_lines_are_found_for_keys_and_for_what_is_left_out() -> None:
    whole = loaded(SMALL)

    assert whole.line_of(("cameras", "porch", "source")) == 5
    assert whole.line_of(("cameras", "porch", "events", "0")) == 4
    assert whole.line_of(("mqtt", "url")) == 2  # the first that holds anything


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="can't be read") as caught:
        load(tmp_path / name, {})

    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (1, "file")


def test_the_whole_schema_of_the_contract_is_understood() -> None:
    """Everything on the contract's page parses; only what is not built yet is refused, each in its line."""
    found = problems(CONTRACT, PORCH_PASSWORD="x")  # noqa: S106  an example

    assert all("not supported yet" in message for _, _, message in found), found
    assert {key for _, key, _ in found} == {"dashboard.enabled"}


CONTRACT = """
mqtt:
  url: mqtt://localhost:1883        # mqtts:// for TLS
  username: ${MQTT_USER:-}
  password: ${MQTT_PASSWORD:-}
  ca_file: null
  client_id: null                   # streamer-<hostname>
  topic_prefix: streamer
  qos: 1
  drain: 30s
  home_assistant: true
data_dir: ./data
dashboard: {enabled: true, bind: 127.0.0.1, port: 8780}
models:
  coco: {model: yolox-nano, backend: auto, precision: auto}
  parcel-kind: {model: ./parcels.onnx, task: classify, labels: [box, bag, letter]}
cameras:
  porch:
    source: rtsp://user:${PORCH_PASSWORD}@192.0.2.20/stream2
    record: rtsp://user:${PORCH_PASSWORD}@192.0.2.20/stream1
    frames: newest
    motion: {enabled: true}
    detect:
      model: coco
      fps: 5
      classes: {person: 0.5, dog: 0.6, suitcase: 0.5, handbag: 0.5, short: 0.5, open: 0.5}
    classify:
      - {name: weather, model: parcel-kind, of: frame, every: 10s}
      - {name: door, model: parcel-kind, of: {zone: porch-mat}, every: 1s, agree: 3}
      - {name: parcel, model: parcel-kind, of: {class: [suitcase, handbag]}, agree: 3}
    zones:
      porch-mat: {polygon: [[0.30, 0.55], [0.70, 0.55], [0.75, 0.98], [0.25, 0.98]]}
    lines:
      gate: {from: [0.1, 0.8], to: [0.9, 0.8]}
    events:
      - {name: someone-waits, class: [person], zone: porch-mat, after: 2s, end_after: 3s, min_area: 0.002}
      - {name: entered, class: [person], line: gate, direction: in}
      - {name: too-many, class: [person], count: {more_than: 5}}
      - {name: defect, class: [short, open], decide: {deadline: 200ms, otherwise: reject}}
      - {name: box-left, class: suitcase, labels: {parcel: [box]}}
    publish_detections: false
    max_age: null
    save: {snapshot: true, clip: {before: 5s, after: 5s}}
"""
