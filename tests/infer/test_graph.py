"""The last operation of a graph: followed back by hand-made files, and never lost in broken ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_classifier import write_classifier

from streamer.core.errors import BackendError
from streamer.infer.recognise.graph import Made, made_by

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.mark.parametrize(
    ("last", "operation"),
    [
        ((), "Gemm"),  # and the Reshape behind it changes nothing
        (("Softmax",), "Softmax"),
        (("Softmax", "Identity"), "Softmax"),
        (("LogSoftmax",), "LogSoftmax"),
        (("Sigmoid",), "Sigmoid"),
        (("Share",), "Div"),
        (("Softmax", "Neg"), "Neg"),
    ],
)
def test_the_last_that_changes_numbers_is_found(tmp_path: Path, last: Sequence[str], operation: str) -> None:
    path = write_classifier(tmp_path / "a.onnx", last=last)
    assert made_by(path, "scores") == Made(operation)


def test_a_map_names_its_classes_in_the_networks_own_order(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "a.onnx", last=("Softmax",), keys=("tree", "ball", "Über"))
    assert made_by(path, "loss") == Made("Softmax", ("tree", "ball", "Über"))


def test_a_map_may_count_its_classes(tmp_path: Path) -> None:
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[7, 300, 2])
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])], [])
    onnx.save(helper.make_model(graph), str(tmp_path / "a.onnx"))
    assert made_by(tmp_path / "a.onnx", "y") == Made(None, ("7", "300", "2"))


def test_an_input_and_a_circle_are_made_by_nothing(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["b"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    nodes.append(helper.make_node("Identity", ["x"], ["y"]))
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), str(tmp_path / "a.onnx"))
    assert [made_by(tmp_path / "a.onnx", name) for name in ("a", "y", "nowhere")] == [Made(None)] * 3


def test_the_real_classifier_ends_with_softmax(shared_data: Path) -> None:
    assert made_by(shared_data / "models" / "squeezenet1_1.onnx", "prob") == Made("Softmax")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_broken_files_are_refused_in_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(write_classifier(tmp_path / "a.onnx", last=("Softmax",)).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=5)):
        whole[at] = data.draw(st.integers(0, 255))
    broken = tmp_path / "b.onnx"
    broken.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    try:
        made = made_by(broken, "scores")
    except BackendError as exc:
        assert "b.onnx" in str(exc)  # noqa: PT017  either is right
    else:
        assert isinstance(made, Made)
