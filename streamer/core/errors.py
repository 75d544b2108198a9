"""What can go wrong, drawn as a tree; each leaf says what the caller does about it.

StreamerError
├── ConfigError      the user's file or arguments are wrong           -> exit 2
├── SourceError      a camera can't be read now                       -> reconnect
├── BackendError     a model or runtime can't work here               -> exit 3
├── SinkError        a receiver can't be reached or refuses           -> retry
├── GpioError        a GPIO line can't be opened, read or written     -> alarm, retry
└── StoreError       the event store can't be opened or written       -> exit 2 at start, memory afterwards

EndOfStream and ChannelClosed are ends, not errors.
"""

from __future__ import annotations

from enum import Enum


class StreamerError(Exception):
    """Anything that Streamer reports to its user in one sentence."""


class ConfigError(StreamerError):
    """The configuration or an argument is wrong; the message says what is allowed."""


class LostReason(str, Enum):
    """Why a camera is not online: the contract's `reason`."""

    DNS = "dns"
    REFUSED = "refused"
    LOGIN = "login"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    CODEC = "codec"
    ENDED = "ended"
    FROZEN = "frozen"
    FAULT = "fault"


class SourceError(StreamerError):
    """A camera can't be opened or read; `reason` goes to its status topic.

    The message never holds a password: adapters redact addresses before they raise.
    """

    def __init__(self, reason: LostReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BackendError(StreamerError):
    """A model or an inference runtime can't work on this machine."""


class SinkError(StreamerError):
    """A receiver of events can't be reached or has refused."""


class GpioError(StreamerError):
    """A GPIO line can't be opened, read or written."""


class StoreError(StreamerError):
    """The event store can't be opened, read or written."""


class EndOfStream(Exception):  # noqa: N818  an end, not an error
    """A finite source has given its last frame."""


class ChannelClosed(Exception):  # noqa: N818  an end, not an error
    """The other end of a channel has left."""
