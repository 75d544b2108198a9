"""The whole configuration as a tree of frozen values: its top, the broker and the store."""

from collections.abc import Mapping

from pydantic import Field, SecretStr

from . import values
from .address import BrokerField
from .camera import Camera
from .model import ModelSettings
from .save import Evidence
from .secret import Password
from .section import Section
from .sinks import ExtraSink


class Mqtt(Section):
    """The broker and how to talk to it."""

    url: BrokerField = Field(
        default="mqtt://localhost:1883",
        validate_default=True,
        description="The broker: mqtt://HOST[:PORT], mqtts://HOST[:PORT] for TLS, or embedded.",
    )
    username: values.MqttText = Field(default=None, description="Login name at the broker.")
    password: Password = Field(default=None, description="Password at the broker, best as ${MQTT_PASSWORD:-}.")
    ca_file: values.OptionalPath = Field(
        default=None, description="Certificates (PEM) that vouch for the broker, for mqtts."
    )
    client_id: values.MqttText = Field(default=None, description="MQTT client id; left out: streamer-<hostname>.")
    topic_prefix: values.Topic = Field(default="streamer", description="What every topic begins with.")
    qos: values.Qos = Field(default=1, description="Quality of service of events: 1 = at least once, 2 = exactly once.")
    drain_s: values.Seconds = Field(
        default="30s",
        validate_default=True,
        alias="drain",
        description="How long a run whose files have all ended waits for the broker.",
    )
    home_assistant: values.Flag = Field(
        default=True, description="Announce each camera to Home Assistant by MQTT discovery."
    )
    discovery_prefix: values.Topic = Field(
        default="homeassistant", description="What Home Assistant's discovery topics begin with."
    )

    @property
    def login_name(self) -> str | None:
        """The user name, from `username` or else from the address."""
        return self.username or self.url.username

    @property
    def login_password(self) -> SecretStr | None:
        """The password, from `password` or else from the address."""
        return self.password or self.url.password


class Dashboard(Section):
    """The web page."""

    enabled: values.Flag = Field(default=False, description="Serve the web page (not supported yet).")
    bind: values.Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: values.Port = Field(default=8780, description="TCP port to listen on.")


class Outbox(Section):
    """Bounds of what is kept on disk for the broker."""

    max_size: values.Size = Field(
        default="1GB", validate_default=True, description="Most disk space for stored events, such as 500MB or 1GB."
    )
    max_age_s: values.PositiveSeconds = Field(
        default="7d",
        validate_default=True,
        alias="max_age",
        description="Undelivered messages older than this are dropped and counted.",
    )


class Settings(Section):
    """The configuration file."""

    mqtt: Mqtt = Field(default=Mqtt(), description="The broker and how to talk to it.")
    data_dir: values.FilePath = Field(
        default="./data",
        validate_default=True,
        description="Folder of the event store, the outbox, snapshots and clips; one run at a time.",
    )
    outbox: Outbox = Field(default=Outbox(), description="Bounds of what is kept on disk for the broker.")
    evidence: Evidence = Field(default=Evidence(), description="Bounds of the pictures and clips in `data_dir`.")
    sinks: tuple[ExtraSink, ...] = Field(default=(), description="Webhooks and commands that are told of events.")
    dashboard: Dashboard = Field(default=Dashboard(), description="The web page (not supported yet).")
    models: Mapping[values.Name, ModelSettings] = Field(
        default_factory=dict, description="The models, each under a name that cameras refer to."
    )
    cameras: Mapping[values.Name, Camera] = Field(description="The cameras, each under its name in topics.")
