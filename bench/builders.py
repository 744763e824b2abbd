"""The builders side by side: each has the recipe of examples/backend, a source of its own, and an archive when it ends."""

import os
import shutil
import subprocess
from pathlib import Path

from measure import run

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "backend"
# What the playbook gets, so that changing what a layer of its own copies does not run it again.
PARTS = ["Makefile", "VERSION", "backend", "requirements-mongodb.lock", "requirements.lock", "shipping"]
MANIFESTS = {"plain": "casque.toml", "layered": "casque.layered.toml"}
# What casque keeps of downloads; the rest of its cache is what building made.
DOWNLOADS = ["store"]
# The leaf that gets a security update: first as the release had it, then as it is today.
LEAF = "redis-*"
PIN = f'[[base.pin]]\npackages = ["{LEAF}"]\narchive = "bookworm"\npriority = 1001\n\n'
# The pin of Python that moves.
MOVED = ["prompt-toolkit==3.0.53", "prompt-toolkit==3.0.52"]
MOVED_HASHES = [
    "01c0891d7f9237d5e339f7d3e42cdae80b7534abb1c7c0e3352efba6231492f2",
    "9aac639a3bbd33284347de5ad8d68ecc044b91a762dc39b7c21095fcd6a19955",
]


def edit(path, change):
    path.write_text(change(path.read_text()))


class Builder:
    """What the recipe is to every builder: a copy of the example, and the changes that a vendor makes to it."""

    def __init__(self, recipe, work, label):
        self.recipe, self.work = recipe, work
        self.log = work / f"{label}.log"
        self.source = work / f"{label}-source"
        self.archive = work / f"{label}.tar"
        shutil.copytree(EXAMPLE, self.source, ignore=shutil.ignore_patterns("__pycache__"))
        (self.source / "extra").mkdir()
        (self.source / "extra" / "notice.txt").write_text("As delivered.\n")

    def change_playbook_file(self, number):
        """Changes what the playbook deploys: a part of every page."""
        edit(self.source / "backend/templates/base.html", lambda text: f"{text}<!-- {number} -->\n")

    def change_copied_file(self, number):
        """Changes what a layer of its own copies."""
        edit(self.source / "extra" / "notice.txt", lambda text: f"{text}{number}\n")

    def move_python_pin(self):
        def change(text):
            for before, after in (MOVED, MOVED_HASHES):
                assert before in text, f"requirements.lock no longer has {before}"
                text = text.replace(before, after)
            return text

        edit(self.source / "requirements.lock", change)

    def update_leaf(self):
        """Takes the security update of a leaf package."""
        raise NotImplementedError


class Casque(Builder):
    """casque build; its archive is there when it ends."""

    name = "casque build"

    def __init__(self, program, recipe, work):
        super().__init__(recipe, work, "casque")
        self.program = program
        self.manifest = self.source / MANIFESTS[recipe]
        self.warm, self.cache = work / "casque-warm", work / "casque-cache"
        copied = '\n[[layer]]\nname = "extra"\ncopy = [{ from = "extra", to = "/opt/extra" }]\n'
        pin = PIN if recipe == "layered" else ""
        edit(self.manifest, lambda text: text.replace("\n[data]\n", f"{copied}\n{pin}[data]\n", 1))
        parts = ", ".join(f'{{ from = "{part}", to = "/src/{part}" }}' for part in PARTS)
        edit(self.manifest, lambda text: text.replace('{ from = ".", to = "/src" }', parts))

    def warm_up(self):
        """Locks anew, with today's archives, and fills the cache of downloads."""
        run([self.program, "lock", "--update", self.manifest, "--cache", self.warm], self.log)
        self._build(self.warm)

    def cold(self):
        """Builds with the downloads alone."""
        self._take(DOWNLOADS)
        return self.build

    def after_another_build(self):
        """Builds with what an earlier build of other layers unpacked and compiled, and none of its layers."""
        self._take([*DOWNLOADS, "unpacked", "bytecode"])
        return self.build

    def build(self):
        self._build(self.cache)

    def build_directory(self):
        """Brings a directory in OCI layout up to date."""
        self._build(self.cache, f"oci:{self.work / 'casque-oci'}")

    def lock(self):
        """Resolves everything from metadata that is there."""
        run([self.program, "lock", "--dry-run", self.manifest, "--cache", self.cache], self.log)

    def update_leaf(self):
        edit(self.manifest, lambda text: text.replace(PIN, ""))

    def leaf_version(self):
        """Returns the version of the leaf as the lock has it."""
        lock = self.manifest.with_suffix(".lock").read_text()
        return lock.split('name = "redis-server"\nversion = "', 1)[1].split('"', 1)[0]

    def remove(self):
        pass

    def _take(self, names):
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir()
        for name in names:
            if (self.warm / name).exists():
                shutil.copytree(self.warm / name, self.cache / name, symlinks=True, copy_function=os.link)

    def _build(self, cache, output=None):
        run([self.program, "build", self.manifest, "--cache", cache, "--output", output or self.archive], self.log)


class Dockerfile(Builder):
    """The same recipe as a Dockerfile."""

    def __init__(self, recipe, work, label):
        super().__init__(recipe, work, label)
        shutil.copy(ROOT / "bench" / f"Dockerfile.{recipe}", self.source / "Dockerfile")
        mounts = " ".join(f"--mount=type=bind,source={part},target=/src/{part},rw" for part in PARTS)
        self._edit("--mount=type=bind,target=/src,rw", mounts)
        self._edit("EXPOSE", "COPY extra /opt/extra\nEXPOSE")
        self.tag = f"casque-bench-{recipe}"

    def pin_leaf(self, version):
        """Begins with the leaf as the release had it."""
        self.leaf = f"redis-server={version} redis-tools={version}"
        self._edit("redis-server", self.leaf)

    def update_leaf(self):
        self._edit(self.leaf, "redis-server")

    def _edit(self, before, after):
        edit(self.source / "Dockerfile", lambda text: text.replace(before, after, 1))

    def secrets(self):
        certificates = os.environ.get("SSL_CERT_FILE")
        return ["--secret", f"id=ca,src={certificates}"] if certificates else []


class Docker(Dockerfile):
    """docker build and docker save, which gives what a customer downloads."""

    name = "docker build + save"

    def __init__(self, program, recipe, work):
        super().__init__(recipe, work, "docker")
        self.program = program

    def warm_up(self):
        """Fills the cache mounts of apt and pip."""
        self._build("--no-cache")

    def cold(self):
        """Builds without layers from before; cache mounts stay."""
        return lambda: self._build("--no-cache")

    def build(self):
        self._build()

    def remove(self):
        subprocess.run([self.program, "image", "rm", "--force", self.tag], stdout=subprocess.DEVNULL, check=False)

    def _build(self, *arguments):
        command = [self.program, "build", "--network", "host", "--tag", self.tag, *self.secrets(), *arguments, "."]
        run(command, self.log, cwd=self.source, env={**os.environ, "DOCKER_BUILDKIT": "1"})
        run([self.program, "save", "--output", self.archive, self.tag], self.log)


class Buildah(Dockerfile):
    """buildah build and buildah push to a docker-archive, in a store of its own."""

    name = "buildah build + push"

    def __init__(self, base, recipe, work):
        super().__init__(recipe, work, "buildah")
        store = work / "buildah-store"
        self.program = ["buildah", "--root", store / "root", "--runroot", store / "run", "--storage-driver", "overlay"]
        # buildah keeps what its cache mounts hold below the temporary directory.
        temporary = work / "buildah-tmp"
        temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(temporary)}
        self.import_base(base)

    def import_base(self, base):
        run([*self.program, "from", "--name", "base", "scratch"], self.log, env=self.environment)
        run([*self.program, "add", "base", base, "/"], self.log, env=self.environment)
        run([*self.program, "commit", "base", "casque-bench-base"], self.log, env=self.environment)

    def warm_up(self):
        self._build("--no-cache")

    def cold(self):
        return lambda: self._build("--no-cache")

    def build(self):
        self._build()

    def remove(self):
        subprocess.run([*self.program, "rm", "--all"], stdout=subprocess.DEVNULL, check=False)
        subprocess.run([*self.program, "rmi", "--all", "--force"], stdout=subprocess.DEVNULL, check=False)

    def _build(self, *arguments):
        command = [*self.program, "build", "--layers", "--isolation", "chroot", "--network", "host", "--tag", self.tag]
        run([*command, *self.secrets(), *arguments, "."], self.log, cwd=self.source, env=self.environment)
        self.archive.unlink(missing_ok=True)
        target = f"docker-archive:{self.archive}:{self.tag}:latest"
        run([*self.program, "push", self.tag, target], self.log, env=self.environment)


class Mmdebstrap(Builder):
    """mmdebstrap, pip and the playbook in its root: everything again, whatever changed."""

    name = "mmdebstrap + pip"

    def __init__(self, recipe, work):
        super().__init__(recipe, work, "mmdebstrap")
        self.downloads = work / "mmdebstrap-downloads"
        (self.downloads / "pip").mkdir(parents=True)
        (self.downloads / "archives").mkdir()

    def warm_up(self):
        self.build()

    def cold(self):
        return self.build

    def build(self):
        command = [ROOT / "bench/mmdebstrap.sh", self.recipe, self.source, self.downloads, self.archive]
        run(command, self.log)

    def remove(self):
        pass
