"""From rounds to a report, to tables, and against an earlier one."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from streamer.bench.compare import compare, load_report
from streamer.bench.report import build
from streamer.bench.rounds import Progress, Round, duration
from streamer.bench.subject import Options, Subject
from streamer.bench.table import bars, show
from streamer.bench.threads import STAGES
from streamer.core.errors import ConfigError
from streamer.figures import DROP_CAUSES


def camera(inferred: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  whatever a camera says
    return {
        "decoded": 250, "inferred": inferred, "classified": 0,
        "dropped": {"superseded": 250 - inferred} if inferred < 250 else {},
        "size": [1280, 720], "state": "online", "live": True, "models": {"net": 1}, "capture_cpu_s": 0.5,
        "ages_ms": [10.0, 20.0, 30.0], **more,
    }  # fmt: skip


def one_round(inferred: int, limit: float = 100.0, **more: Any) -> Round:  # noqa: ANN401  as above
    pipeline = {
        "window_ns": [0, 10**10],
        "elapsed_s": 10.0,
        "process_cpu_s": 5.0,
        "stages_cpu_s": dict(zip(STAGES, (1.0, 0.5, 3.0, 0.25, 0.0, 0.15, 0.1), strict=True)),
        "cameras": {"cam1": camera(inferred), "cam2": camera(250)},
        "models": {
            "net": {
                "name": "shapes", "digest": "sha256:ab", "backend": "openvino", "precision": "f32", "task": "detect",
                "latency": False, "max_batch": 8,
            }
        },
        "memory_mib": {"start": 200.0, "peak": 220.0, "end": 210.0},
        "infer_ms": {"net": 14.0},
        "asked": {"net": inferred + 250},
        **more,
    }  # fmt: skip
    infer = {"net": {"per_s": limit, "cpu_ms": 12.0, "batch": 2}}
    decode = {"cam1": {"per_s": 500.0, "cpu_ms": 2.0}}
    shares: dict[str, float | None] = {"bench": 0.01, "cameras": 0.05, "foreign": 0.02}
    return Round(pipeline, [11.0, 21.0, 31.0, 900.0], infer, decode, shares)


OPTIONS = Options(cameras=2, rounds=3)
SUBJECT = Subject(kind="cameras", config=Path("x"), facts={"cameras": 2, "width": 1280, "height": 720, "fps": 25})


def report(*rounds: Round, options: Options = OPTIONS, subject: Subject = SUBJECT) -> dict[str, Any]:
    return build(options, subject, rounds or (one_round(150), one_round(200, 200.0), one_round(250)))


def shown(made: dict[str, Any], before: dict[str, Any] | None = None) -> str:
    out = io.StringIO()
    show(made, None if before is None else compare(before, made, file="old.json"), out)
    return out.getvalue()


def test_rates_are_medians_and_shares_are_taken_within_a_round() -> None:
    made = report()
    assert made["pipeline"]["inferred_per_s"] == {"median": 45.0, "min": 40.0, "max": 50.0}
    assert made["pipeline"]["decoded_per_s"]["median"] == 50.0
    assert made["pipeline"]["cores"]["median"] == 0.5
    assert made["limits"]["inference"]["net"]["per_s"] == {"median": 100.0, "min": 100.0, "max": 200.0}
    assert made["share_of_limit"]["inference"]["net"] == {"median": 0.4, "min": 0.225, "max": 0.5}
    assert made["share_of_limit"]["decoding"]["cam1"]["median"] == 0.1  # both cameras show the one clip
    assert made["drops"] == {**dict.fromkeys(DROP_CAUSES, 0), "superseded": 150}
    assert made["stages"]["runtime"]["cores"] == 0.3
    assert made["cameras"]["cam1"]["capture_cpu_ms_per_frame"] == 2.0
    assert made["cameras"]["cam2"]["dropped"] == {}
    assert made["age_ms"]["published"]["max"] == 900.0
    assert made["memory_mib"] == {"start": 200.0, "peak": 220.0, "end": 210.0}
    assert json.loads(json.dumps(made)) == made


def test_a_configurations_camera_is_measured_against_its_own_file() -> None:
    made = report(subject=Subject(kind="config", config=Path("x"), facts={"name": "my.yaml", "cameras": 2}))
    assert made["share_of_limit"]["decoding"]["cam1"]["median"] == 0.05


def test_a_system_that_does_not_tell_and_a_camera_that_gives_nothing() -> None:
    mute = camera(0, decoded=0, state="offline (refused)", capture_cpu_s=None, ages_ms=[], size=None, dropped={})
    none = {"start": None, "peak": 220.0, "end": None}
    one = one_round(250, stages_cpu_s=None, cameras={"cam1": mute, "cam2": camera(250)}, memory_mib=none)
    one.shares["foreign"] = None
    made = report(one, subject=Subject(kind="config", config=Path("x"), facts={"name": "my.yaml", "cameras": 2}))
    text = shown(made)
    assert made["stages"] is None
    assert "offline (refused)" in text
    assert "! no frame of cam1 was inferred" in text
    assert "1 of 3 rounds" in text


def test_people_see_everything_that_counts() -> None:
    text = shown(report())
    for part in (
        "2 cameras by RTSP over TCP, 1280x720 at 25 frames a second",
        "shapes on openvino f32",
        "45 [40 - 50]",
        "inference alone, net, 2 at once",
        "0.4 [0.225 - 0.5]",
        "p50 21, p95 900",
        "150 superseded",
        "runtime",
        "cam2",
        "220 at most",
        "0.010 by the bench",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) <= 120


def on_gpu(inferred: int, batch_ms: float, **more: Any) -> Round:  # noqa: ANN401  as above
    """A round on TensorRT, whose engine takes so long for a batch of four."""
    one = one_round(inferred, **more)
    one.pipeline["models"]["net"] |= {"backend": "tensorrt", "precision": "f16"}
    one.infer["net"] |= {"batch": 4, "batch_ms": batch_ms}
    return one


def test_an_engine_is_told_with_its_own_time_and_how_busy_it_was() -> None:
    made = report(on_gpu(150, 20.0), on_gpu(150, 20.0), on_gpu(150, 30.0))
    # 400 frames in 10 s are 10 batches of four a second; each takes 20 ms of the second.
    assert made["engines"] == {
        "net": {
            "batch": 4,
            "batch_ms": {"median": 20.0, "min": 20.0, "max": 30.0},
            "pipeline_batch_ms": 14.0,
            "busy": {"median": 0.2, "min": 0.2, "max": 0.3},
        }
    }
    said = "engine net: 20 [20 - 30] ms for a batch of 4 by itself, 14 ms in the pipeline; busy 0.2 [0.2 - 0.3]"
    assert said in shown(made).splitlines()
    one = on_gpu(150, 2.0, infer_ms={"net": None})
    one.infer["net"]["batch"] = 1
    assert "engine net: 2 ms for a picture by itself; busy 0.08" in shown(report(one))


def test_a_model_on_the_cpu_has_no_engine_and_engines_compare() -> None:
    cpu, gpu = report(), report(on_gpu(150, 20.0))
    assert cpu["engines"] == {}
    assert "engine" not in shown(cpu)
    assert not compare(cpu, gpu, file="old.json").comparable  # another backend
    rows = {row.name: row for row in compare(gpu, report(on_gpu(150, 25.0)), file="old.json").rows}
    assert rows["engine net, ms for a batch of 4"].ratio == 1.25
    assert rows["engine net, busy"].now == 0.25


def test_another_gpu_is_another_machine_and_older_results_knew_of_none() -> None:
    before, now = report(), report()
    del before["machine"]["gpus"], before["engines"]
    assert compare(before, now, file="old.json").comparable or now["machine"]["gpus"]
    now["machine"]["gpus"] = ["NVIDIA T4"]
    assert "another machine: GPUs none, now NVIDIA T4" in compare(before, now, file="old.json").differences
    assert ", NVIDIA T4" in shown(now)


def test_noise_is_named() -> None:
    noisy = one_round(250)
    noisy.shares["foreign"] = 10_000.0
    assert "! other programs were busy" in shown(report(noisy))
    assert "! other programs were busy" not in shown(report(one_round(250)))


def test_recordings_have_no_age() -> None:
    file = one_round(250, cameras={"file": camera(250, ages_ms=[])})
    without = Round(file.pipeline, [], file.infer, {}, file.shares)
    made = report(without, subject=Subject(kind="file", config=Path("x"), facts={"name": "x.mp4"}))
    assert made["age_ms"] == {"published": None, "result": None}
    assert "a recording's frames have none" in shown(made)


def test_bars_begin_and_end_where_something_is() -> None:
    bins: list[dict[str, Any]] = [
        {"up_to_ms": edge, "count": count} for edge, count in ((5, 0), (7, 400), (10, 0), (14, 1), (None, 0))
    ]
    lines = bars(bins)
    assert [line.split("#")[0].strip() for line in lines] == ["up to 7 ms", lines[1].strip(), "up to 14 ms"]
    assert lines[0].count("#") == 40
    assert lines[2].count("#") == 1  # one is not none
    assert bars([{"up_to_ms": 5, "count": 0}]) == []


def test_the_same_thing_measured_twice_compares() -> None:
    before, now = report(), report(one_round(160), one_round(210, 200.0), one_round(240))
    found = compare(before, now, file="old.json")
    assert found.comparable
    rows = {row.name: row for row in found.rows}
    rate = rows["pipeline, frames inferred/s"]
    assert (rate.before, rate.now, rate.apart) == (45.0, 46.0, False)
    assert rate.ratio == pytest.approx(46 / 45)
    assert rows["inference alone, net, frames/s"].ratio == 1.0
    assert rows["age when published, p99, ms"].apart is None
    assert json.loads(json.dumps(found.as_json()))["comparable"] is True
    assert "ranges apart" not in shown(now, before)


def test_rates_whose_ranges_do_not_touch_are_told() -> None:
    found = compare(report(one_round(100)), report(one_round(200)), file="old.json")
    assert {row.name: row.apart for row in found.rows}["pipeline, frames inferred/s"] is True


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("machine", "cpu"), "Other", "another machine: cpu Other"),
        (("machine", "cores"), 64, "another machine: cores 64"),
        (("source", "fps"), 30, "another source: fps 30, now 25"),
        (("source", "kind"), "file", "another source: kind file, now cameras"),
        (("models", "net", "digest"), "sha256:cd", "model net: digest sha256:cd, now sha256:ab"),
        (("models", "net", "precision"), "bf16", "model net: precision bf16, now f32"),
        (("models",), {"other": {}}, "other models: other, now net"),
    ],
)
def test_what_makes_two_no_fair_pair_is_named(path: tuple[str, ...], value: object, said: str) -> None:
    before = copy.deepcopy(report())
    place = before
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = compare(before, report(), file="old.json")
    assert not found.comparable
    assert any(said in difference for difference in found.differences), found.differences
    assert f"! not comparable: {said}" in shown(report(), before)


def test_other_versions_are_a_note() -> None:
    before = copy.deepcopy(report())
    before["versions"]["openvino"] = "2020.1"
    before["options"]["seconds"] = 1.0
    found = compare(before, report(), file="old.json")
    assert found.comparable
    assert any(note.startswith("openvino 2020.1, now") for note in found.notes)
    assert "seconds: 1.0, now 10.0" in found.notes


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "other"}', "no json"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ConfigError, match="no result of `streamer bench --json`"):
        load_report(tmp_path / "x")


def test_a_file_of_another_version_or_cut_short(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps({**report(), "schema": 99}))
    with pytest.raises(ConfigError, match="another version"):
        load_report(tmp_path / "x")
    short = report()
    del short["limits"]
    with pytest.raises(ConfigError, match="not a whole result"):
        compare(short, report(), file="x")
    (tmp_path / "x").write_text(json.dumps(short))
    with pytest.raises(ConfigError, match="not a whole result"):
        load_report(tmp_path / "x")
    (tmp_path / "x").write_text(json.dumps(report()))
    assert load_report(tmp_path / "x") == report()
    with pytest.raises(ConfigError, match="can't be read"):
        load_report(tmp_path / "nowhere")


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (59, "59 s"), (99, "99 s"), (125, "2 min 05 s")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_camera_that_was_away_in_one_round_has_no_limit() -> None:
    away = one_round(250)
    made = report(one_round(250), Round(away.pipeline, away.published_ms, away.infer, {}, away.shares))
    assert made["limits"]["decoding"] == made["share_of_limit"]["decoding"] == {}
    assert set(made["limits"]["inference"]) == {"net"}


def test_progress_leaves_out_what_is_not_measured() -> None:
    said: list[str] = []
    steps = [("pipeline", "run", 10.0), ("decode a", "decode a", 5.0), ("decode b", "decode b", 5.0)]
    progress = Progress(said.append, steps)
    assert progress.run("pipeline", lambda: 1) == 1
    assert progress.run("decode b", lambda: 2) == 2
    assert said == ["[1/3] run; 20 s to go", "[3/3] decode b; 5 s to go"]
