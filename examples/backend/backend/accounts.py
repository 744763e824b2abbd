"""Accounts: scrypt hashes, the forced change of a first password, and sessions that end with it."""

from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError
from werkzeug.security import check_password_hash, generate_password_hash

from backend.store import database

ADMINISTRATOR = "admin"
SHORTEST = 12
LONGEST = 256

# Checked when an account does not exist, so that the answer takes as long as if it did.
_NOBODY = generate_password_hash("nobody has this password")


class PasswordRefused(Exception):
    """A new password cannot be taken; the text says why."""


def create_administrator(target, first_password):
    """Makes the first account unless it exists; returns whether it was made."""
    account = {
        "name": ADMINISTRATOR,
        "password": generate_password_hash(first_password),
        "must_change": True,
        "epoch": 0,
        "created": datetime.now(UTC),
    }
    try:
        result = target.accounts.update_one({"name": ADMINISTRATOR}, {"$setOnInsert": account}, upsert=True)
    except DuplicateKeyError:
        return False
    return result.upserted_id is not None


def verify(name, password):
    """Returns the account whose name and password these are, or None."""
    account = database().accounts.find_one({"name": name})
    known = account["password"] if account else _NOBODY
    right = check_password_hash(known, password)
    return account if account and right else None


def of_session(name, epoch):
    """Returns the account of a session, or None when its password was changed since."""
    return database().accounts.find_one({"name": name, "epoch": epoch})


def change_password(account, old, new):
    """Gives `account` a new password and returns the epoch of sessions that stay valid."""
    if not check_password_hash(account["password"], old):
        raise PasswordRefused("the current password is not right")
    if not SHORTEST <= len(new) <= LONGEST:
        raise PasswordRefused(f"a password has {SHORTEST} to {LONGEST} characters")
    if new == old:
        raise PasswordRefused("the new password is the current one")
    epoch = account["epoch"] + 1
    result = database().accounts.update_one(
        {"_id": account["_id"], "epoch": account["epoch"]},
        {"$set": {"password": generate_password_hash(new), "must_change": False, "epoch": epoch}},
    )
    if result.modified_count != 1:
        raise PasswordRefused("the password was changed by somebody else at this moment")
    return epoch
