"""`docs/ros2_bridge.py` over stand-ins that know the message definitions. Not run with a real ROS."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from ros_messages import VISION_MSGS_3, VISION_MSGS_4, RosMessage, message_classes
from servers.broker import Mosquitto, mosquitto_program, wait_until

from streamer import settings
from streamer.core.frame import FrameInfo
from streamer.core.results import Track, Velocity
from streamer.events.feed import decode_feed, encode_feed, lacking, open_feed_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCHEMA = json.loads((DOCS.parent / "streamer" / "events" / "detections.schema.json").read_text())
CAPTURED_UTC_NS = 1_795_256_130_123_456_789
needs_cbor2 = pytest.mark.skipif(lacking("cbor") is not None, reason="needs cbor2")


class Publisher:
    def __init__(self, kind: type[RosMessage], topic: str, qos: object) -> None:
        self.kind, self.topic, self.qos = kind, topic, qos
        self.published: list[Any] = []

    def publish(self, message: RosMessage) -> None:
        assert type(message) is self.kind
        message.check()
        self.published.append(message)


class Parameter:
    def __init__(self, value: object) -> None:
        self.value = value


class Logger:
    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, text: str, *, throttle_duration_sec: float) -> None:
        assert throttle_duration_sec > 0
        self.said.append(text)


class FakeNode:
    """As much of `rclpy.node.Node` as the bridge needs."""

    parameters: dict[str, object] = {}  # noqa: RUF012  set by tests

    def __init__(self, name: str) -> None:
        self.name = name
        self.publishers: list[Publisher] = []
        self.logger = Logger()

    def declare_parameter(self, name: str, default: object) -> Parameter:
        value = self.parameters.get(name, default)
        assert type(value) is type(default)  # ROS refuses an override of another type
        return Parameter(value)

    def create_publisher(self, kind: type[RosMessage], topic: str, qos: object) -> Publisher:
        self.publishers.append(Publisher(kind, topic, qos))
        return self.publishers[-1]

    def get_logger(self) -> Logger:
        return self.logger


def module(name: str, **contents: object) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(contents)
    return made


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Import the bridge over stand-ins of a version's messages."""

    def over(definitions: dict[str, dict[str, str]] = VISION_MSGS_4) -> ModuleType:
        modules = [
            module("rclpy"),
            module("rclpy.node", Node=FakeNode),
            module("rclpy.executors", ExternalShutdownException=type("ExternalShutdownException", (Exception,), {})),
            module("rclpy.qos", qos_profile_sensor_data="sensor data"),
        ]
        packages: dict[str, dict[str, object]] = {}
        for name, kind in message_classes(definitions).items():
            packages.setdefault(name.partition("/")[0], {})[kind.__name__] = kind
        for package, kinds in packages.items():
            modules += [module(package), module(f"{package}.msg", **kinds)]
        for made in modules:
            monkeypatch.setitem(sys.modules, made.__name__, made)
        spec = importlib.util.spec_from_file_location("ros2_bridge", DOCS / "ros2_bridge.py")
        assert spec is not None
        assert spec.loader is not None
        bridge = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bridge)
        return bridge

    return over


def payload(form: str = "json", *, utc_ns: int = CAPTURED_UTC_NS, empty: bool = False) -> bytes:
    """A message as Streamer writes it."""
    info = FrameInfo(
        camera="porch",
        connection=0,
        seq=7,
        captured_ns=90_000_000_000,
        utc_ns=utc_ns,
        width=1280,
        height=720,
        live=True,
    )
    seen = Track(
        id=18, class_id=1, box=(0, 0, 40, 20), score=1.0, first_ns=90_000_000_000, last_ns=90_000_000_000, hits=1
    )
    known = replace(
        seen, id=17, class_id=0, box=(412, 220, 561, 610), score=0.87, hits=6, velocity=Velocity(120.0, -4.0, 9.0)
    )
    tracks = () if empty else (known, seen)
    return encode_feed(open_feed_form(form), info, tracks, labels=("person", "traffic light"), age_ms=61.4)


def test_each_field_stands_where_the_documentation_says(load: Callable[..., ModuleType]) -> None:
    array = load().detection_array(decode_feed(payload()), "porch_optical_frame")
    array.check()
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (1_795_256_130, 123_000_000)
    assert array.header.frame_id == "porch_optical_frame"
    first, second = array.detections
    assert (first.id, second.id) == ("17", "18")
    assert first.header is array.header
    (result,) = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("person", 0.87)
    center = first.bbox.center
    assert (center.position.x, center.position.y, center.theta) == (486.5, 415.0, 0.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (149.0, 390.0)
    assert second.results[0].hypothesis.class_id == "traffic light"
    assert (second.bbox.center.position.x, second.bbox.size_y) == (20.0, 20.0)


def test_what_one_camera_does_not_know_is_left_as_it_is_made(load: Callable[..., ModuleType]) -> None:
    array = load().detection_array(decode_feed(payload()), "porch_optical_frame")
    for found in array.detections:
        pose = found.results[0].pose
        assert pose.covariance == [0.0] * 36
        assert (pose.pose.position.x, pose.pose.position.y, pose.pose.position.z) == (0.0, 0.0, 0.0)
        assert pose.pose.orientation.w == 1.0


def test_a_frame_without_objects_is_told(load: Callable[..., ModuleType]) -> None:
    array = load().detection_array(decode_feed(payload(empty=True)), "f")
    array.check()
    assert array.detections == []


def test_a_detection_without_a_track_has_no_id(load: Callable[..., ModuleType]) -> None:
    feed = decode_feed(payload())
    feed["detections"][0]["track"] = None
    assert load().detection_array(feed, "f").detections[0].id == ""


@needs_cbor2
def test_both_forms_make_the_same_messages(load: Callable[..., ModuleType]) -> None:
    bridge = load()
    assert bridge.decode(payload("cbor")) == bridge.decode(payload("json")) == decode_feed(payload())


def test_version_3_of_the_messages_is_not_meant(load: Callable[..., ModuleType]) -> None:
    with pytest.raises(AttributeError, match="position"):
        load(VISION_MSGS_3).detection_array(decode_feed(payload()), "f")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / "robot.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_pages_example_is_a_message_of_the_feed(load: Callable[..., ModuleType]) -> None:
    (text,) = blocks("json")
    jsonschema.validate(json.loads(text), SCHEMA)
    load().detection_array(json.loads(text), "f").check()


def test_the_pages_configuration_is_one(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "robot.yaml").write_text(text)
    front = settings.load(tmp_path / "robot.yaml", {}).settings.cameras["front"]
    assert front.publish_detections is not None
    assert (front.delivery, front.detect_fps, front.max_age_s) == ("newest", 0.0, 0.3)


def test_the_page_tells_where_every_field_goes() -> None:
    """Each field of a detection stands in the table of fields, each of ROS's in the table of the mapping."""
    page = (DOCS / "robot.md").read_text("utf-8")
    fields, _, mapping = page.partition("## ROS 2")
    properties = SCHEMA["properties"] | SCHEMA["$defs"]["detection"]["properties"]
    assert not [name for name in properties if f"`{name}`" not in fields]
    for kind in ("Detection2DArray", "Detection2D", "ObjectHypothesisWithPose", "ObjectHypothesis", "BoundingBox2D"):
        for name in VISION_MSGS_4[f"vision_msgs/{kind}"]:
            assert re.search(rf"[`.]{name}\b", mapping), name


class TestStandIns:
    kinds = message_classes(VISION_MSGS_4)

    @pytest.mark.parametrize(
        ("name", "field", "value"),
        [
            ("vision_msgs/Point2D", "x", 1),
            ("vision_msgs/Point2D", "x", float("nan")),
            ("vision_msgs/Point2D", "x", True),
            ("vision_msgs/ObjectHypothesis", "class_id", 0),
            ("vision_msgs/Detection2D", "id", 17),
            ("vision_msgs/Detection2D", "results", [1]),
            ("vision_msgs/Detection2D", "results", None),
            ("vision_msgs/Detection2DArray", "header", "now"),
            ("builtin_interfaces/Time", "nanosec", -1),
            ("builtin_interfaces/Time", "sec", 2**31),
            ("builtin_interfaces/Time", "sec", 1.0),
            ("geometry_msgs/PoseWithCovariance", "covariance", [0.0] * 35),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, name: str, field: str, value: object) -> None:
        with pytest.raises(TypeError, match=field):
            self.kinds[name](**{field: value})

    @pytest.mark.parametrize("field", ["tracking_id", "source_img", "is_tracking"])  # as older versions had them
    def test_an_unknown_field_is_refused(self, field: str) -> None:
        with pytest.raises(AttributeError, match=field):
            setattr(self.kinds["vision_msgs/Detection2D"](), field, "")

    def test_what_was_changed_in_place_is_found(self) -> None:
        array: Any = self.kinds["vision_msgs/Detection2DArray"]()
        array.detections.append("person")
        with pytest.raises(TypeError, match="detections"):
            array.check()

    def test_every_type_is_defined(self) -> None:
        for fields in (*VISION_MSGS_4.values(), *VISION_MSGS_3.values()):
            for kind in fields.values():
                element = kind.partition("[")[0]
                assert element in {"string", "float64", "int32", "uint32"} or element in VISION_MSGS_3


@pytest.fixture
def node(
    load: Callable[..., ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, Client]]:
    """The bridge's node beside a real broker, and a client that publishes there."""
    if mosquitto_program() is None:
        pytest.skip("needs mosquitto")
    with Mosquitto(tmp_path / "broker") as broker:
        monkeypatch.setattr(FakeNode, "parameters", {"camera": "porch", "host": "127.0.0.1", "port": broker.port})
        bridge = load().Bridge()
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        yield bridge, client
        client.disconnect()
        client.loop_stop()
        bridge.close()


@pytest.mark.broker
def test_what_is_young_is_published_and_what_is_old_or_no_message_is_said(node: tuple[Any, Client]) -> None:
    bridge, client = node
    (publisher,) = bridge.publishers
    assert (publisher.topic, publisher.qos, publisher.kind.NAME) == (
        "porch/detections", "sensor data", "vision_msgs/Detection2DArray",
    )  # fmt: skip

    def arrived() -> bool:  # until the bridge has subscribed, QoS 0 goes nowhere
        client.publish("streamer/porch/detections", payload(utc_ns=time.time_ns()), qos=0)
        return bool(publisher.published)

    wait_until(arrived, 5.0, "a message")
    assert publisher.published[0].header.frame_id == "porch_optical_frame"
    assert [found.id for found in publisher.published[0].detections] == ["17", "18"]
    for wrong in (payload(utc_ns=time.time_ns() - 2_000_000_000), b"{", b'{"captured_at": 5}', b"\xff", b""):
        client.publish("streamer/porch/detections", wrong, qos=0)
    wait_until(lambda: len(bridge.logger.said) == 5, 5.0, "five warnings")
    assert "2.0 s old, dropped" in bridge.logger.said[0]
    assert all("not a message of the feed" in text for text in bridge.logger.said[1:])
