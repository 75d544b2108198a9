"""Cameras of the bench's own, in a process of their own: a clip, served by RTSP.

python -m streamer.bench.cameras JOB
"""

from __future__ import annotations

import threading
from pathlib import Path

from streamer.capture.coded import clip_of_file

from . import child
from .rtsp import RtspServer


def main(job: child.Job) -> child.Answer:
    """Serve until the bench goes, which ends the process."""
    clip = clip_of_file(Path(job["clip"]))
    with RtspServer(clip, job["cameras"]) as server:
        child.say({"urls": server.urls()})
        threading.Event().wait()
    return {}


if __name__ == "__main__":
    child.serve(main)
