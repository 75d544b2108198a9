"""Streamer: cameras in, asked-for events out over MQTT."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("streamer")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
