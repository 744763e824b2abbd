#!/usr/bin/env python3
"""Asks for a page a hundred times a second while PID 1, the agent and a real nginx start, die and are restarted.

usage: port_80.py INIT AGENT NGINX

Ends with 0 if every request was answered, and with none but 200 (nginx) and 503 (the agent).
"""

import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

RATE = 100
PATIENCE = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
NGINX = """
user root;
pid {here}/nginx.pid;
error_log stderr;
worker_processes 2;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server {{ listen unix:{here}/run/casque/front/ready.sock; location / {{ return 204; }} }}
    server {{ listen {port}; location / {{ return 200 "served by nginx\\n"; }} }}
}}
"""


def free_port():
    """Returns a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        return listener.getsockname()[1]


def ask_page(port):
    """Asks for the page and returns what came of it: the status code, or how it failed."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(REQUEST)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    except OSError as error:
        return type(error).__name__
    return answer[9:12].decode() or "empty"


class Load:
    """Requests at a steady rate, each in a thread of its own."""

    def __init__(self, port):
        self.port, self.answers, self.stopped = port, [], threading.Event()
        self.threads = []
        self.pacer = threading.Thread(target=self.run)
        self.pacer.start()

    def run(self):
        begin, number = time.monotonic(), 0
        while not self.stopped.is_set():
            one = threading.Thread(target=self.one)
            one.start()
            self.threads.append(one)
            number += 1
            self.stopped.wait(max(0, begin + number / RATE - time.monotonic()))

    def one(self):
        self.answers.append((time.monotonic(), ask_page(self.port)))

    def until_served(self, count):
        """Waits until nginx has answered so many more requests."""
        until, before = time.monotonic() + PATIENCE, self.served()
        while self.served() < before + count:
            if time.monotonic() > until:
                sys.exit("nginx does not answer")
            self.stopped.wait(1 / RATE)

    def served(self):
        return sum(answer == "200" for _, answer in self.answers)

    def stop(self):
        self.stopped.set()
        self.pacer.join()
        for one in self.threads:
            one.join()
        return self.answers


class Control:
    """PID 1's control socket."""

    def __init__(self, path):
        self.path = str(path)

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self.path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(connection.makefile().readline())

    def until(self, what, happened):
        """Follows the snapshots until one is as wanted, and returns that service."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self.path)
            connection.sendall(b'{"command":"watch"}\n')
            for line in connection.makefile():
                services = {one["name"]: one for one in json.loads(line)["snapshot"]["services"]}
                if services and happened(services["front"]):
                    return services["front"]
        sys.exit(f"it never came that {what}")


def plan(here, port, agent, nginx):
    """Returns the plan as the build makes it for a front."""
    run = f"{here}/run/casque"
    common = {
        "kind": "simple",
        "start_timeout_ms": 60_000,
        "restart": {"policy": "always", "limit": 50, "delay_ms": 500, "max_delay_ms": 1000, "stable_ms": 10_000},
    }
    return {
        "version": 1,
        "product": {"name": "vendor/backend", "version": "1", "command": "backend"},
        "listen": [port],
        "stop_budget_ms": 9000,
        "mask": [],
        "agent_uid": 0,
        "services": {
            "agent": common | {
                "command": [agent, "--root", here, "serve"],
                "ready": {"unix": f"{run}/agent/http.sock"},
                "critical": False,
                "sockets": "agent",
                "remove": [f"{run}/agent/http.sock"],
                "stop": {"signal": "TERM", "timeout_ms": 500},
            },
            "front": common | {
                "command": [nginx, "-c", f"{here}/nginx.conf", "-g", "daemon off;"],
                "ready": {"http": f"unix:{run}/front/ready.sock:/"},
                "critical": True,
                "sockets": "nginx",
                "remove": [f"{run}/front/ready.sock"],
                "directories": [{"path": f"{run}/front", "mode": 0o755}],
                "stop": {"signal": "QUIT", "timeout_ms": 2500},
            },
        },
    }


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    init, agent, nginx = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="casque-port-80.") as here:
        run = pathlib.Path(here, "run/casque")
        (run / "agent").mkdir(parents=True)
        port = free_port()
        configuration = pathlib.Path(here, "nginx.conf")
        good = NGINX.format(here=here, port=port)
        configuration.write_text(good)
        (run / "agent/config.json").write_text(json.dumps({
            "product": {"name": "vendor/backend", "version": "1", "command": "backend"},
            "status_path": "/status", "status_agent": "monitor", "status_token": "token", "warnings": [],
        }))
        path = pathlib.Path(here, "plan.json")
        path.write_text(json.dumps(plan(here, port, agent, nginx)))
        control = Control(run / "control.sock")
        with open(f"{here}/log", "wb") as log:
            pid_1 = subprocess.Popen([init, "--plan", str(path), "--control", control.path], stdout=log, stderr=log)
        try:
            began = time.monotonic()
            # The first seconds are the start's own; from the moment the port is open each request is answered.
            while ask_page(port) == "ConnectionRefusedError":
                if time.monotonic() > began + 5:
                    sys.exit(f"the port is not open after 5 s: {pathlib.Path(here, 'log').read_text()}")
            load = Load(port)
            events = scenario(control, load, configuration, good)
            answers = load.stop()
        finally:
            pid_1.send_signal(signal.SIGTERM)
            pid_1.wait()
        kinds = collections.Counter(answer for _, answer in answers)
        print("answers:", dict(sorted(kinds.items())))
        bad = [(when, answer) for when, answer in answers if answer not in ("200", "503")]
        for when, answer in bad:
            before = [name for at, name in events if at <= when]
            print(f"  {answer} after: {before[-1] if before else 'the start'}")
        missing = [code for code in ("200", "503") if not kinds[code]]
        if bad or missing:
            print(pathlib.Path(here, "log").read_text())
            sys.exit("not every request was answered" if bad else f"nobody ever answered {missing}")


def scenario(control, load, configuration, good):
    """Does everything to the front that may happen to it; returns what and when."""
    events = []

    def step(name, act):
        events.append((time.monotonic(), name))
        act()
        return name

    def ready_after(restarts):
        front = control.until("it is ready again", lambda f: f["state"] == "ready" and f["restarts"] > restarts)
        load.until_served(RATE // 2)
        return front

    front = control.until("it is ready", lambda f: f["state"] == "ready")
    for _ in range(3):
        step("kill -9 of nginx", lambda: os.kill(front["pid"], signal.SIGKILL))
        front = ready_after(front["restarts"])
    for _ in range(3):
        step("a restart", lambda: control.ask(command="restart", service="front"))
        front = ready_after(front["restarts"])
    step("a broken nginx.conf", lambda: configuration.write_text("nonsense;"))
    step("kill -9 of nginx with it", lambda: os.kill(front["pid"], signal.SIGKILL))
    front = control.until("it fails", lambda f: f["state"] == "backoff" and f.get("last_exit") == "exited with 1")
    step("a good nginx.conf", lambda: configuration.write_text(good))
    front = ready_after(front["restarts"])
    step("a stop", lambda: control.ask(command="stop", service="front"))
    step("a start", lambda: control.ask(command="start", service="front"))
    ready_after(front["restarts"])
    return events


if __name__ == "__main__":
    main()
