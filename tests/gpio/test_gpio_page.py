"""What docs/gpio.md shows is true: its configuration loads, its defaults are ours."""

from __future__ import annotations

import re
from pathlib import Path

from streamer.settings import load
from streamer.settings.decide import GpioInput, GpioOutput

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gpio.md").read_text("utf-8")


def test_its_configuration_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "belt.yaml"
    path.write_text(text, "utf-8")
    rule = load(path, {}).settings.cameras["belt"].decides
    assert rule is not None
    assert rule.decide is not None
    entry, output = rule.decide.trigger.gpio, rule.decide.output
    assert entry is not None
    assert output is not None
    assert (entry.chip, entry.line, entry.edge, entry.bias) == ("gpiochip0", 17, "falling", "up")
    assert (output.line, output.delay_s, output.pulse_s, output.active) == (27, 0.65, 0.08, "high")


def test_its_keys_and_defaults_are_those_of_the_settings() -> None:
    told = {
        key: default.strip("`")
        for keys, default in re.findall(r"^\| (`.*?`) \| (.*?) \|", PAGE, flags=re.MULTILINE)
        for key in re.findall(r"`(\w+)`", keys)
    }
    for section in (GpioInput, GpioOutput):
        for name, field in section.model_fields.items():
            key = field.alias or name
            assert told.pop(key, None) == ("" if field.is_required() else field.default) or key in {"chip", "line"}, key
    assert told == {}
