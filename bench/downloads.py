"""The two servers, and what downloads from them."""

import base64
import os
import socket
import ssl
import subprocess
import time
from pathlib import Path

from processes import descendants, pss, work

FILE = "docker_backend-v1.tar"


class Server:
    """A server on processors of its own, from its start to its end."""

    def __init__(self, options, scheme, cpus):
        self.options, self.scheme, self.cpus = options, scheme, cpus
        self.home = Path(options.home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(self.home / f"{self.name}.log", "wb")
        self.process = self.start()
        self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def run(self, command, **environment):
        pinned = ["taskset", "--cpu-list", ",".join(map(str, self.cpus)), *command]
        return subprocess.Popen(pinned, env=os.environ | environment, stdout=self.log, stderr=self.log)

    def wait(self):
        deadline = time.monotonic() + 20
        while subprocess.run(self.curl("--head", "--silent", "--output", "/dev/null", "--fail"), check=False).returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"error: {self.name} does not serve:\n{Path(self.log.name).read_text()}")
            time.sleep(0.05)

    def pids(self):
        return [self.process.pid, *descendants(self.process.pid)]

    def memory(self):
        """Returns the memory of all its processes, in bytes."""
        return sum(map(pss, self.pids())) * 1024

    def work(self):
        """Returns for how long its processes have run, in seconds."""
        return sum(map(work, self.pids())) / 1000

    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"

    def curl(self, *options):
        """Returns the command of a client that knows it."""
        return ["curl", "--cacert", str(self.home / "tls.crt"), "--config", str(self.home / "login"), *options, self.url()]

    def connect(self):
        """Opens a connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        if self.scheme == "http":
            return connection
        context = ssl.create_default_context(cafile=str(self.home / "tls.crt"))
        return context.wrap_socket(connection, server_hostname="127.0.0.1")

    def request(self, method):
        """Returns the bytes that ask for the file."""
        login = base64.b64encode((self.home / "login").read_text().split('"')[1].encode()).decode()
        return f"{method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {login}\r\n\r\n".encode()


class Depot(Server):
    name = "casque-depot"
    path = f"/backend/{FILE}"

    def start(self):
        secure = {f"CASQUE_DEPOT_TLS_{key}": str(self.home / f"tls.{end}") for key, end in (("CERTIFICATE", "crt"), ("KEY", "key"))}
        return self.run([self.options.depot, "serve"], CASQUE_DEPOT_LISTEN=f"127.0.0.1:{self.port}", **(secure if self.scheme == "https" else {}))


class Nginx(Server):
    name = "nginx"
    path = f"/{FILE}"

    def start(self):
        here = self.home / "nginx"
        here.mkdir(exist_ok=True)
        temporary = "\n".join(f"{kind}_temp_path {here}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        secure = "ssl" if self.scheme == "https" else ""
        (here / "nginx.conf").write_text(f"""
pid {here}/nginx.pid;
worker_processes {len(self.cpus)};
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 8192; }}
http {{
    access_log {here}/access.log;
    {temporary}
    sendfile on;
    tcp_nopush on;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {self.home}/tls.crt;
    ssl_certificate_key {self.home}/tls.key;
    server {{
        listen 127.0.0.1:{self.port} {secure} backlog=4096;
        root {Path(self.options.file).parent};
    }}
}}
""")
        return self.run(["nginx", "-p", str(here), "-e", str(here / "error.log"), "-c", str(here / "nginx.conf"), "-g", "daemon off;"])
