#!/usr/bin/env python3
"""Streamer's per-frame feed as ROS 2 `vision_msgs/Detection2DArray`: an example to start from. See robot.md.

Needs ROS 2 with vision_msgs 4 (Humble and later; in 3 a box's centre has no `position`), paho-mqtt 2, and cbor2 where
the feed is `{format: cbor}`:

    python3 ros2_bridge.py --ros-args -p host:=localhost -p camera:=porch -p frame_id:=porch_optical_frame
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def decode(payload: bytes) -> dict[str, Any]:
    """Return a message of the feed, JSON or CBOR: a JSON object begins with `{`, as no CBOR map does."""
    if payload[:1] == b"{":
        feed: dict[str, Any] = json.loads(payload)
    else:
        import cbor2  # noqa: PLC0415  only feeds in CBOR need it

        feed = cbor2.loads(payload)
    return feed


def captured_ns(feed: dict[str, Any]) -> int:
    """Return when the light hit the camera, ns since 1970 on Streamer's wall clock."""
    moment = datetime.fromisoformat(feed["captured_at"].replace("Z", "+00:00"))  # Python 3.10 knows no `Z`
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def detection_array(feed: dict[str, Any], frame_id: str) -> Detection2DArray:
    """Return what a message of the feed says.

    Args:
        feed: the message.
        frame_id: of the camera's optical frame (x right, y down, z forward), in which boxes are measured, in px.
    """
    seconds, nanoseconds = divmod(captured_ns(feed), 1_000_000_000)
    header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    return Detection2DArray(header=header, detections=[detection(found, header) for found in feed["detections"]])


def detection(found: dict[str, Any], header: Header) -> Detection2D:
    """Return one detection; what ROS has no field for (velocity, hits, first_seen) is left to readers of the feed."""
    x1, y1, x2, y2 = found["box"]
    result = ObjectHypothesisWithPose()  # its pose stays as it is made: one camera does not know it
    result.hypothesis.class_id = found["class"]
    result.hypothesis.score = float(found["score"])
    told = Detection2D(header=header, results=[result])
    told.id = "" if found["track"] is None else str(found["track"])
    told.bbox.center.position.x = (x1 + x2) / 2
    told.bbox.center.position.y = (y1 + y2) / 2
    told.bbox.size_x = float(x2 - x1)
    told.bbox.size_y = float(y2 - y1)
    return told


class Bridge(Node):
    """Listens to one camera's feed, publishes each message that is young enough."""

    def __init__(self) -> None:
        """Read the parameters and begin to connect; whether the broker is there is seen later."""
        super().__init__("streamer_bridge")
        camera = self.declare_parameter("camera", "camera").value
        self._frame_id = self.declare_parameter("frame_id", f"{camera}_optical_frame").value
        self._max_age_s = self.declare_parameter("max_age_s", 0.5).value  # needs clocks that agree; 0.0: no limit
        self._topic = f"{self.declare_parameter('topic_prefix', 'streamer').value}/{camera}/detections"
        self._publisher = self.create_publisher(Detection2DArray, f"{camera}/detections", qos_profile_sensor_data)
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        host, port = self.declare_parameter("host", "localhost").value, self.declare_parameter("port", 1883).value
        self._client.connect_async(host, port, keepalive=15)
        self._client.loop_start()

    def close(self) -> None:
        """Leave the broker and end paho's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe(self._topic, qos=0)  # an old answer is worse than none: nothing is kept for later

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        """Publish one message. Called by paho's thread, which an exception would end."""
        try:
            feed = decode(bytes(message.payload))
            age_s = (time.time_ns() - captured_ns(feed)) / 1e9
            array = detection_array(feed, self._frame_id)
        except Exception as exc:  # noqa: BLE001  whatever came there: said, and the next message is looked at
            self.get_logger().warning(f"{self._topic}: not a message of the feed: {exc}", throttle_duration_sec=10.0)
            return
        if self._max_age_s and age_s > self._max_age_s:
            self.get_logger().warning(f"{self._topic}: {age_s:.1f} s old, dropped", throttle_duration_sec=10.0)
            return
        self._publisher.publish(array)


def main() -> None:
    """Run until the end of ROS or Ctrl+C."""
    rclpy.init()
    bridge = Bridge()
    try:
        rclpy.spin(bridge)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        bridge.close()
        bridge.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
