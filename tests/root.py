"""Compares two root filesystems entry by entry; what is meant to differ is in a list, each line with its reason.

Usage: root.py ROOT OTHER EXCEPTIONS

A line of EXCEPTIONS is a pattern of fnmatch, spaces, and why. A line that excuses nothing is an error too.
"""

import fnmatch
import hashlib
import os
import stat
import sys


def describe(root, path, names):
    """Returns what is compared of one entry."""
    full = os.path.join(root, path)
    status = os.lstat(full)
    kind = stat.S_IFMT(status.st_mode)
    entry = {
        "type": oct(kind),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": f"{status.st_uid}:{status.st_gid}",
        "xattrs": {name: os.getxattr(full, name, follow_symlinks=False) for name in os.listxattr(full, follow_symlinks=False)},
    }
    if stat.S_ISLNK(status.st_mode):
        entry["target"] = os.readlink(full)
    if stat.S_ISREG(status.st_mode):
        entry["names"] = sorted(names[status.st_ino])
        entry["content"] = hashlib.sha256(content(root, path)).hexdigest()
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        entry["device"] = status.st_rdev
    return entry


def content(root, path):
    with open(os.path.join(root, path), "rb") as file:
        text = file.read()
    if path.startswith("var/lib/dpkg/info/") and path.endswith((".list", ".md5sums")):
        # dpkg records files that it was told to leave out.
        def is_there(line):
            return os.path.lexists(os.path.join(root, line.split("  ")[-1].lstrip("/")))

        return "\n".join(line for line in text.decode().splitlines() if is_there(line)).encode()
    if path in ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/lib/dpkg/triggers/File"):
        # The order of lines is the order of configuration, and casque's own user is in one of the two only.
        return b"\n".join(sorted(line for line in text.splitlines() if not line.startswith(b"casque:")))
    return text


def listing(root):
    paths, names = [], {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            full = os.path.join(directory, name)
            path = os.path.relpath(full, root)
            paths.append(path)
            names.setdefault(os.lstat(full).st_ino, []).append(path)
    return {path: describe(root, path, names) for path in paths}


def differences(left, right):
    for path in sorted(left.keys() | right.keys()):
        if path not in right:
            yield path, "is in the first only"
        elif path not in left:
            yield path, "is in the second only"
        elif left[path] != right[path]:
            facts = [fact for fact in left[path] if left[path][fact] != right[path].get(fact)]
            yield path, "; ".join(f"{fact}: {left[path][fact]} / {right[path].get(fact)}" for fact in facts)


def main():
    first, second, exceptions = sys.argv[1:]
    with open(exceptions, encoding="utf-8") as file:
        patterns = [line.split()[0] for line in file if line.strip() and not line.startswith("#")]
    used, failed = set(), False
    left, right = listing(first), listing(second)
    for path, difference in differences(left, right):
        pattern = next((pattern for pattern in patterns if fnmatch.fnmatchcase(path, pattern)), None)
        if pattern:
            used.add(pattern)
            continue
        failed = True
        print(f"{path}: {difference}", file=sys.stderr)
    for pattern in patterns:
        if pattern not in used:
            failed = True
            print(f"{exceptions}: `{pattern}` excuses nothing", file=sys.stderr)
    print(f"compared {len(left.keys() & right.keys())} entries")
    sys.exit(failed)


main()
