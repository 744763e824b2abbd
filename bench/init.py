"""Measures casque-init beside other supervisors that capture logs, in turn. Called by init.sh.

Every figure is of services that say themselves, through a pipe, when they are up; see service.c.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import descendants, pss, work
from supervisors import KINDS, is_there

ROOT = Path(__file__).resolve().parent.parent
COUNT = 20
PATIENCE = 60
# Long enough for every one of them to call the service stable.
STABLE = 2.5
IDLE = 5
BYTES = 100_000_000
LINE = 100
AT_ONCE = 40
ORPHANS = 2000
PR_SET_CHILD_SUBREAPER = 36

# What is measured: its key, its title, its unit, decimals, and whether more is better.
ROWS = [
    ("up", f"{COUNT} services up", "ms", 1, False),
    ("stop", "everything stopped", "ms", 1, False),
    ("memory", "memory, its own processes (PSS)", "KiB", 0, False),
    ("restart", "kill -9 to running again", "ms", 1, False),
    ("wakes", "wake-ups a second, idle", "", 2, False),
    ("bulk", "capture, 40 lines a write", "MB/s", 0, True),
    ("bulk_work", "  its processor time", "ms", 0, False),
    ("line", "capture, a line a write", "MB/s", 0, True),
    ("line_work", "  its processor time", "ms", 0, False),
    ("lost", "lines lost or torn", "", 0, False),
    ("storm", f"{ORPHANS} orphans reaped (as PID 1)", "ms", 1, False),
    ("left", "leftovers of a killed service", "", 0, False),
]


class Reports:
    """The pipe that services report to."""

    def __init__(self, path):
        self.path, self.rest = path, b""
        os.mkfifo(path)
        # For writing, too, so that it never ends.
        self.pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def next(self):
        """Returns the next report, as (name, pid, other), and when it came."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.pipe], [], [], left)[0]:
                raise SystemExit("error: a service did not come up")
            self.rest += os.read(self.pipe, 65536)
        line, self.rest = self.rest.split(b"\n", 1)
        name, pid, other = line.decode().split()
        return (name, int(pid), int(other)), time.monotonic()

    def close(self):
        os.close(self.pipe)


class Run:
    """One supervisor with its services, from its start to its end."""

    def __init__(self, kind, options, services, prefix=()):
        self.directory = tempfile.TemporaryDirectory(dir=options.directory, prefix="casque-bench.")
        self.here = Path(self.directory.name)
        self.reports = Reports(self.here / "reports")
        self.go = self.here / "go"
        os.mkfifo(self.go)
        program = {"casque-init": options.init, "horust": options.horust}.get(kind.name)
        self.tool = kind(self.here / "own", program)
        self.service = options.service
        self.tool.prepare({name: [str(options.service), name, str(self.reports.path), *words] for name, words in services(self).items()})
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *self.tool.command()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Whatever it has left is ours now.
        while children := descendants(os.getpid()):
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            reap_all()
        self.reports.close()
        self.directory.cleanup()

    def all_up(self, count):
        """Waits for so many reports; returns them and how long after the start the last one came."""
        reports = [self.reports.next() for _ in range(count)]
        return [report for report, _ in reports], reports[-1][1] - self.began

    def own_processes(self):
        """Returns the processes that are the supervisor, its loggers included."""
        all_of_them = [self.process.pid, *descendants(self.process.pid)]
        return [pid for pid in all_of_them if executable(pid) not in (str(self.service), None)]

    def begin(self):
        """Lets the service that waits for it begin; returns when."""
        os.close(os.open(self.go, os.O_WRONLY))
        return time.monotonic()


def executable(pid):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")
    return None


def reap_all():
    """Waits until no process below this one is left."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def switches(pid):
    """Returns how often the threads of a process have gone to sleep or were preempted."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in Path(f"/proc/{pid}/task/{task}/status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def life(kind, options):
    """Start, memory, idling, a crash and the stop of services that only stay."""
    figures = {}
    with Run(kind, options, lambda _: {f"s{number:02}": ["stay"] for number in range(COUNT)}) as run:
        reports, figures["up"] = run.all_up(COUNT)
        time.sleep(STABLE)
        own = run.own_processes()
        figures["memory"] = sum(map(pss, own))
        before = sum(map(switches, own))
        time.sleep(IDLE)
        figures["wakes"] = (sum(map(switches, own)) - before) / IDLE
        pid = reports[COUNT // 2][1]
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        figures["restart"] = run.reports.next()[1] - began
        time.sleep(0.2)
        began = time.monotonic()
        run.tool.stop(run.process)
        reap_all()
        figures["stop"] = time.monotonic() - began
    return {key: value * 1000 if key in ("up", "restart", "stop") else value for key, value in figures.items()}


def leftover(kind, options):
    """Says whether the child of a service that was killed is still there when its replacement is."""
    with Run(kind, options, lambda _: {"left": ["leave"]}) as run:
        ((_, pid, child),), _ = run.all_up(1)
        time.sleep(STABLE)
        os.kill(pid, signal.SIGKILL)
        run.reports.next()
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{child}/stat").read_text().rsplit(") ", 1)[1][0]
            return {"left": int(state not in "ZX")}
    return {"left": 0}


def capture(kind, options, key, at_once):
    """Lets one service write until all is in the files, and counts the lines that are not there."""
    words = ["lines", str(BYTES), str(at_once)]
    with Run(kind, options, lambda run: {"lines": [*words, str(run.go)]}) as run:
        run.all_up(1)
        own = run.own_processes()
        worked = sum(map(work, own))
        began = run.begin()
        run.reports.next()
        deadline = time.monotonic() + PATIENCE
        while sum(path.stat().st_size for path in run.tool.files("lines")) < BYTES and time.monotonic() < deadline:
            time.sleep(0.001)
        took = time.monotonic() - began
        figures = {key: BYTES / took / 1e6, f"{key}_work": sum(map(work, own)) - worked}
        seen = set()
        for path in run.tool.files("lines"):
            with open(path, "rb") as file:
                seen.update(int(line[:12]) for line in file if len(line) == LINE and line[:12].isdigit())
        return figures | {f"{key}_lost": BYTES // LINE - len(seen)}


def storm(kind, options):
    """Lets orphans end at one moment below a supervisor that is PID 1."""
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with Run(kind, options, lambda run: {"storm": ["storm", str(ORPHANS), str(run.go)]}, alone) as run:
        run.all_up(1)
        (first,) = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        children = Path(f"/proc/{first}/task/{first}/children")
        wanted = len(children.read_text().split()) - ORPHANS
        if wanted < 0:
            raise SystemExit(f"error: {kind.name} is not the parent of the orphans")
        began = run.begin()
        while len(children.read_text().split()) > wanted:
            if time.monotonic() > began + PATIENCE:
                return {"storm": float("inf")}
            time.sleep(0.0005)
        return {"storm": (time.monotonic() - began) * 1000}


def one_round(kind, options):
    figures = life(kind, options) | leftover(kind, options) | storm(kind, options)
    figures |= capture(kind, options, "bulk", AT_ONCE) | capture(kind, options, "line", 1)
    return figures | {"lost": figures["bulk_lost"] + figures["line_lost"]}


def show(kinds, rounds):
    """Prints medians, and in brackets how many times better (above 1) or worse casque-init is than the best of the others."""
    count = len(rounds[kinds[0].name])
    print(f"\nmedians of {count}, {platform.machine()}, {os.cpu_count()} processors, {COUNT} services, logs captured")
    print(f"{'':34}" + "".join(f"{kind.name:>13}" for kind in kinds) + f"{'beside the best':>18}")
    for key, title, unit, decimals, more in ROWS:
        values = [statistics.median(figures[key] for figures in rounds[kind.name]) for kind in kinds]
        cells = "".join(f"{value:>13.{decimals}f}" for value in values)
        best = (max if more else min)(values[1:], default=0)
        better, worse = (values[0], best) if more else (best, values[0])
        ratio = f"{better / worse:.2f}x" if worse else "equal" if better == worse else "better"
        print(f"{title + (', ' + unit if unit else ''):34}{cells}{ratio:>18}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--init", required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--horust")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", choices=[kind.name for kind in KINDS[1:]], action="append")
    parser.add_argument("--directory", default="/dev/shm")
    options = parser.parse_args()
    # Whoever is orphaned becomes ours, and is waited for.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    programs = {"casque-init": options.init, "horust": options.horust}
    kinds = [kind for kind in KINDS if is_there(kind, programs.get(kind.name)) and (
        kind is KINDS[0] or not options.peer or kind.name in options.peer)]
    rounds = {kind.name: [] for kind in kinds}
    for number in range(options.rounds):
        # In turn, and the other way round the next time, so that nobody profits from his place.
        for kind in kinds if number % 2 == 0 else reversed(kinds):
            print(f"round {number + 1} of {options.rounds}: {kind.name}", file=sys.stderr, flush=True)
            rounds[kind.name].append(one_round(kind, options))
    show(kinds, rounds)
    report = ROOT / "dist" / "bench"
    report.mkdir(parents=True, exist_ok=True)
    (report / "init.json").write_text(json.dumps(rounds, indent=2, sort_keys=True) + "\n")


main()
