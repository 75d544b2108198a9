"""Webhooks and commands that are told of events, as the file names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.settings import Settings, SettingsError, parse

CAMERA = """
models: {m: {model: ./m.onnx}}
cameras:
  porch:
    source: rtsp://h/x
    detect: {model: m, classes: {person: 0.5}}
"""


def settings_of(*sinks: str, **environ: str) -> Settings:
    text = CAMERA + "sinks:\n" + "".join(f"  - {sink}\n" for sink in sinks)
    return parse(text.encode(), file=Path("/etc/streamer/c.yaml"), environ=environ).settings


def test_a_webhook_hides_what_is_secret() -> None:
    (sink,) = settings_of(
        "{name: alarm, webhook: 'https://h/hook?key=s3cret', secret: '${KEY}', headers: {X-Token: t0ken},"
        " types: [start]}",
        KEY="hm4c",
    ).sinks

    assert sink.webhook is not None
    assert sink.secret is not None
    assert (sink.webhook.get_secret_value(), sink.secret.get_secret_value()) == ("https://h/hook?key=s3cret", "hm4c")
    assert sink.headers["X-Token"].get_secret_value() == "t0ken"
    assert (sink.timeout_s, sink.cameras, sink.events, sink.types) == (10.0, None, None, ("start",))
    for shown in (repr(sink), str(sink), sink.model_dump_json()):
        assert not any(secret in shown for secret in ("s3cret", "hm4c", "t0ken"))


def test_a_command_is_a_list_or_a_text_without_a_shell() -> None:
    one, other = settings_of(
        "{name: a, command: [logger, -t, 'two words']}", "{name: b, command: logger -t 'two words'}"
    ).sinks

    assert one.command == other.command == ("logger", "-t", "two words")


@pytest.mark.parametrize(
    ("sink", "key", "said"),
    [
        ("{name: a}", "sinks.0", "`webhook` or `command`"),
        ("{name: a, webhook: https://h/, command: [x]}", "sinks.0", "one of the two"),
        ("{name: a, webhook: ftp://h/}", "sinks.0.webhook", "https://HOST/PATH"),
        ("{name: a, webhook: 'https://'}", "sinks.0.webhook", "https://HOST/PATH"),
        ("{name: a, command: []}", "sinks.0.command", "program"),
        ('{name: a, command: "it\'s"}', "sinks.0.command", "quotation mark"),
        ("{name: a, command: [x], secret: y}", "sinks.0.secret", "for a webhook"),
        ("{name: a, command: [x], cameras: [proch]}", "sinks.0.cameras", "nearest: 'porch'"),
        ("{name: a, command: [x], events: [persons]}", "sinks.0.events", "no rule of these cameras"),
        ("{name: a, command: [x], types: [begin]}", "sinks.0.types.0", "start"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(sink: str, key: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(sink)

    problem = caught.value.problems[0]
    assert problem.key == key
    assert said in problem.message


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="stands twice"):
        settings_of("{name: a, command: [x]}", "{name: a, command: [y]}")
