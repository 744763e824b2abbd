"""Files that must agree with each other do."""

import re
import runpy
import tomllib
import unittest
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from backend.version import VERSION

EXAMPLE = Path(__file__).resolve().parent.parent


def manifest(name):
    """Returns a manifest's content."""
    return tomllib.loads((EXAMPLE / name).read_text(encoding="utf-8"))


class Agreement(unittest.TestCase):
    def test_the_image_has_the_application_s_version(self):
        self.assertEqual(manifest("casque.toml")["image"]["version"], VERSION)

    def test_the_layered_manifest_differs_in_its_layers_only(self):
        plain, layered = manifest("casque.toml"), manifest("casque.layered.toml")
        self.assertEqual(layered.pop("layer")[-1:], plain.pop("layer"))
        self.assertEqual(layered, plain)

    def test_every_setting_is_marked_and_every_mark_is_a_setting(self):
        marks = re.findall(r"@casque\{([a-z0-9-]+)", (EXAMPLE / "shipping/group_vars/docker.yml").read_text(encoding="utf-8"))
        self.assertEqual(set(marks), set(manifest("casque.toml")["settings"]))

    def test_only_one_stage_knows_the_image_s_tool(self):
        naming = {
            path.relative_to(EXAMPLE).as_posix()
            for directory in ("shipping", "backend")
            for path in (EXAMPLE / directory).rglob("*")
            if path.is_file() and path.suffix != ".pyc" and "casque" in path.read_text(encoding="utf-8")
        }
        self.assertEqual(naming, {"shipping/group_vars/docker.yml"})

    def test_the_orders_are_what_their_generator_writes(self):
        written = StringIO()
        with redirect_stdout(written):
            runpy.run_path(str(EXAMPLE / "data/generate.py"), run_name="__main__")
        self.assertEqual(written.getvalue(), (EXAMPLE / "data/orders.csv").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
