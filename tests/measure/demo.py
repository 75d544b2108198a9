"""What `streamer demo` does on this machine: is every board decided in time, how old are the pictures, who is right?

    python tests/measure/demo.py [--seconds 60] [--rate 2] [--seed 1] [--runs 3]

Runs the command as its user would, and reads what it prints. Where others use the machine, its times are theirs, too.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOARD = re.compile(r"  board +(\d+) +(accept|REJECT) +(\d+) ms  (right|MISSED|FALSE REJECT|not judged)")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    for run in range(args.runs):
        measure(args.seconds, args.rate, args.seed + run)
    return 0


def measure(seconds: float, rate: float, seed: int) -> None:
    """Run the demo once and print what came of it."""
    began, used = time.monotonic(), _children_s()
    command = [sys.executable, "-m", "streamer", "demo"]
    options = ["--seconds", f"{seconds:g}", "--rate", f"{rate:g}", "--seed", str(seed)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        sys.exit(f"the demo ended with {done.returncode}:\n{done.stderr}")
    boards = [found.groups() for line in done.stdout.splitlines() if (found := BOARD.search(line))]
    ages_ms = sorted(float(age) for _, _, age, outcome in boards if outcome != "not judged")
    cpu = (_children_s() - used) / (time.monotonic() - began)
    print(f"seed {seed}, {rate:g} boards a second: {len(boards)} boards, {len(ages_ms)} judged in time")
    if ages_ms:
        middle, most = ages_ms[len(ages_ms) // 2], ages_ms[int(0.99 * len(ages_ms))]
        print(f"age when decided: p50 {middle:.0f} ms, p99 {most:.0f} ms, most {ages_ms[-1]:.0f} ms; {cpu:.2f} cores")
    print(done.stdout[done.stdout.rindex("\ngood boards") :] if ages_ms else done.stdout.splitlines()[-1])


def _children_s() -> float:
    """Return the CPU time that children have taken, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
