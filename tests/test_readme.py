"""What the README and docs/ show is true: configurations load, links lead somewhere, commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from streamer import cli
from streamer.infer.heads import HEADS
from streamer.settings import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_the_readmes_configuration_loads(tmp_path: Path) -> None:
    configurations = [text for text in blocks(ROOT / "README.md", "yaml") if "cameras:" in text]
    assert configurations
    for text in configurations:
        path = tmp_path / "porch.yaml"
        path.write_text(text, "utf-8")
        settings = load(path, {"PORCH_PASSWORD": "p"}).settings
        assert list(settings.cameras) == ["porch"]


def test_the_configurations_of_the_page_on_events_load(tmp_path: Path) -> None:
    configurations = blocks(ROOT / "docs" / "events.md", "yaml")
    assert configurations
    for text in configurations:
        path = tmp_path / "shop.yaml"
        path.write_text(text, "utf-8")
        assert list(load(path, {}).settings.cameras) == ["shop"]


@pytest.mark.parametrize(("page", "camera"), [("classification.md", "porch"), ("factory.md", "boards")])
def test_the_configuration_of_a_page_loads(page: str, camera: str, tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / page, "yaml")
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    assert list(load(path, {}).settings.cameras) == [camera]


def test_the_page_on_models_names_every_head() -> None:
    page = (ROOT / "docs" / "models.md").read_text("utf-8").partition("## Heads")[2]
    named = set(re.findall(r"`([a-z0-9-]+)`", page))
    endings = re.search(r"^\| `v8-`, `v5-`: (.*?) \|", page, flags=re.MULTILINE)
    assert endings is not None
    named |= {prefix + ending for prefix in ("v8-", "v5-") for ending in re.findall(r"`([a-z]+)`", endings[1])}
    assert set(HEADS) <= named


def test_a_real_camera_takes_five_lines() -> None:
    (text,) = [text for text in blocks(ROOT / "README.md", "yaml") if "cameras:" in text]
    assert len(text.splitlines()) == 5


def test_every_block_of_yaml_is_yaml() -> None:
    for page in PAGES:
        for text in blocks(page, "yaml"):
            assert isinstance(yaml.safe_load(text), dict)


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_that_is_shown_exists() -> None:
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback}
    known |= {group.name for group in cli.app.registered_groups if group.name}
    for page in PAGES:
        shown = set(re.findall(r"^(?:\S+/)?streamer ([a-z]+)\b", "\n".join(blocks(page, "sh")), flags=re.MULTILINE))
        shown |= set(re.findall(r"`streamer ([a-z]+)", page.read_text("utf-8")))
        assert shown <= known, page.name


@pytest.mark.parametrize("code", [exit_code.value for exit_code in cli.Exit])
def test_every_exit_code_is_explained(code: int) -> None:
    assert f"\n| {code} | " in (ROOT / "README.md").read_text("utf-8")
