"""Measures casque-depot beside nginx, in turn. Called by depot.sh.

The client is curl, in one process on processors that the server does not have.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from downloads import Depot, Nginx

ROOT = Path(__file__).resolve().parent.parent
MANY = 100
FIRST_BYTES = 100
IDLE = 2000

# What is measured: its key, its title, its unit, decimals, what the depot is to be beside nginx.
ROWS = [
    ("one", "one download", "MB/s", 0, "at least 0.9x"),
    ("one_work", "  the server's processor time", "ms/GB", 0, ""),
    ("many", f"{MANY} downloads", "MB/s", 0, "at least 0.9x"),
    ("many_work", "  the server's processor time", "ms/GB", 0, ""),
    ("memory", "  memory for each", "kB", 1, "below 100 kB"),
    ("first", "first byte, connecting included", "ms", 2, "below 2x"),
    ("idle", f"{IDLE} idle connections, memory for each", "kB", 1, "below 100 kB"),
    ("held", "  of them answered afterwards", "", 0, f"{IDLE}"),
]


def one(server):
    """Downloads the file once."""
    worked, size = server.work(), os.path.getsize(server.options.file)
    done = subprocess.run(server.curl("--silent", "--fail", "--output", "/dev/null", "--write-out", "%{time_total}"),
                          capture_output=True, check=True)
    return {"one": size / float(done.stdout) / 1e6, "one_work": (server.work() - worked) * 1000 / (size / 1e9)}


def many(server, seconds):
    """Downloads the file many times at once, each over a connection of its own, until the time is over."""
    ready = server.home / "many"
    ready.write_text(f'url = "{server.url()}"\noutput = "/dev/null"\n' * (MANY - 1))
    before, worked = server.memory(), server.work()
    client = subprocess.Popen(
        server.curl("--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", str(MANY), "--max-time", str(seconds),
                    "--write-out", "%{http_code} %{size_download}\n", "--config", str(ready), "--output", "/dev/null"),
        # It says of each that its time was over.
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most, end = before, time.monotonic() + seconds - 1
    while time.monotonic() < end:
        most = max(most, server.memory())
        time.sleep(0.5)
    lines = client.communicate()[0].split("\n")[:-1]
    if len(lines) != MANY or any(not line.startswith("200 ") for line in lines):
        raise SystemExit(f"error: {server.name} did not serve {MANY} downloads: {sorted(set(lines))[:5]}")
    size = sum(int(line.split()[1]) for line in lines)
    return {
        "many": size / seconds / 1e6, "many_work": (server.work() - worked) * 1000 / (size / 1e9),
        "memory": (most - before) / MANY / 1e3,
    }


def first_byte(server):
    """Begins the download again and again, always over a new connection."""
    times = []
    for _ in range(FIRST_BYTES):
        began = time.monotonic()
        with server.connect() as connection:
            connection.sendall(server.request("GET"))
            if connection.recv(1) != b"H":
                raise SystemExit(f"error: {server.name} answers with something else")
            times.append((time.monotonic() - began) * 1000)
    return {"first": statistics.median(times)}


def idle(server):
    """Opens connections, lets them lie there, and asks each once more."""
    before = server.memory()
    connections = []
    try:
        for _ in range(IDLE):
            connections.append(server.connect())
            ask(server, connections[-1])
        memory = (server.memory() - before) / IDLE / 1e3
        return {"idle": memory, "held": sum(ask(server, connection) for connection in connections)}
    finally:
        for connection in connections:
            connection.close()


def ask(server, connection):
    """Asks for the head of the file; says whether that came."""
    connection.sendall(server.request("HEAD"))
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            return False
        head += more
    return head.startswith(b"HTTP/1.1 200 ")


def one_round(kind, options, scheme, cpus):
    figures = {}
    # Each begins with a server that has done nothing else: what memory it kept would hide what the next one takes.
    for measure in (first_byte, one, lambda server: many(server, options.seconds), idle):
        with kind(options, scheme, cpus) as server:
            figures |= measure(server)
    return figures


def show(scheme, rounds):
    """Prints medians, and what the depot has beside what nginx has."""
    depot, nginx = (rounds[kind.name] for kind in (Depot, Nginx))
    print(f"\n{scheme}, medians of {len(depot)}, {platform.machine()}, {os.cpu_count()} processors")
    print(f"{'':48}{Depot.name:>14}{Nginx.name:>10}{'beside it':>12}   wanted")
    for key, title, unit, decimals, wanted in ROWS:
        ours, theirs = (statistics.median(figures[key] for figures in one) for one in (depot, nginx))
        ratio = f"{ours / theirs:.2f}x" if theirs > 0 else ""
        print(f"{title + (', ' + unit if unit else ''):48}{ours:>14.{decimals}f}{theirs:>10.{decimals}f}{ratio:>12}   {wanted}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depot", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cpus = sorted(os.sched_getaffinity(0))
    half = max(1, len(cpus) // 2)
    os.sched_setaffinity(0, cpus[half:] or cpus)
    found = {}
    for scheme in ("http", "https"):
        rounds = found[scheme] = {kind.name: [] for kind in (Depot, Nginx)}
        for number in range(options.rounds):
            # In turn, and the other way round the next time, so that nobody profits from his place.
            for kind in (Depot, Nginx) if number % 2 == 0 else (Nginx, Depot):
                print(f"{scheme}: round {number + 1} of {options.rounds}, {kind.name}", file=sys.stderr, flush=True)
                rounds[kind.name].append(one_round(kind, options, scheme, cpus[:half]))
        show(scheme, rounds)
    report = ROOT / "dist" / "bench"
    report.mkdir(parents=True, exist_ok=True)
    (report / "depot.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


main()
