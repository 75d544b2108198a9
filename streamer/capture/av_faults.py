"""FFmpeg's errors in the contract's words. No address and no login ever gets into a message.

PyAV's messages hold the full URL with its password, so they are never shown nor chained: `fault_of` is called inside
the `except`, and what it returns is raised after it.
"""

from __future__ import annotations

import errno

import av
import av.error

from streamer.core.errors import LostReason, SourceError

_BY_TYPE: tuple[tuple[type[av.FFmpegError], LostReason], ...] = (
    (av.error.HTTPUnauthorizedError, LostReason.LOGIN),
    (av.error.HTTPForbiddenError, LostReason.LOGIN),
    (av.error.HTTPNotFoundError, LostReason.NOT_FOUND),
    (av.error.FileNotFoundError, LostReason.NOT_FOUND),
    (av.error.ConnectionRefusedError, LostReason.REFUSED),
    (av.error.ExitError, LostReason.TIMEOUT),  # PyAV's own time limit
    (av.error.TimeoutError, LostReason.TIMEOUT),
    (av.error.DecoderNotFoundError, LostReason.CODEC),
    (av.error.DemuxerNotFoundError, LostReason.CODEC),
    (av.error.PatchWelcomeError, LostReason.CODEC),
)
UNREACHED = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})  # a host that is switched off
_BY_ERRNO = {
    **dict.fromkeys(UNREACHED, LostReason.TIMEOUT),
    errno.ENODEV: LostReason.NOT_FOUND,
    errno.ENXIO: LostReason.NOT_FOUND,
}
_GONE = {errno.ECONNRESET, errno.EPIPE, errno.ENODEV, errno.EIO}  # the last two: a USB camera was unplugged
_SENTENCES = {
    LostReason.DNS: "its name is not known",
    LostReason.REFUSED: "the connection is refused",
    LostReason.LOGIN: "the login is refused",
    LostReason.NOT_FOUND: "there is nothing at this address",
    LostReason.TIMEOUT: "no answer in time",
    LostReason.FROZEN: "no picture comes any more",
    LostReason.ENDED: "the connection was closed",
}


def fault_at_opening(exc: av.FFmpegError, *, address: str, named: bool, timed_out: bool) -> SourceError:
    """Return what kept a source from opening.

    Args:
        exc: what PyAV raised.
        address: what may be shown, see `address.shown`.
        named: whether the address has a host by name, which may be unknown.
        timed_out: whether the whole time limit had passed; a silent peer looks like invalid data then.
    """
    reason = next((r for kind, r in _BY_TYPE if isinstance(exc, kind)), None) or _BY_ERRNO.get(exc.errno or 0)
    if reason is None and named and exc.errno == errno.EIO:
        reason = LostReason.DNS  # FFmpeg has no other error for a name that is not known
    if isinstance(exc, av.error.InvalidDataError):
        reason = LostReason.TIMEOUT if timed_out else LostReason.CODEC
    return fault(reason or LostReason.FAULT, address=address, detail=_said(exc))


def fault_while_reading(exc: av.FFmpegError, *, address: str) -> SourceError:
    """Return what ended an open stream."""
    if isinstance(exc, (av.error.ExitError, av.error.TimeoutError)):
        reason = LostReason.FROZEN
    elif isinstance(exc, av.error.EOFError) or exc.errno in _GONE:
        reason = LostReason.ENDED
    elif isinstance(exc, av.error.InvalidDataError):
        reason = LostReason.CODEC
    else:
        reason = LostReason.FAULT
    return fault(reason, address=address, detail=_said(exc))


def _said(exc: av.FFmpegError) -> str | None:
    """Return FFmpeg's own words, unless they are about our own time limit."""
    return None if isinstance(exc, av.error.ExitError) else exc.strerror


def fault(reason: LostReason, *, address: str, detail: str | None = None) -> SourceError:
    """Return the error for a reason: the address, a sentence, and what the other side said."""
    sentence = _SENTENCES.get(reason)
    said = ": ".join(part for part in (sentence, detail) if part)
    return SourceError(reason, f"{address}: {said or reason.value}")
