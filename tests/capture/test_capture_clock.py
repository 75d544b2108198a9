from __future__ import annotations

import random

from streamer.capture.capture_clock import CaptureClock, FileClock

MS = 1_000_000
S = 1_000 * MS
FRAME = 40 * MS


def test_jitter_is_taken_out() -> None:
    clock, chance = CaptureClock(), random.Random(1)
    errors = []
    for n in range(500):
        true_ns = 5 * S + n * FRAME
        arrived_ns = true_ns + round(chance.expovariate(1 / (10 * MS)))
        clock.observe(pts_ns=n * FRAME, arrived_ns=arrived_ns)
        errors.append(clock.captured_ns(n * FRAME, arrived_ns=arrived_ns) - true_ns)
    assert max(errors[50:]) < 1 * MS
    assert min(errors) >= 0


def test_a_clock_that_drifts_is_followed_both_ways() -> None:
    for ppm in (200, -200):
        clock = CaptureClock()
        for n in range(25 * 600):  # ten minutes: 120 ms of drift
            pts_ns = n * FRAME
            true_ns = round(pts_ns * (1 + ppm / 1e6))
            clock.observe(pts_ns=pts_ns, arrived_ns=true_ns + 2 * MS)
            error_ns = clock.captured_ns(pts_ns, arrived_ns=true_ns + 2 * MS) - true_ns
        assert abs(error_ns - 2 * MS) < 7 * MS, ppm


def test_the_lag_is_what_a_packet_is_later_than_the_least_delayed_one() -> None:
    clock = CaptureClock()
    assert clock.observe(pts_ns=0, arrived_ns=1 * S) == 0
    assert clock.observe(pts_ns=FRAME, arrived_ns=1 * S + FRAME + 700 * MS) == 700 * MS


def test_a_backlog_at_the_start_is_no_lag_and_times_never_run_backwards() -> None:
    clock = CaptureClock()
    lags, times = [], []
    for n in range(100):  # 50 frames lie ready, then they come as they are made
        arrived_ns = 10 * S + max(0, n - 50) * FRAME + n * MS // 100
        lags.append(clock.observe(pts_ns=n * FRAME, arrived_ns=arrived_ns, waited=n > 50))
        times.append(clock.captured_ns(n * FRAME, arrived_ns=arrived_ns))
    assert max(lags) <= 1 * MS
    assert times == sorted(times)


def test_a_reader_that_lags_for_minutes_does_not_take_its_lag_for_the_cameras_clock() -> None:
    clock = CaptureClock()
    clock.observe(pts_ns=0, arrived_ns=0)
    for n in range(1, 25 * 120):
        lag_ns = clock.observe(pts_ns=n * FRAME, arrived_ns=n * FRAME + 800 * MS, waited=False)
    assert lag_ns == 800 * MS


def test_stamps_that_begin_anew_are_anchored_anew() -> None:
    for jump in (-60 * S, 3600 * S):
        clock = CaptureClock()
        for n in range(50):
            clock.observe(pts_ns=100 * S + n * FRAME, arrived_ns=n * FRAME)
        before_ns = clock.captured_ns(100 * S + 49 * FRAME, arrived_ns=49 * FRAME)
        assert clock.observe(pts_ns=100 * S + jump, arrived_ns=50 * FRAME) == 0
        assert clock.captured_ns(100 * S + jump, arrived_ns=50 * FRAME) == 50 * FRAME > before_ns


def test_a_pause_is_no_jump() -> None:
    clock = CaptureClock()
    clock.observe(pts_ns=0, arrived_ns=0)
    assert clock.observe(pts_ns=20 * S, arrived_ns=20 * S + 5 * MS) == 5 * MS


def test_without_a_stamp_the_arrival_is_all_that_is_known() -> None:
    clock = CaptureClock()
    assert clock.captured_ns(None, arrived_ns=7) == 7
    clock.observe(pts_ns=0, arrived_ns=10)
    assert clock.captured_ns(None, arrived_ns=12) == 12


def test_a_files_times_are_its_stamps_from_the_epoch() -> None:
    clock = FileClock(epoch_ns=1000 * S, interval_ns=FRAME)
    assert [clock.captured_ns(p) for p in (5 * S, 5 * S + FRAME, 6 * S)] == [1000 * S, 1000 * S + FRAME, 1001 * S]


def test_a_file_without_stamps_goes_at_its_average_rate() -> None:
    clock = FileClock(epoch_ns=0, interval_ns=FRAME)
    assert [clock.captured_ns(p) for p in (None, None, None)] == [0, FRAME, 2 * FRAME]
    assert clock.captured_ns(9 * S) == 3 * FRAME  # the first stamp is set where it stands


def test_stamps_of_a_file_that_begin_anew_go_on() -> None:
    clock = FileClock(epoch_ns=0, interval_ns=FRAME)
    stamps = [0, FRAME, 2 * FRAME, 0, FRAME]
    assert [clock.captured_ns(p) for p in stamps] == [0, FRAME, 2 * FRAME, 3 * FRAME, 4 * FRAME]
