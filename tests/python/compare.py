"""Compares two virtual environments, the first made by casque and the second by pip, entry by entry.

What differs on purpose is taken out before: bytecode, what `python3 -m venv` writes beside the libraries, who the installer
was, the text around a command's entry point, and where the vendor's files were while they were installed.
"""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys

# Of `python3 -m venv`: shells' scripts, and pip, which casque takes from the same wheels.
OF_VENV = re.compile(
    r"bin/([Aa]ctivate.*|pip[0-9.]*)$|pyvenv.cfg$|include/python|"
    r"lib/python[0-9.]+/site-packages/(pip|setuptools|pkg_resources|_distutils_hack|distutils-precedence)"
)
# The same with every version of pip: what is imported and what is called.
COMMAND = re.compile(r"^from (\S+) import (\S+)\n.*sys\.exit\((\S+)\(\)\)\s*$", re.S | re.M)


def entries(root):
    found = {}
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files + [name for name in names if os.path.islink(os.path.join(directory, name))]:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            if not OF_VENV.match(relative):
                found[relative] = entry(path, relative)
    return found


def entry(path, relative):
    if os.path.islink(path):
        return "link", os.readlink(path)
    with open(path, "rb") as file:
        content = file.read()
    kind = oct(stat.S_IMODE(os.stat(path).st_mode))
    name = os.path.basename(relative)
    if ".dist-info/" in relative and name == "INSTALLER":
        content = b""
    elif ".dist-info/" in relative and name == "RECORD":
        content = record(content.decode())
    elif ".dist-info/" in relative and name == "direct_url.json":
        content = origin(json.loads(content))
    elif relative.startswith("bin/"):
        content = command(content)
    elif content.startswith(b"\x7fELF") and "/crcmod/" in relative:
        content = stripped(path)
    return kind, content


def record(text):
    """The hashes of what differs on purpose differ too; everything else is the same, in any order."""
    rows = []
    for path, digest, size in csv.reader(io.StringIO(text)):
        if path.startswith("../") and "/bin/" in path or path.endswith(("/INSTALLER", "/direct_url.json", "_crcfunext.cpython-311-x86_64-linux-gnu.so")):
            digest = size = ""
        rows.append((path, digest, size))
    return sorted(rows)


def stripped(path):
    """What was built tells a debugger where that was, and the linker makes an identifier of it."""
    copy = "/tmp/stripped"
    subprocess.run(["strip", "--remove-section=.note.gnu.build-id", "-o", copy, path], check=True)
    with open(copy, "rb") as file:
        return file.read()


def origin(document):
    """A file of the project was elsewhere; older versions of pip write no hash that stood beside it."""
    if "archive_info" in document:
        document["archive_info"] = {}
    if document["url"].startswith("file:"):
        document["url"] = document["url"].replace("file:///src/", "file:///")
    return document


def command(content):
    text = content.decode("utf-8", "surrogateescape")
    found = COMMAND.search(text)
    return (text.splitlines()[0], *found.groups()) if found else text


def main():
    ours, theirs = (entries(root) for root in sys.argv[1:])
    different = 0
    for path in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(path), theirs.get(path)
        if one != other:
            different += 1
            print(f"{path}\n  casque: {str(one)[:400]}\n  pip:    {str(other)[:400]}")
    print(f"{len(ours)} entries, {different} of them different")
    sys.exit(1 if different or len(ours) < 20 else 0)


main()
