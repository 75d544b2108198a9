from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

import pytest

from streamer.infer.agreement import Agreement
from streamer.infer.class_agreement import ClassAgreement
from streamer.infer.comparison import Decision, Verdict
from streamer.infer.proof import ProofKey, load_proof, machine_name, save_proof

if TYPE_CHECKING:
    from pathlib import Path

KEY = ProofKey(
    digest="sha256:" + "ab" * 32,
    precision="bf16",
    backend="openvino",
    runtime="2026.4.1",
    machine="a CPU",
    head="v8",
    threshold=0.5,
    iou=0.5,
)
VERDICT = Verdict(
    decision=Decision.USE, agreement=Agreement(frames=48, boxes=200, matched=199, score_off_sum=1.5), gain=2.25
)


def test_what_was_proved_is_read_back(tmp_path: Path) -> None:
    assert load_proof(tmp_path, KEY) is None
    save_proof(tmp_path, KEY, VERDICT)
    assert load_proof(tmp_path, KEY) == VERDICT
    refused = replace(VERDICT, decision=Decision.REFUSE)
    save_proof(tmp_path, KEY, refused)
    assert load_proof(tmp_path, KEY) == refused
    assert [p.suffix for p in (tmp_path / "proofs").iterdir()] == [".json"]


def test_a_classifiers_proof_is_read_back(tmp_path: Path) -> None:
    verdict = replace(VERDICT, agreement=ClassAgreement(frames=64, matched=63, score_off_sum=0.7))
    save_proof(tmp_path, KEY, verdict)
    assert load_proof(tmp_path, KEY) == verdict


@pytest.mark.parametrize("name", [f.name for f in fields(ProofKey)])
def test_a_proof_holds_for_nothing_else(tmp_path: Path, name: str) -> None:
    save_proof(tmp_path, KEY, VERDICT)
    value = asdict(KEY)[name]
    changed = value + 0.01 if isinstance(value, float) else value[:-1] + "x"
    assert load_proof(tmp_path, ProofKey(**{**asdict(KEY), name: changed})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', '{"version": 99}', "\x00"])
def test_a_damaged_proof_is_no_proof(tmp_path: Path, text: str) -> None:
    save_proof(tmp_path, KEY, VERDICT)
    (path,) = (tmp_path / "proofs").iterdir()
    path.write_text(text, "utf-8")
    assert load_proof(tmp_path, KEY) is None


@pytest.mark.parametrize(
    ("field", "value"), [("decision", "maybe"), ("agreement", {"frames": 1, "more": 2}), ("agreement", 3)]
)
def test_a_proof_of_another_shape_is_no_proof(tmp_path: Path, field: str, value: object) -> None:
    save_proof(tmp_path, KEY, VERDICT)
    (path,) = (tmp_path / "proofs").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), field: value}), "utf-8")
    assert load_proof(tmp_path, KEY) is None


def test_the_machine_has_a_name() -> None:
    assert machine_name().strip()
