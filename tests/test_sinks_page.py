"""What docs/sinks.md shows is true: its configurations load, its receiver proves what we sign, its command runs."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers.made_events import encode, make_event

from streamer.core.clock import SystemClock
from streamer.other_sinks import filters_of
from streamer.publish.base import Message
from streamer.publish.shell import CommandOptions, open_command
from streamer.publish.webhook import signature
from streamer.settings.load import parse

if TYPE_CHECKING:
    from streamer.settings import Settings

PAGE = (Path(__file__).parents[1] / "docs" / "sinks.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def loaded(text: str) -> Settings:
    return parse(text.encode(), file=Path("config.yaml"), environ={}).settings


def test_its_configurations_load() -> None:
    whole, more = blocks("yaml")
    alarm, siren = loaded(whole).sinks
    assert (alarm.name, siren.command) == ("alarm", ("/usr/local/bin/siren", "--loud"))
    starts = make_event("a")
    assert [sink.wants(starts.camera, starts.rule, starts.type) for sink in filters_of([alarm, siren])] == [True, True]
    (notify,) = loaded(whole.partition("sinks:")[0] + more).sinks
    assert notify.types == ("start",)


@pytest.mark.parametrize(("age_s", "forged", "proved"), [(0, False, True), (0, True, False), (400, False, False)])
def test_its_receiver_believes_what_is_fresh_and_signed(age_s: int, forged: bool, proved: bool) -> None:  # noqa: FBT001  a row of the table
    names: dict[str, Any] = {"Mapping": Mapping, "hashlib": hashlib, "hmac": hmac, "time": time}
    (code,) = blocks("python")
    exec(compile("from __future__ import annotations\n" + code, "sinks.md", "exec"), names)  # noqa: S102  the page's own
    body, at = b'{"id":"a","seq":0}', str(int(time.time()) - age_s)
    headers = {"X-Streamer-Timestamp": at, "X-Streamer-Signature": signature("secret", at, body)}
    assert names["from_streamer"](b"secret", headers, body + b" " * forged) is proved


def test_its_example_of_a_signature() -> None:
    assert signature("secret", "1700000000", b'{"id":"a","seq":0}') in PAGE


def test_its_command_says_what_has_happened(tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("needs jq")
    whole, more = blocks("yaml")
    (notify,) = loaded(whole.partition("sinks:")[0] + more).sinks
    assert notify.command is not None
    (tmp_path / "notify-send").write_text('#!/bin/sh\necho "$1" > "$0.said"\n')
    (tmp_path / "notify-send").chmod(0o755)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    options = CommandOptions(name="notify", command=notify.command, environ=environ)
    sink = open_command(options, clock=SystemClock(), rng=random.Random(1))
    payload = json.dumps(json.loads(encode(make_event("a"), None)) | {"class": "dining table"}).encode()
    said: list[str | None] = []
    done = threading.Event()

    def on_done(refusal: str | None) -> None:
        said.append(refusal)
        done.set()

    assert sink.send(Message(topic="porch/event", payload=payload, qos=1, retain=False), on_done)
    assert done.wait(8.0)
    sink.close()
    assert said == [None]
    assert (tmp_path / "notify-send.said").read_text() == "dining table at porch\n"
