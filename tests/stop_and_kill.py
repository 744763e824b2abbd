"""Keeps the example backend busy from inside its container, and says afterwards what of that is there.

usage: exec-as web python -c "$(cat stop_and_kill.py)" load | check MOMENT

`load` writes into MongoDB at `w: majority, j: true` and sends tasks to celery, until the database or the queue is gone.
It prints a line for each write that was acknowledged (`write ID`) and each task that the queue took (`task ID`).
`check` reads such lines and prints as one JSON object where each is; MOMENT, seconds of the epoch, divides what was
done before from what was done again. Celery's worker takes a message off the queue before it notes that it has it, so
that one may be nowhere for a moment, and for good if it is killed then: housekeeping asks again for the report of a data
set that was forgotten. Such tasks are waited for.
"""

import io
import json
import os
import sys
import threading
import time

import redis
from backend import reports
from backend.settings import current
from backend.store import database
from backend.tasks import make_report
from bson import ObjectId
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

# Writes a second that are asked for; what comes of it is counted outside.
RATE = 400
WRITERS = 8
# The queue is kept about this long, so that there is always a task in the works and some that wait.
BACKLOG = 12
ORDERS = b"date,region,product,quantity,unit_price_cents\n" + b"2023-01-01,east,hammer,13,2146\n" * 2000
PAYLOAD = "x" * 200
# After this long housekeeping has found a data set that was forgotten, and a worker has made its report.
PATIENCE = 240


def say(kind, identifier):
    """Prints a line in one piece, so that whoever reads it never sees half of it."""
    os.write(1, f"{kind} {identifier}\n".encode())


def written():
    return database().get_collection("written", write_concern=WriteConcern(w="majority", j=True))


def write(number):
    """Inserts at this writer's share of the rate."""
    collection, begin, count = written(), time.monotonic(), 0
    while True:
        identifier = ObjectId()
        collection.insert_one({"_id": identifier, "writer": number, "payload": PAYLOAD})
        say("write", identifier)
        count += 1
        time.sleep(max(0, begin + count * WRITERS / RATE - time.monotonic()))


def send(broker):
    """Stores data sets and asks for their reports, the task's id being the data set's."""
    while True:
        if broker.llen("celery") >= BACKLOG:
            time.sleep(0.02)
            continue
        identifier = reports.add("load", io.BytesIO(ORDERS))
        make_report.apply_async((str(identifier),), task_id=str(identifier), retry=False)
        say("task", identifier)


def load():
    """Runs until the first of them finds nobody who answers; then the rest may have a second to say what they have."""
    over = threading.Event()

    def until_gone(work, argument):
        try:
            work(argument)
        except Exception as gone:  # Whatever it is called: the container stops.
            print(f"{work.__name__}: {type(gone).__name__}: {gone}"[:300], file=sys.stderr)
        over.set()

    broker = redis.Redis.from_url(current().redis_url)
    threads = [threading.Thread(target=until_gone, args=(write, number), daemon=True) for number in range(WRITERS)]
    threads.append(threading.Thread(target=until_gone, args=(send, broker), daemon=True))
    for thread in threads:
        thread.start()
    over.wait()
    time.sleep(1)


def queued(broker):
    """Returns the ids of the tasks that wait in the queue, and of those that a worker has and may not have done."""
    waiting = {json.loads(message)["headers"]["id"] for message in broker.lrange("celery", 0, -1)}
    taken = {json.loads(message)[0]["headers"]["id"] for message in broker.hvals("unacked")}
    return waiting, taken


def check(moment):
    """Prints where everything is."""
    asked = {"write": [], "task": []}
    for line in sys.stdin:
        kind, identifier = line.split()
        asked[kind].append(identifier)
    tasks = places(asked["task"], moment)
    deadline = time.monotonic() + PATIENCE
    nowhere = tasks["nowhere"]
    while tasks["nowhere"] and time.monotonic() < deadline:
        time.sleep(1)
        tasks = places(asked["task"], moment)
    tasks["forgotten"] = len(nowhere) - len(tasks["nowhere"])
    ids = [ObjectId(identifier) for identifier in asked["write"]]
    there = set()
    for begin in range(0, len(ids), 10_000):
        found = written().find({"_id": {"$in": ids[begin : begin + 10_000]}}, {"_id": 1})
        there.update(str(document["_id"]) for document in found)
    lost = sorted(set(asked["write"]) - there)
    print(json.dumps({"writes": {"acknowledged": len(ids), "lost": lost}, "tasks": tasks}))


def places(identifiers, moment):
    """Counts tasks by where they are, looking in the direction in which they move: queue, worker, database."""
    waiting, taken = queued(redis.Redis.from_url(current().redis_url))
    tasks = {"sent": len(identifiers), "done": 0, "done_since": 0, "waiting": 0, "taken": 0, "nowhere": []}
    sets = data_sets(identifiers)
    for identifier in identifiers:
        state, finished = sets.get(identifier, ("no data set", None))
        if state == reports.READY:
            tasks["done" if finished < moment else "done_since"] += 1
        elif identifier in waiting:
            tasks["waiting"] += 1
        elif identifier in taken:
            tasks["taken"] += 1
        else:
            tasks["nowhere"].append(f"{identifier} ({state})")
    return tasks


def data_sets(identifiers):
    """Returns by id the states of data sets, and when each was finished."""
    ids = [ObjectId(identifier) for identifier in identifiers]
    found = database().datasets.find({"_id": {"$in": ids}}, {"state": 1, "finished": 1})
    when = lambda document: document["finished"].timestamp() if "finished" in document else None
    return {str(document["_id"]): (document["state"], when(document)) for document in found}


if sys.argv[1] == "load":
    load()
else:
    check(float(sys.argv[2]))
