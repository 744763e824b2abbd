"""What the database notes about the steps of its migration: how many are done."""

NOTE = "steps"


def bring_up_to_date(database, steps):
    """Does the steps that are not done yet, in order; returns how many."""
    noted = database.schema.find_one({"_id": NOTE}) or {"done": 0}
    missing = steps[noted["done"] :]
    for number, step in enumerate(missing, noted["done"] + 1):
        step(database)
        database.schema.replace_one({"_id": NOTE}, {"done": number}, upsert=True)
    return len(missing)
