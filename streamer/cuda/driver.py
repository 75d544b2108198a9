"""libcuda, for what pycuda does not offer: graphs, and a look at the GPUs without a context."""

from __future__ import annotations

import ctypes
from typing import Any

from streamer.core.errors import BackendError

_LIBRARY = "libcuda.so.1"


class Driver:
    """The driver's library. Calls let go of the interpreter's lock."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401  a ctypes library, or what stands in for it
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401  ctypes values
        """Call a function that answers a CUresult.

        Raises:
            BackendError: it failed, or this driver has no such function.
        """
        code = self.code(name, *arguments)
        if code:
            raise BackendError(f"the GPU's driver failed: {name}: {self.text(code)}")

    def code(self, name: str, *arguments: Any) -> int:  # noqa: ANN401  ctypes values
        """Call a function and return its CUresult, 0 being success.

        Raises:
            BackendError: this driver has no such function.
        """
        try:
            function = getattr(self._library, name)
        except AttributeError as exc:
            raise BackendError(f"the NVIDIA driver is too old: it has no {name}; install a newer one") from exc
        return int(function(*arguments))

    def text(self, code: int) -> str:
        """Return the driver's words for a CUresult."""
        words = ctypes.c_char_p()
        self._library.cuGetErrorString(ctypes.c_int(code), ctypes.byref(words))
        return words.value.decode("utf-8", "replace") if words.value else f"CUresult {code}"


def load_driver() -> Driver:
    """Load the driver's library.

    Raises:
        BackendError: no NVIDIA driver is installed here.
    """
    try:
        return Driver(ctypes.CDLL(_LIBRARY))
    except OSError as exc:
        raise BackendError(
            f"no NVIDIA driver is installed here ({_LIBRARY} can't be loaded: {exc}); "
            "install it, and in a container give it the GPU (`--gpus all`, on a Jetson `--runtime nvidia`)"
        ) from exc
