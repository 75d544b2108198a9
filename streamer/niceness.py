"""Whose turn it is when there are fewer cores than work."""

from __future__ import annotations

import os
import sys
import threading

_NICE = 5


def let_decoding_go_first() -> None:
    """Let decoding go first: a frame not decoded in time is lost, one not inferred is replaced by a newer one.

    The runtime's own threads inherit the niceness of the thread that starts them; only on Linux is it a thread's and
    not the process's.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A process that was started nicer than this stays so: going back takes a privilege.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))
