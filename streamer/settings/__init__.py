"""The configuration: the only reader of YAML and environment. What it gives is frozen and checked."""

from .address import BrokerAddress, Source
from .camera import Camera, Detect
from .classes import check_classes
from .load import Loaded, load, parse
from .model import HEADS, ModelSettings
from .problem import Problem, SettingsError
from .rule import Rule
from .schema import json_schema
from .sinks import ExtraSink
from .tree import Mqtt, Outbox, Settings

__all__ = [
    "HEADS",
    "BrokerAddress",
    "Camera",
    "Detect",
    "ExtraSink",
    "Loaded",
    "ModelSettings",
    "Mqtt",
    "Outbox",
    "Problem",
    "Rule",
    "Settings",
    "SettingsError",
    "Source",
    "check_classes",
    "json_schema",
    "load",
    "parse",
]
