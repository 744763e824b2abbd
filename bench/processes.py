"""What processes are doing, as the kernel counts it: init.py and depot.py ask."""

import contextlib
import os
import time
from pathlib import Path


def descendants(pid):
    """Returns the processes below a process."""
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def pss(pid):
    """Returns what a process has of the memory, in KiB; what it shares counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def work(pid):
    """Returns how long a process has run, threads that have ended included, in milliseconds."""
    # The clock of another process: clock_getcpuclockid(3), which Python has for threads alone.
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e6
