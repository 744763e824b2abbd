"""Writes orders.csv: orders of an invented company, the same bytes at every run.

The numbers come from a linear congruential generator written out here, so that
the file does not depend on the Python that runs this.
"""

import sys
from datetime import date, timedelta

ROWS = 4000
REGIONS = ("north", "east", "south", "west", "overseas")
PRODUCTS = (
    ("anvil", 12999),
    ("bellows", 4550),
    ("chisel", 1895),
    ("hammer", 2499),
    ("rasp", 1205),
    ("tongs", 3310),
    ("vice", 8745),
)


def numbers(seed):
    """Yields a fixed sequence of integers below 2**31."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def rows():
    """Yields each order as (date, region, product, quantity, unit price in cents)."""
    sequence = numbers(43)
    first = date(2023, 1, 1)
    for index in range(ROWS):
        day = first + timedelta(days=index * 365 // ROWS)
        region = REGIONS[next(sequence) % len(REGIONS) * (next(sequence) % 4) // 3]
        product, price = PRODUCTS[next(sequence) % len(PRODUCTS)]
        quantity = 1 + next(sequence) % 25
        discount = next(sequence) % (price // 5)
        yield day.isoformat(), region, product, quantity, price - discount


def main():
    """Writes the file to standard output."""
    sys.stdout.write("date,region,product,quantity,unit_price_cents\n")
    for row in rows():
        sys.stdout.write(",".join(str(cell) for cell in row) + "\n")


if __name__ == "__main__":
    main()
