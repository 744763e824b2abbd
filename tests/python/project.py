"""Writes the files of the project that name each other by hash: project.py DIRECTORY EXAMPLE-LOCK MORE-LOCK."""

import base64
import hashlib
import os
import shutil
import sys
import zipfile

# A wheel with everything that wheels can have.
INFORMATION = "foo-1.0.dist-info"
FILES = {
    "foo/__init__.py": "def main():\n    print('foo')\n",
    "foo-1.0.data/purelib/foo_pure.py": "x = 1\n",
    "foo-1.0.data/platlib/foo_plat.py": "x = 2\n",
    "foo-1.0.data/scripts/foo-script": "#!python\nimport sys\nprint('foo, by ' + sys.executable)\n",
    "foo-1.0.data/scripts/foo-shell": "#!/bin/sh\nexit 0\n",
    "foo-1.0.data/headers/foo.h": "/* foo */\n",
    "foo-1.0.data/data/share/foo/data.txt": "data\n",
    f"{INFORMATION}/METADATA": "Metadata-Version: 2.1\nName: foo\nVersion: 1.0\nRequires-Dist: docopt>=0.6\n",
    f"{INFORMATION}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFORMATION}/entry_points.txt": "[console_scripts]\nfoo = foo:main\n[gui_scripts]\nfoo-window = foo:main\n",
}
# Sources alone, in Python and in C; extras, whose needs have lines of their own; a file by its address.
OTHER = """\
-r more.lock
--only-binary amqp
docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491
crcmod==1.7 ; python_version >= "3" \\
    --hash=sha256:dc7051a0db5f2bd48665a990d3ec1cc305a466a77358ca4492826f41f283601e
    # via nothing
redis[hiredis]==5.0.1 ; python_full_version >= "3.11.3" or python_version < "4" \\
    --hash=sha256:ed4802971884ae19d640775ba3b03aa2e7bd5e8fb8dfaed2decce4d0fc48391f
colorama==0.4.6 ; sys_platform == "win32" --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
./wheels/foo-1.0-py3-none-any.whl --hash=sha256:{foo}
"""
LIB = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "lib"\nversion = "2.0"\ndependencies = ["foo"]\n[project.scripts]\nlib = "lib:main"\n',
    "lib/__init__.py": "def main():\n    print('lib')\n",
}


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(directory, example, more):
    wheel = os.path.join(directory, "wheels/foo-1.0-py3-none-any.whl")
    os.makedirs(os.path.dirname(wheel), exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in FILES.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            archive.writestr(entry, text)
        rows = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in FILES.items())
        rows += f"{INFORMATION}/RECORD,,\n"
        archive.writestr(zipfile.ZipInfo(f"{INFORMATION}/RECORD"), rows)
    with open(wheel, "rb") as file:
        foo = hashlib.sha256(file.read()).hexdigest()
    write(os.path.join(directory, "other.lock"), OTHER.replace("{foo}", foo))
    for name, text in LIB.items():
        write(os.path.join(directory, "lib", name), text)
    shutil.copy(example, os.path.join(directory, "example.lock"))
    shutil.copy(more, os.path.join(directory, "more.lock"))


main(*sys.argv[1:])
