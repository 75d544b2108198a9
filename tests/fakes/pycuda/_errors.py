"""pycuda's errors and the words CUDA has for its codes."""

from __future__ import annotations

SUCCESS = 0
INVALID_VALUE = 1
OUT_OF_MEMORY = 2
NO_DEVICE = 100
INVALID_DEVICE = 101
INVALID_IMAGE = 200
INVALID_CONTEXT = 201
INVALID_HANDLE = 400
NOT_FOUND = 500
NOT_READY = 600
ILLEGAL_ADDRESS = 700
LAUNCH_FAILED = 719
CAPTURE_UNSUPPORTED = 900
CAPTURE_INVALIDATED = 901
CAPTURE_UNMATCHED = 903
CAPTURE_UNJOINED = 904
CAPTURE_ISOLATION = 905
CAPTURE_IMPLICIT = 906
CAPTURED_EVENT = 907
CAPTURE_WRONG_THREAD = 908
UNKNOWN = 999

# What cuGetErrorString answers.
TEXT = {
    SUCCESS: "no error",
    INVALID_VALUE: "invalid argument",
    OUT_OF_MEMORY: "out of memory",
    NO_DEVICE: "no CUDA-capable device is detected",
    INVALID_DEVICE: "invalid device ordinal",
    INVALID_IMAGE: "device kernel image is invalid",
    INVALID_CONTEXT: "invalid device context",
    INVALID_HANDLE: "invalid resource handle",
    NOT_FOUND: "named symbol not found",
    NOT_READY: "device not ready",
    ILLEGAL_ADDRESS: "an illegal memory access was encountered",
    LAUNCH_FAILED: "unspecified launch failure",
    CAPTURE_UNSUPPORTED: "operation not permitted when stream is capturing",
    CAPTURE_INVALIDATED: "operation failed due to a previous error during capture",
    CAPTURE_UNMATCHED: "unmatched sequence of stream capture calls",
    CAPTURE_UNJOINED: "capturing stream has unjoined work",
    CAPTURE_ISOLATION: "dependency created on uncaptured work in another stream",
    CAPTURE_IMPLICIT: "operation would make the legacy stream depend on a capturing blocking stream",
    CAPTURED_EVENT: "operation not permitted on an event last recorded in a capturing stream",
    CAPTURE_WRONG_THREAD: "attempt to terminate a thread-local capture sequence from another thread",
    UNKNOWN: "unknown error",
}


class Error(Exception):
    """The root of pycuda's errors. `code_` is for the fake's own use: pycuda tells no code."""

    code_: int = UNKNOWN


class MemoryError(Error):  # noqa: A001  pycuda's name
    """CUDA_ERROR_OUT_OF_MEMORY."""


class LogicError(Error):
    """Most codes."""


class LaunchError(Error):
    """A kernel failed."""


class RuntimeError(Error):  # noqa: A001  pycuda's name
    """No device, no binary, not ready."""


def failed(routine: str, code: int, more: str = "") -> Error:
    """Return the error that pycuda raises when `routine` gives `code`."""
    kind: type[Error] = {
        OUT_OF_MEMORY: MemoryError,
        LAUNCH_FAILED: LaunchError,
        NO_DEVICE: RuntimeError,
        NOT_READY: RuntimeError,
        UNKNOWN: Error,
    }.get(code, LogicError)
    error = kind(f"{routine} failed: {TEXT[code]}" + (f" - {more}" if more else ""))
    error.code_ = code
    return error
