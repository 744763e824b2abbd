"""Data sets and the reports on them. A report has its data set's id, so making it twice makes it once."""

from datetime import UTC, datetime

from bson import ObjectId
from pymongo import DESCENDING

from backend.store import database, files

WAITING, READY, REFUSED = "waiting", "ready", "refused"
DUE, SENT, GIVEN_UP = "due", "sent", "given up"
LISTED = 100


def add(name, stream):
    """Stores an uploaded file and returns the id of its data set."""
    identifier = ObjectId()
    files().upload_from_stream_with_id(identifier, name, stream)
    made = {"_id": identifier, "name": name, "bytes": stream.tell(), "created": datetime.now(UTC)}
    database().datasets.insert_one({**made, "state": WAITING, "result": None, "reason": None})
    return identifier


def find(identifier):
    """Returns one data set with its report, or None."""
    return database().datasets.find_one({"_id": identifier})


def newest():
    """Returns the newest data sets without their results."""
    return list(database().datasets.find({}, {"result": 0}).sort("created", DESCENDING).limit(LISTED))


def waiting_since(moment):
    """Returns the ids of data sets that have waited since before `moment`."""
    return [found["_id"] for found in database().datasets.find({"state": WAITING, "created": {"$lt": moment}}, {"_id": 1})]


def mail_due_since(moment):
    """Returns the ids of reports finished before `moment` whose mail is still due."""
    return [found["_id"] for found in database().datasets.find({"mail": DUE, "finished": {"$lt": moment}}, {"_id": 1})]


def note_mail(identifier, outcome):
    """Notes what became of the mail about a report."""
    database().datasets.update_one({"_id": identifier}, {"$set": {"mail": outcome}})


def finish(identifier, result, mail_wanted):
    """Stores a report; returns False when it was settled before."""
    return _settle(identifier, {"state": READY, "result": result, "mail": DUE if mail_wanted else None})


def refuse(identifier, reason):
    """Notes why a data set has no report; returns False when it was settled before."""
    return _settle(identifier, {"state": REFUSED, "reason": reason})


def _settle(identifier, changes):
    changes["finished"] = datetime.now(UTC)
    changed = database().datasets.update_one({"_id": identifier, "state": WAITING}, {"$set": changes})
    return changed.modified_count == 1


def summarise():
    """Counts the data sets by state and keeps the counts for the list of reports."""
    counts = {state: database().datasets.count_documents({"state": state}) for state in (WAITING, READY, REFUSED)}
    database().summary.replace_one({"_id": "counts"}, {**counts, "counted": datetime.now(UTC)}, upsert=True)
    return counts


def summary():
    """Returns the newest summary, or None before the first."""
    return database().summary.find_one({"_id": "counts"}, {"_id": 0})


def as_json(report):
    """Returns the form of `report` that the API gives."""
    document = {
        "id": str(report["_id"]),
        "name": report["name"],
        "state": report["state"],
        "created": _time(report["created"]),
    }
    if report.get("bytes"):
        document["bytes"] = report["bytes"]
    if report.get("finished"):
        document["finished"] = _time(report["finished"])
    if report.get("reason"):
        document["reason"] = report["reason"]
    if report.get("result"):
        document.update(report["result"])
    return document


def _time(moment):
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
