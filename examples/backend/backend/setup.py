"""Makes the database's users, indexes and the first account: `python -m backend.setup`.

It may run at any time and any number of times. A database that is not built in has its users from whoever
runs it, and the one that is given need only read and write. MongoDB lets the first user be made
without a password from the machine itself, and nobody else be made before.
"""

import os
import sys
import time

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from backend import accounts, settings, store

DEFAULT_PATH = "/etc/backend/setup.ini"
DEADLINE = 120
PAUSE = 0.5
AUTHENTICATION_FAILED, UNAUTHORIZED = 18, 13


class SetupError(Exception):
    """The database cannot be set up; the text says why."""


def connect(address, **credentials):
    """Returns a client of the one server at `address`."""
    return MongoClient(
        f"mongodb://{address}/",
        directConnection=True,
        serverSelectionTimeoutMS=5000,
        serverMonitoringMode="poll",
        appname="backend-setup",
        **credentials,
    )


def as_administrator(address, user, password):
    """Returns a client that has logged in as the database's administrator, who is made if nobody is there."""
    if not administrator_exists(address, user, password):
        make_administrator(address, user, password)
    return connect(address, username=user, password=password, authSource="admin")


def administrator_exists(address, user, password):
    """Returns whether the administrator can log in."""
    with connect(address, username=user, password=password, authSource="admin") as client:
        try:
            client.admin.command("ping")
        except OperationFailure as failure:
            if failure.code != AUTHENTICATION_FAILED:
                raise
            return False
    return True


def make_administrator(address, user, password):
    """Makes the first user of a database that has none."""
    with connect(address) as nobody:
        try:
            nobody.admin.command("createUser", user, pwd=password, roles=["root"])
        except OperationFailure as failure:
            if failure.code != UNAUTHORIZED:
                raise
            raise SetupError(f"MongoDB has users, and `{user}` with the password set here is not one of them") from failure


def give_user(database, user, password):
    """Makes the application's user, or gives it the password that is set now."""
    roles = [{"role": "readWrite", "db": database.name}]
    known = database.command("usersInfo", user)["users"]
    database.command("updateUser" if known else "createUser", user, pwd=password, roles=roles)


def set_up(parser):
    """Does everything once."""
    if url := settings.text(parser, "mongodb", "url"):
        with MongoClient(url, serverSelectionTimeoutMS=5000, tz_aware=True, appname="backend-setup") as client:
            fill(client.get_default_database(settings.text(parser, "mongodb", "database")), parser)
        return
    address = settings.text(parser, "mongodb", "address")
    administrator = settings.text(parser, "mongodb", "admin_user")
    with as_administrator(address, administrator, settings.text(parser, "mongodb", "admin_password")) as client:
        database = client[settings.text(parser, "mongodb", "database")]
        give_user(database, settings.text(parser, "mongodb", "user"), settings.text(parser, "mongodb", "password"))
        fill(database, parser)


def fill(database, parser):
    """Makes indexes and the first account where they are not there yet."""
    store.create_indexes(database)
    made = accounts.create_administrator(database, settings.text(parser, "account", "first_password"))
    print("the first account was made" if made else "the first account is there", flush=True)


def main():
    """Tries until the database answers, then returns the exit code."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            set_up(settings.read(os.environ.get("BACKEND_SETUP", DEFAULT_PATH)))
            return 0
        except AutoReconnect as error:
            if time.monotonic() > deadline:
                print(f"error: the database does not answer: {error}", file=sys.stderr)
                return 1
            time.sleep(PAUSE)
        except (SetupError, settings.SettingsError, PyMongoError) as error:
            print(f"error: cannot set up the database: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
