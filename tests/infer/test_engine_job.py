"""What the builder is told comes over as it was."""

from __future__ import annotations

from engine_values import EXTRA, input_of

from streamer.infer.engine.job import BuildJob, job_text, read_job
from streamer.infer.engine.recipe import profile_of
from streamer.infer.spec import ColorOrder, Fit


def test_a_job_comes_over_as_it_was() -> None:
    spec = input_of(extras=(EXTRA,), color=ColorOrder.BGR, fit=Fit.CROP, resize=256, mean=(1.0, 2.0, 3.0))
    job = BuildJob(
        parent=7, model="/m.onnx", folder="/f", timing_cache="/t", precision="f16", input=spec,
        profile=profile_of(spec, 4), workspace_bytes=1 << 30, optimisation_level=3, device=1,
        calibrated=False,
    )  # fmt: skip
    text = job_text(job)
    assert "\n" not in text
    assert read_job(text) == job
