"""Measures casque build beside docker build, buildah and mmdebstrap on the same recipe, in turn. Called by build.sh."""

import argparse
import json
import os
import platform
import statistics
import tempfile
from pathlib import Path

from builders import MANIFESTS, ROOT, Buildah, Casque, Docker, Dockerfile, Mmdebstrap
from measure import Stopwatch, changed_bytes, layers, run

REPORT = ROOT / "dist" / "bench"
COLD = "from scratch, base included"
STORE = "from scratch, after another build"
LOCK = "lock, metadata there"
UNCHANGED = "nothing changed"
COPIED = "a copied file, to an archive"
DIRECTORY = "a copied file, to a directory"
PLAYBOOK = "a file that the playbook deploys"
PYTHON = "a Python pin moved"
LEAF = "a leaf package's security update"
CASES = [COLD, STORE, LOCK, UNCHANGED, COPIED, DIRECTORY, PLAYBOOK, PYTHON, LEAF]


class Round:
    """One builder's figures, each case starting from what the one before left."""

    def __init__(self, tool, number, last, stopwatch):
        self.tool, self.number, self.last, self.stopwatch, self.figures = tool, number, last, stopwatch, {}

    def all(self):
        tool = self.tool
        if isinstance(tool, Casque):
            self.case(STORE, tool.after_another_build())
            self.case(COLD, tool.cold())
            self.case(LOCK, tool.lock)
        else:
            self.case(COLD, tool.cold())
        if isinstance(tool, Mmdebstrap):
            return self.figures
        self.case(UNCHANGED, tool.build)
        tool.change_copied_file(self.number)
        self.update(COPIED)
        if isinstance(tool, Casque):
            tool.build_directory()
            tool.change_copied_file(f"{self.number} again")
            self.case(DIRECTORY, tool.build_directory)
            tool.build()
        tool.change_playbook_file(self.number)
        self.update(PLAYBOOK)
        # These two change what the recipe is, so the last round has them.
        if tool.recipe == "layered" and self.last:
            tool.move_python_pin()
            self.update(PYTHON)
            tool.update_leaf()
            self.update(LEAF)
        return self.figures

    def case(self, name, work):
        self.figures[name] = self.stopwatch.measure(work)
        print(f"  {name}: {self.figures[name]['wall']:.2f} s, {self.figures[name]['cpu']:.2f} CPU s", flush=True)

    def update(self, name):
        """Measures a build after a change, and what a customer loads anew of it."""
        before = layers(self.tool.archive)
        self.case(name, self.tool.build)
        self.figures[name]["bytes"] = changed_bytes(before, layers(self.tool.archive))


def median(rounds, case, what):
    values = [figures[case][what] for figures in rounds if what in figures.get(case, {})]
    return statistics.median(values) if values else None


def show(recipe, tools, rounds):
    """Prints medians side by side, the ratio of ours to each peer's in brackets."""
    ours = rounds[tools[0].name]
    print(f"\n{recipe}: medians of {len(ours)}, {platform.machine()}, {os.cpu_count()} processors")
    print(f"{'':36}" + "".join(f"{tool.name:>26}" for tool in tools))
    for case in CASES:
        for what, unit, scale in (("wall", "s", 1), ("cpu", "CPU s", 1), ("bytes", "MB anew", 1e-6)):
            own = median(ours, case, what)
            if own is None:
                continue
            cells = [f"{own * scale:.2f} {unit}"]
            for tool in tools[1:]:
                # Whoever has no such case is compared by what he would do instead: everything again.
                theirs = median(rounds[tool.name], case, what) or (
                    median(rounds[tool.name], COLD, what) if case == STORE else None)
                cells.append("-" if not theirs else f"{theirs * scale:.2f} ({own / theirs:.2f}x)")
            print(f"{case if what == 'wall' else '':36}" + "".join(f"{cell:>26}" for cell in cells))
    sizes = [tool.archive.stat().st_size for tool in tools]
    cells = [f"{sizes[0] / 1e6:.1f} MB"] + [f"{size / 1e6:.1f} ({sizes[0] / size:.2f}x)" for size in sizes[1:]]
    print(f"{'archive':36}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def make_base(options, stopwatch):
    """Makes what the Dockerfiles start from, a minimal Debian of the same suite; returns its times: casque's include its own."""
    REPORT.mkdir(parents=True, exist_ok=True)
    base, log = REPORT / "base.tar", REPORT / "base.log"
    times = stopwatch.measure(lambda: run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", base], log))
    run([options.docker, "import", base, "casque-bench-base"], log)
    print(f"the base image of the Dockerfiles took mmdebstrap {times['wall']:.1f} s, {times['cpu']:.1f} CPU s", flush=True)
    return base, times


def bench(recipe, options, stopwatch, base, base_times):
    """Measures one recipe and returns what was found."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="casque-bench.") as directory:
        work = Path(directory)
        casque = Casque(options.casque, recipe, work)
        peers = {
            "docker": lambda: Docker(options.docker, recipe, work),
            "buildah": lambda: Buildah(base, recipe, work),
            "mmdebstrap": lambda: Mmdebstrap(recipe, work),
        }
        tools = [casque]
        try:
            tools += [peers[name]() for name in options.peer or peers]
            for tool in tools:
                print(f"{recipe}: {tool.name} fills its cache of downloads", flush=True)
                if recipe == "layered" and isinstance(tool, Dockerfile):
                    tool.pin_leaf(casque.leaf_version())
                tool.warm_up()
            rounds = {tool.name: [] for tool in tools}
            for number in range(options.rounds):
                # In turn, and the other way round the next time, so that nobody profits from his place.
                for tool in tools if number % 2 == 0 else reversed(tools):
                    print(f"{recipe}: round {number + 1} of {options.rounds}, {tool.name}", flush=True)
                    figures = Round(tool, number, number + 1 == options.rounds, stopwatch).all()
                    if isinstance(tool, Dockerfile):
                        for what, seconds in base_times.items():
                            figures[COLD][what] += seconds
                    rounds[tool.name].append(figures)
            show(recipe, tools, rounds)
            sizes = {tool.name: tool.archive.stat().st_size for tool in tools}
            return {"rounds": rounds, "archive_bytes": sizes}
        finally:
            for tool in tools:
                tool.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--casque", required=True)
    parser.add_argument("--docker", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe", choices=sorted(MANIFESTS), action="append")
    parser.add_argument("--peer", choices=["docker", "buildah", "mmdebstrap"], action="append")
    options = parser.parse_args()
    stopwatch = Stopwatch(options.group)
    base = make_base(options, stopwatch)
    found = {recipe: bench(recipe, options, stopwatch, *base) for recipe in options.recipe or MANIFESTS}
    (REPORT / "build.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


main()
