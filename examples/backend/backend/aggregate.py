"""Turns a CSV of orders into totals, in whole cents, so that nothing is rounded."""

import csv
from collections import defaultdict
from datetime import date

COLUMNS = ("date", "region", "product", "quantity", "unit_price_cents")
HIGHEST_QUANTITY = 1_000_000
HIGHEST_PRICE = 100_000_000
# A JSON reader that keeps numbers as doubles is exact up to here.
HIGHEST_TOTAL = 2**53 - 1
MOST_GROUPS = 1000
LONGEST_NAME = 200


class DataRefused(Exception):
    """The file is not a table of orders; the text says where and why."""


def check_header(line):
    """Refuses a first line that does not name the columns."""
    names = next(csv.reader([line.rstrip("\r\n")]), [])
    if tuple(name.strip() for name in names) != COLUMNS:
        raise DataRefused(f"the first line must be `{','.join(COLUMNS)}`")


def aggregate(lines):
    """Returns the report of `lines`, an iterable of text lines that starts with the header."""
    lines = iter(lines)
    check_header(next(lines, ""))
    groups = {"region": defaultdict(_empty), "product": defaultdict(_empty), "month": defaultdict(_empty)}
    total = _empty()
    for number, row in _rows(lines):
        day, region, product, quantity, price = _order(number, row)
        for kind, name in (("region", region), ("product", product), ("month", day.strftime("%Y-%m"))):
            _add(groups[kind][name], quantity, price)
            if len(groups[kind]) > MOST_GROUPS:
                raise DataRefused(f"line {number}: more than {MOST_GROUPS} different values of `{kind}`")
        _add(total, quantity, price)
        if total["amount_cents"] > HIGHEST_TOTAL:
            raise DataRefused(f"line {number}: the total is beyond {HIGHEST_TOTAL} cents")
    if total["rows"] == 0:
        raise DataRefused("there is no order in the file")
    return {
        "total": total,
        "groups": {kind: [{"name": name, **sums} for name, sums in sorted(found.items())] for kind, found in groups.items()},
    }


def _empty():
    return {"rows": 0, "quantity": 0, "amount_cents": 0}


def _add(sums, quantity, price):
    sums["rows"] += 1
    sums["quantity"] += quantity
    sums["amount_cents"] += quantity * price


def _rows(lines):
    """Yields each row that is not empty with its line number."""
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num + 1, row
    except csv.Error as error:
        raise DataRefused(f"line {reader.line_num + 1}: {error}") from error


def _order(number, row):
    """Returns one row with each value in its type."""
    if len(row) != len(COLUMNS):
        raise DataRefused(f"line {number}: {len(row)} values instead of {len(COLUMNS)}")
    try:
        day = date.fromisoformat(row[0])
    except ValueError:
        raise DataRefused(f"line {number}: `{_shown(row[0])}` is not a date such as 2023-01-31") from None
    for column in (1, 2):
        if not 0 < len(row[column]) <= LONGEST_NAME:
            raise DataRefused(f"line {number}: `{COLUMNS[column]}` has 1 to {LONGEST_NAME} characters")
    quantity = _whole(number, row, 3, 1, HIGHEST_QUANTITY)
    price = _whole(number, row, 4, 0, HIGHEST_PRICE)
    return day, row[1], row[2], quantity, price


def _whole(number, row, column, lowest, highest):
    """Returns a whole number within its limits, written in plain digits."""
    given = row[column]
    # The length is looked at first: a long run of digits is expensive to convert.
    if len(given) <= 12 and given.isascii() and given.isdigit() and lowest <= int(given) <= highest:
        return int(given)
    raise DataRefused(
        f"line {number}: `{COLUMNS[column]}` is `{_shown(given)}`, not a whole number from {lowest} to {highest}"
    )


def _shown(value):
    """Returns what a message may repeat of a foreign value."""
    return value if len(value) <= 40 else f"{value[:40]}..."
