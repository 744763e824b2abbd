"""The settings file, read once; every value is raw text after the first `=`."""

import configparser
import os
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import quote

DEFAULT_PATH = "/etc/backend/backend.ini"


class SettingsError(Exception):
    """The settings file cannot be used; the text says which key and why."""


@dataclass(frozen=True)
class Settings:
    """What one instance of the application is told from outside. Secrets stay out of its repr."""

    secret_key: str = field(repr=False)
    data_dir: str
    web_address: str
    web_workers: int
    upload_limit: int
    mongodb_url: str = field(repr=False)
    mongodb_address: str
    mongodb_user: str
    mongodb_password: str = field(repr=False)
    mongodb_database: str
    redis_external: str = field(repr=False)
    redis_address: str
    redis_password: str = field(repr=False)
    smtp_url: str = field(repr=False)
    mail_from: str
    mail_to: str

    @property
    def redis_url(self):
        """The broker as celery and redis want it: another one where it is given."""
        return self.redis_external or f"redis://:{quote(self.redis_password, safe='')}@{self.redis_address}/0"


def read(path):
    """Reads the file at `path` without interpolation, so that `%` in a password is only a `%`."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise SettingsError(f"cannot read the settings: {error}") from error
    return parser


def text(parser, section, key):
    """Returns a value that must be there, possibly empty."""
    try:
        return parser.get(section, key)
    except configparser.Error as error:
        raise SettingsError(f"cannot find `{key}` in [{section}]: {error}") from error


def number(parser, section, key, lowest, highest):
    """Returns a whole number within its limits."""
    given = text(parser, section, key)
    try:
        value = int(given)
    except ValueError:
        value = None
    if value is None or not lowest <= value <= highest:
        raise SettingsError(f"`{key}` in [{section}] is `{given}`, not a whole number from {lowest} to {highest}")
    return value


def load(path):
    """Returns the settings that the file at `path` holds."""
    parser = read(path)
    return Settings(
        secret_key=text(parser, "web", "secret_key"),
        data_dir=text(parser, "web", "data_dir"),
        web_address=text(parser, "web", "address"),
        web_workers=number(parser, "web", "workers", 1, 64),
        upload_limit=number(parser, "web", "upload_limit", 1024, 2**30),
        mongodb_url=text(parser, "mongodb", "url"),
        mongodb_address=text(parser, "mongodb", "address"),
        mongodb_user=text(parser, "mongodb", "user"),
        mongodb_password=text(parser, "mongodb", "password"),
        mongodb_database=text(parser, "mongodb", "database"),
        redis_external=text(parser, "redis", "url"),
        redis_address=text(parser, "redis", "address"),
        redis_password=text(parser, "redis", "password"),
        smtp_url=text(parser, "mail", "smtp_url"),
        mail_from=text(parser, "mail", "from"),
        mail_to=text(parser, "mail", "to"),
    )


@cache
def current():
    """Returns this process's settings; BACKEND_SETTINGS names another file."""
    return load(os.environ.get("BACKEND_SETTINGS", DEFAULT_PATH))
