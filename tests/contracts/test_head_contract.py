"""What every head keeps to, whatever a network answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infer"))

from head_sample import Sample, spec_for
from samples_anchors import SAMPLES as ANCHORS
from samples_dense import SAMPLES as DENSE
from samples_queries import SAMPLES as QUERIES
from samples_yolo import SAMPLES as YOLO

from streamer.infer.heads import HEADS, Candidates, family_of, open_head
from streamer.infer.heads.nms import MAX_KEPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.infer.heads.family import Reading

SAMPLES: dict[str, Sample] = {**YOLO, **ANCHORS, **DENSE, **QUERIES}


def reading_of(name: str) -> Reading:
    """Return the family's own reading of its sample, the one with the sample's classes."""
    sample = SAMPLES[name]
    readings = [r for r in family_of(name).read(sample.signature()) if r.columns in (None, sample.columns)]
    assert readings, f"{name} does not read its own sample"
    return readings[0]


def decode(name: str, outputs: list[NDArray[np.float32]], floor: float, iou: float = 0.5) -> list[Candidates]:
    """Decode outputs that are in the order of the sample's names."""
    sample, reading = SAMPLES[name], reading_of(name)
    given = dict(zip(sample.names, outputs, strict=True))
    names = tuple(port.name for port in reading.outputs)
    return open_head(spec_for(name, sample.columns, names))([given[n] for n in names], floor, iou)


def test_every_head_has_a_sample() -> None:
    assert set(SAMPLES) == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_its_own_signature_is_told_for_sure(name: str) -> None:
    assert reading_of(name).sure


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_numbers_that_are_none_never_pass(name: str, poison: float) -> None:
    rng = np.random.default_rng(7)
    for seed in range(20):
        outputs = SAMPLES[name].outputs(seed)
        for output in outputs:
            output[rng.random(output.shape) < 0.3] = poison
        (found,) = decode(name, outputs, 0.25)
        assert np.isfinite(found.boxes).all()
        assert ((found.scores >= 0.25) & (found.scores <= 1)).all()
        assert (found.class_ids >= 0).all()
        assert (found.class_ids < SAMPLES[name].columns).all()
    poisoned = [np.full_like(output, poison) for output in SAMPLES[name].outputs(0)]
    (found,) = decode(name, poisoned, 0.25)
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("name", HEADS)
def test_outputs_are_only_read(name: str) -> None:
    outputs = SAMPLES[name].outputs(3)
    for output in outputs:
        output.flags.writeable = False
    (found,) = decode(name, outputs, 0.05)
    assert len(found) > 0
    for output in outputs:
        assert not np.shares_memory(found.boxes, output)
        assert not np.shares_memory(found.scores, output)


@pytest.mark.parametrize("name", HEADS)
def test_scores_descend_and_are_bounded_in_number(name: str) -> None:
    (found,) = decode(name, SAMPLES[name].outputs(5), 0.0, 1.0)
    assert 0 < len(found) <= MAX_KEPT
    assert (np.diff(found.scores) <= 0).all()
    assert [a.dtype.name for a in (found.boxes, found.scores, found.class_ids)] == ["float32", "float32", "int32"]
    assert found.boxes.shape == (len(found), 4)


@pytest.mark.parametrize("name", HEADS)
def test_zeros_are_no_trouble(name: str) -> None:
    (found,) = decode(name, [np.zeros_like(output) for output in SAMPLES[name].outputs(0)], 0.6)
    assert len(found) <= MAX_KEPT


@pytest.mark.parametrize("name", HEADS)
def test_pictures_of_a_batch_do_not_mix(name: str) -> None:
    if reading_of(name).one_picture:
        pytest.skip("its outputs do not tell pictures apart")
    one, two = SAMPLES[name].outputs(1), SAMPLES[name].outputs(2)
    both = decode(name, [np.concatenate(pair) for pair in zip(one, two, strict=True)], 0.1)
    alone = [decode(name, outputs, 0.1)[0] for outputs in (one, two)]
    assert len(both) == 2
    for together, single in zip(both, alone, strict=True):
        np.testing.assert_array_equal(together.boxes, single.boxes)
        np.testing.assert_array_equal(together.class_ids, single.class_ids)


@pytest.mark.parametrize("name", HEADS)
def test_its_own_size_is_one_that_an_open_input_takes(name: str) -> None:
    assert all(side % 32 == 0 for side in family_of(name).look.hw or ())
