"""Brings the data of an earlier version to what this one expects: `python -m backend.migrate`.

A step may be interrupted anywhere and is then repeated, and what it adds does not disturb the version before it.
"""

import sys
import time

from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from backend import settings, store
from backend.schema import bring_up_to_date
from backend.setup import AUTHENTICATION_FAILED, DEADLINE, PAUSE


class MigrationError(Exception):
    """A step cannot be done; the text says why."""


def note_sizes(database):
    """Notes with each data set how large its file is."""
    for dataset in database.datasets.find({"bytes": None}, {"name": 1}):
        file = database.uploads.files.find_one({"_id": dataset["_id"]}, {"length": 1})
        if file is None:
            raise MigrationError(f"the file of data set {dataset['_id']}, `{dataset['name']}`, is missing")
        database.datasets.update_one({"_id": dataset["_id"]}, {"$set": {"bytes": file["length"]}})


# In the order in which versions brought them. One that was released stays where it is.
STEPS = [note_sizes]


def wait_for_set_up(database):
    """Waits until the database answers and knows the application's user."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return database.command("ping")
        except (AutoReconnect, OperationFailure) as error:
            passes = isinstance(error, AutoReconnect) or error.code == AUTHENTICATION_FAILED
            if not passes or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


def main():
    """Returns the exit code."""
    try:
        database = store.database()
        wait_for_set_up(database)
        count = bring_up_to_date(database, STEPS)
    except (MigrationError, settings.SettingsError, PyMongoError) as error:
        print(f"error: cannot migrate: {error}", file=sys.stderr)
        return 1
    print(f"steps of migration done: {count}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
