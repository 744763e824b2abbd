"""A settings file is taken as it stands, whatever characters its passwords have."""

import tempfile
import unittest
from pathlib import Path

from backend.settings import SettingsError, load

FILE = """\
[web]
address = 127.0.0.1:8000
workers = {workers}
upload_limit = 33554432
data_dir = /data/backend
secret_key = {password}
[mongodb]
url =
address = 127.0.0.1:27017
database = backend
user = backend
password = {password}
[redis]
url = {redis}
address = 127.0.0.1:6379
password = {password}
[mail]
smtp_url =
from = backend@localhost
to =
"""


def loaded(**values):
    """Returns the settings of a file with these values."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "backend.ini"
        path.write_text(FILE.format(**{"redis": "", **values}), encoding="utf-8")
        return load(path)


class Settings(unittest.TestCase):
    def test_any_character_of_a_password_survives(self):
        for password in ("plain", "%(address)s 100%", "a=b;c#d", "@casque", '"quoted"', "ä€:/@?"):
            self.assertEqual(loaded(workers=2, password=password).redis_password, password)

    def test_the_broker_address_escapes_the_password(self):
        self.assertEqual(loaded(workers=2, password="a:/@ b").redis_url, "redis://:a%3A%2F%40%20b@127.0.0.1:6379/0")

    def test_a_broker_that_is_given_takes_the_place_of_the_built_in_one(self):
        given = "rediss://app:secret@cache.example/3"
        self.assertEqual(loaded(workers=2, password="p", redis=given).redis_url, given)

    def test_secrets_are_not_shown(self):
        self.assertNotIn("hidden", repr(loaded(workers=2, password="hidden")))

    def test_an_unset_setting_is_empty(self):
        self.assertEqual(loaded(workers=2, password="p").smtp_url, "")

    def test_a_number_outside_its_limits_is_refused_by_name(self):
        for workers in ("many", "0", "65"):
            with self.assertRaisesRegex(SettingsError, f"`workers` in \\[web\\] is `{workers}`, not a whole number from 1 to 64"):
                loaded(workers=workers, password="p")

    def test_a_missing_file_is_refused(self):
        with self.assertRaisesRegex(SettingsError, "cannot read the settings: .*nowhere"):
            load("/nowhere")


if __name__ == "__main__":
    unittest.main()
