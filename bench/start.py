"""Measures how long a start of the example takes beside its programs started by a script. Called by start.sh."""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

# What is ready when the command says so, in the words of a shell; the rest is ready when it runs.
READY = {
    "mongodb": "(echo >/dev/tcp/127.0.0.1/27017) 2>/dev/null",
    "redis": "(echo >/dev/tcp/127.0.0.1/6379) 2>/dev/null",
    "web": "(echo >/dev/tcp/127.0.0.1/8000) 2>/dev/null",
}
PAUSE = 0.01


def command(service):
    """Returns the words that start a service as its user."""
    words = list(service["command"])
    if user := service.get("user"):
        words = ["/usr/bin/setpriv", f"--reuid={user['uid']}", f"--regid={user['gid']}", "--clear-groups",
                 "/usr/bin/env", f"HOME={user['home']}", *words]
    place = service.get("working_directory", "/")
    return f"cd {shlex.quote(place)} && exec {shlex.join(words)}"


def chain(services):
    """Returns the services that the front waits for, one after the other, by the longest way; those that run once are done."""
    after = {name: service["service"]["after"] for name, service in services.items()}

    def way(name):
        return max((way(before) for before in after[name]), key=len, default=[]) + [name]

    return [name for name in way("nginx") if services[name]["service"].get("once") is None]


def script(services, names):
    """Returns a script that starts services in this order, each when the one before it is ready; what they need besides comes up
    beside them."""
    beside = {before for name in names for before in services[name]["service"]["after"]
              if before not in names and services[before]["service"].get("once") is None}
    lines = ["mkdir -p /run/casque/front"]
    lines += [f"({command(services[name]['service'])}) &" for name in sorted(beside)]
    for name in names:
        service = services[name]["service"]
        if service["kind"] == "oneshot":
            lines.append(f"({command(service)}) || exit 1")
            continue
        lines.append(f"({command(service)}) &")
        if name in READY:
            lines.append(f"until {READY[name]}; do sleep {PAUSE}; done")
    return "\n".join([*lines, "wait"])


def until_ready(options, path, arguments):
    """Runs a container, of which `arguments` say the rest; returns the seconds until `path` is answered with 200."""
    began = time.monotonic()
    subprocess.run(["docker", "run", "--detach", "--name", options.name, "--volume", f"{options.volume}:/data",
                    "--publish", f"127.0.0.1:{options.port}:80", *arguments], check=True, stdout=subprocess.DEVNULL)
    try:
        while time.monotonic() - began < 120:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{options.port}{path}", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - began
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(PAUSE)
        raise SystemExit(f"error: `docker run {' '.join(arguments)[:200]}` is not ready within 120 s")
    finally:
        subprocess.run(["docker", "stop", options.name], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["docker", "rm", options.name], check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("image", "by-hand", "name", "volume", "port", "plan", "report"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    options = parser.parse_args()
    services = json.loads(Path(options.plan).read_text())["services"]
    slowest = chain(services)

    def by_hand(names):
        return ["--entrypoint", "/bin/bash", options.by_hand, "-c", script(services, names)]

    ways = {
        "casque": lambda: until_ready(options, "/status", [options.image]),
        "chain": lambda: until_ready(options, "/health", by_hand(slowest)),
    }
    seconds = {name: [] for name in ways}
    for number in range(options.rounds):
        for name in list(ways) if number % 2 == 0 else reversed(ways):
            print(f"round {number + 1} of {options.rounds}, {name}", file=sys.stderr, flush=True)
            seconds[name].append(ways[name]())
    median = {name: statistics.median(each) for name, each in seconds.items()}
    print(f"{'from `docker run` to ready':<60} {'median':>7}  beside the chain")
    for name, title in (("casque", "the image: all services, /status 200"), ("chain", f"by hand: {', '.join(slowest)}; /health 200")):
        print(f"{title:<60} {median[name]:>5.2f} s  {median[name] - median['chain']:>+5.2f} s")
    Path(options.report).write_text(json.dumps(seconds, indent=2) + "\n")


main()
