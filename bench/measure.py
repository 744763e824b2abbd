"""Time and size of what a builder does, whoever does it: docker build works in a daemon."""

import json
import os
import subprocess
import tarfile
import time
from pathlib import Path


class Stopwatch:
    """Measures wall and processor time of a control group: work is done in daemons, too, and the machine has other work."""

    def __init__(self, group):
        old = Path("/sys/fs/cgroup/cpuacct") / group / "cpuacct.usage"
        self.usage = old if old.exists() else Path("/sys/fs/cgroup") / group / "cpu.stat"

    def busy_seconds(self):
        """Returns how long processors have worked for the group."""
        text = self.usage.read_text()
        if self.usage.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split("usage_usec ", 1)[1].split()[0]) / 1e6

    def measure(self, work):
        """Runs work; returns its wall and processor seconds."""
        busy, began = self.busy_seconds(), time.monotonic()
        work()
        return {"wall": time.monotonic() - began, "cpu": self.busy_seconds() - busy}


def run(command, log, **options):
    """Runs a command; its output goes to the log, and is shown when it fails."""
    with open(log, "wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-30:]
        raise SystemExit("\n".join([*tail, f"error: `{' '.join(map(str, command))}` ended with {done.returncode}"]))


def layers(archive):
    """Returns the layers of a docker-archive: their diff_ids, and how many bytes each has."""
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        diff_ids = json.load(tar.extractfile(manifest["Config"]))["rootfs"]["diff_ids"]
        # A layer that occurs twice may be a link to its first occurrence.
        members = (tar.getmember(name) for name in manifest["Layers"])
        members = (tar.getmember(os.path.normpath(os.path.join(os.path.dirname(m.name), m.linkname))) if m.issym() else m for m in members)
        return dict(zip(diff_ids, (member.size for member in members), strict=True))


def changed_bytes(before, after):
    """Returns the bytes of the layers that are in `after` and not in `before`."""
    return sum(size for diff_id, size in after.items() if diff_id not in before)
