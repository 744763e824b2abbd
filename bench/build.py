"""Measures casque build and docker build on the same recipe, in turn. Called by build.sh."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "backend"
REPORT = ROOT / "dist" / "bench"
MANIFESTS = {"plain": "casque.toml", "layered": "casque.layered.toml"}
CASES = ["cold", "unchanged", "one file changed"]
# Part of every page, and of nothing that is installed: what a vendor changes between two releases.
CHANGED = "backend/templates/base.html"
# What casque keeps of downloads; the rest of its cache is what building made.
DOWNLOADS = ["store"]


def busy_seconds():
    """Returns how long the machine's processors have worked, whoever for: docker build works in a daemon."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command, log, **options):
    """Runs a command; its output goes to the log, and is shown when it fails."""
    with open(log, "wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-30:]
        raise SystemExit("\n".join([*tail, f"error: `{' '.join(map(str, command))}` ended with {done.returncode}"]))


class Casque:
    """casque build; its archive is there when it ends."""

    name = "casque build"

    def __init__(self, program, recipe, work):
        self.program, self.manifest = program, MANIFESTS[recipe]
        self.log = work / "casque.log"
        self.source = work / "casque-source"
        self.warm, self.cache = work / "casque-warm", work / "casque-cache"
        self.archive = work / "casque.tar"
        copy_source(self.source)

    def warm_up(self):
        """Fills the cache of downloads, and makes the lock if the source has none."""
        self._build(self.warm)

    def cold(self):
        """Builds with the downloads alone."""
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir()
        for name in DOWNLOADS:
            if (self.warm / name).exists():
                shutil.copytree(self.warm / name, self.cache / name, symlinks=True, copy_function=os.link)
        return self.build

    def build(self):
        self._build(self.cache)

    def _build(self, cache):
        command = [self.program, "build", self.source / self.manifest, "--cache", cache, "--output", self.archive]
        run(command, self.log)


class Docker:
    """docker build and docker save, which gives what a customer downloads."""

    name = "docker build + save"

    def __init__(self, program, recipe, work):
        self.program, self.tag = program, f"casque-bench-{recipe}"
        self.log = work / "docker.log"
        self.source = work / "docker-source"
        self.archive = work / "docker.tar"
        copy_source(self.source)
        shutil.copy(ROOT / "bench" / f"Dockerfile.{recipe}", self.source / "Dockerfile")

    def warm_up(self):
        """Fills the cache mounts of apt and pip."""
        self._build("--no-cache")

    def cold(self):
        """Builds without layers from before; cache mounts stay."""
        return lambda: self._build("--no-cache")

    def build(self):
        self._build()

    def _build(self, *arguments):
        command = [self.program, "build", "--network", "host", "--tag", self.tag, *arguments]
        if certificates := os.environ.get("SSL_CERT_FILE"):
            command += ["--secret", f"id=ca,src={certificates}"]
        run([*command, "."], self.log, cwd=self.source)
        run([self.program, "save", "--output", self.archive, self.tag], self.log)

    def remove(self):
        subprocess.run([self.program, "image", "rm", "--force", self.tag], stdout=subprocess.DEVNULL, check=False)


def copy_source(to):
    shutil.copytree(EXAMPLE, to, ignore=shutil.ignore_patterns("__pycache__"))


def change(source, round_number):
    """Changes one file of the application."""
    with open(source / CHANGED, "a", encoding="utf-8") as file:
        file.write(f"<!-- {round_number} -->\n")


def measure(work):
    """Runs work; returns its wall and processor seconds."""
    busy, began = busy_seconds(), time.monotonic()
    work()
    return {"wall": time.monotonic() - began, "cpu": busy_seconds() - busy}


def one_round(tool, round_number):
    """Measures the three cases in order, each starting from what the one before left."""
    figures = {"cold": measure(tool.cold()), "unchanged": measure(tool.build)}
    change(tool.source, round_number)
    figures["one file changed"] = measure(tool.build)
    return figures


def median(rounds, case, what):
    return statistics.median(figures[case][what] for figures in rounds)


def show(recipe, tools, rounds):
    """Prints medians side by side."""
    count = len(rounds[tools[0].name])
    print(f"\n{recipe}: medians of {count}, {platform.machine()}, {os.cpu_count()} processors")
    print(f"{'':20}{tools[0].name:>24}{tools[1].name:>24}{'ratio':>10}")
    for case in CASES:
        for what, unit in (("wall", "s"), ("cpu", "s of CPU")):
            ours, theirs = (median(rounds[tool.name], case, what) for tool in tools)
            label = case if what == "wall" else ""
            print(f"{label:20}{ours:>15.2f} {unit:8}{theirs:>15.2f} {unit:8}{ours / theirs:>10.2f}")
    ours, theirs = (tool.archive.stat().st_size for tool in tools)
    print(f"{'archive':20}{ours / 1e6:>15.1f} {'MB':8}{theirs / 1e6:>15.1f} {'MB':8}{ours / theirs:>10.2f}", flush=True)


def bench(recipe, options):
    """Measures one recipe and returns what was found."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="casque-bench.") as directory:
        work = Path(directory)
        tools = [Casque(options.casque, recipe, work), Docker(options.docker, recipe, work)]
        try:
            for tool in tools:
                print(f"{recipe}: {tool.name} fills its cache of downloads", flush=True)
                tool.warm_up()
            rounds = {tool.name: [] for tool in tools}
            for number in range(options.rounds):
                # In turn, and the other first the next time, so that neither profits from its place.
                for tool in tools if number % 2 == 0 else reversed(tools):
                    print(f"{recipe}: round {number + 1} of {options.rounds}, {tool.name}", flush=True)
                    rounds[tool.name].append(one_round(tool, number))
            show(recipe, tools, rounds)
            sizes = {tool.name: tool.archive.stat().st_size for tool in tools}
            return {"rounds": rounds, "archive_bytes": sizes}
        finally:
            tools[1].remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--casque", required=True)
    parser.add_argument("--docker", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe", choices=sorted(MANIFESTS), action="append")
    options = parser.parse_args()
    found = {recipe: bench(recipe, options) for recipe in options.recipe or MANIFESTS}
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "build.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


main()
