"""The supervisors side by side: each runs the same services and writes what they say into files."""

import json
import os
import signal
import subprocess
from pathlib import Path

# Larger than what is written, so that nobody rotates; multilog takes no more than its own limit, in as many files as are needed.
LARGE = 1 << 30
MULTILOG = 16777215


class Supervisor:
    """One of them: where it keeps its configuration, how it is started and told to stop."""

    stop_signal = signal.SIGTERM

    def __init__(self, directory, program=None):
        self.directory, self.program = Path(directory), program
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True)

    def script(self, path, *lines):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        path.chmod(0o755)

    def prepare(self, services):
        """Writes the configuration for services, a dictionary of argument vectors by name."""
        raise NotImplementedError

    def command(self):
        """Returns the argument vector to start it with."""
        raise NotImplementedError

    def stop(self, process):
        """Tells it to stop everything in its own best way."""
        process.send_signal(self.stop_signal)

    def files(self, name):
        """Returns the files that hold what a service has said."""
        return [path for path in self.logs.glob(f"{name}*") if path.is_file()]


class Casque(Supervisor):
    """As in an image: to standard output and into a file for each service."""

    name = "casque-init"

    def prepare(self, services):
        restart = {"policy": "always", "limit": 50, "delay_ms": 500, "max_delay_ms": 15_000, "stable_ms": 1_000}
        plan = {
            "version": 1,
            "product": {"name": "casque/bench", "version": "1", "command": "bench"},
            "listen": [], "stop_budget_ms": 9_000, "mask": ["a secret of the bench"], "agent_uid": 1,
            "logs": {"directory": str(self.logs), "limit": {"size": LARGE, "files": 5}},
            "services": {
                name: {
                    "kind": "simple", "command": command, "start_timeout_ms": 60_000, "restart": restart, "critical": False,
                    "stop": {"signal": "TERM", "timeout_ms": 4_000},
                }
                for name, command in services.items()
            },
        }
        (self.directory / "plan.json").write_text(json.dumps(plan))

    def command(self):
        return [self.program, "--plan", str(self.directory / "plan.json"), "--control", str(self.directory / "control")]


class Supervisord(Supervisor):
    name = "supervisord"

    def prepare(self, services):
        text = ["[supervisord]", "nodaemon=true", f"logfile={self.directory}/own.log", f"pidfile={self.directory}/pid", "user=root"]
        for name, command in services.items():
            text += [
                f"[program:{name}]", f"command={' '.join(command)}", "startsecs=0", "startretries=1000", "autorestart=true",
                "redirect_stderr=true", f"stdout_logfile={self.logs}/{name}.log", f"stdout_logfile_maxbytes={LARGE}",
            ]
        (self.directory / "conf").write_text("\n".join(text) + "\n")

    def command(self):
        return ["supervisord", "--configuration", str(self.directory / "conf")]


class Directories(Supervisor):
    """Those that look for a directory for each service, with another one for its logger."""

    def prepare(self, services):
        self.services = sorted(services)
        for name, command in services.items():
            (self.logs / name).mkdir()
            self.script(self.directory / "services" / name / "run", "exec 2>&1", f"exec {' '.join(command)}")
            self.script(self.directory / "services" / name / "log" / "run", f"exec {self.logger(name)}")

    def files(self, name):
        return [path for path in (self.logs / name).iterdir() if path.name.startswith(("current", "@"))]


class S6(Directories):
    name = "s6"

    def logger(self, name):
        return f"s6-log n20 s{LARGE >> 2} {self.logs}/{name}"

    def command(self):
        return ["s6-svscan", str(self.directory / "services")]


class Runit(Directories):
    name = "runit"
    # TERM leaves the services running.
    stop_signal = signal.SIGHUP

    def logger(self, name):
        (self.logs / name / "config").write_text(f"s{LARGE}\nn20\n")
        return f"svlogd {self.logs}/{name}"

    def command(self):
        return ["runsvdir", str(self.directory / "services")]


class Daemontools(Directories):
    name = "daemontools"

    def logger(self, name):
        return f"multilog s{MULTILOG} n100 {self.logs}/{name}"

    def command(self):
        return ["svscan", str(self.directory / "services")]

    def stop(self, process):
        """Has no signal for it: first svscan, which would start them anew, then everything by name."""
        process.send_signal(signal.SIGTERM)
        places = [f"{self.directory}/services/{name}" for name in self.services]
        subprocess.run(["svc", "-dx", *places, *(f"{place}/log" for place in places)], check=True)


class Horust(Supervisor):
    name = "horust"

    def prepare(self, services):
        for name, command in services.items():
            path = self.directory / "services" / f"{name}.toml"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join([
                f"command = {json.dumps(' '.join(command))}", f'stdout = "{self.logs}/{name}.log"',
                # Without one the service gets the file itself, and nobody captures anything.
                'stdout-rotate-size = "1 GB"',
                "[restart]", 'strategy = "always"', "attempts = 1000", "[termination]", 'signal = "TERM"', 'wait = "5s"',
                "[environment]", "keep-env = true",
            ]) + "\n")

    def command(self):
        return [self.program, "--services-path", str(self.directory / "services"), "--uds-folder-path", str(self.directory)]


KINDS = [Casque, Supervisord, S6, Runit, Daemontools, Horust]


def is_there(kind, program):
    """Says whether this one can be measured here."""
    return bool(program and os.access(program, os.X_OK)) if kind in (Casque, Horust) else True
