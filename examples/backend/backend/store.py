"""What is kept in MongoDB: accounts, data sets, reports, one summary."""

from functools import cache

import gridfs
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ASCENDING, DESCENDING, MongoClient

from backend.settings import current


@cache
def database():
    """Returns the database. Called first after a fork, for a client must not cross one."""
    settings = current()
    return connect(settings).get_default_database(settings.mongodb_database)


def connect(settings):
    """Returns a client of the server that is built in, or of the one that the settings name."""
    if settings.mongodb_url:
        where = {"host": settings.mongodb_url}
    else:
        where = {
            "host": f"mongodb://{settings.mongodb_address}/",
            "username": settings.mongodb_user,
            "password": settings.mongodb_password,
            "authSource": settings.mongodb_database,
        }
    return MongoClient(
        **where,
        serverSelectionTimeoutMS=3000,
        connectTimeoutMS=3000,
        socketTimeoutMS=20000,
        # What was answered is in the journal: a mongod that is killed forgets the last moments of everything else.
        w="majority",
        journal=True,
        # A request asks at once whether the server is back, rather than wait for the next of a stream of reports.
        serverMonitoringMode="poll",
        tz_aware=True,
        appname="backend",
    )


def files():
    """Returns the bucket that holds the uploaded files."""
    return gridfs.GridFSBucket(database(), bucket_name="uploads")


def create_indexes(target):
    """Makes the indexes of `target`; those that are there stay."""
    target.accounts.create_index([("name", ASCENDING)], unique=True)
    target.datasets.create_index([("created", DESCENDING)])
    target.datasets.create_index([("state", ASCENDING), ("created", ASCENDING)])
    target.datasets.create_index([("mail", ASCENDING), ("finished", ASCENDING)])


def identifier(given):
    """Returns the id that `given` spells, or None."""
    try:
        return ObjectId(given)
    except InvalidId:
        return None
