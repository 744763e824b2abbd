"""Totals are exact, and a refusal names its line."""

import unittest
from pathlib import Path

from backend.aggregate import HIGHEST_PRICE, HIGHEST_QUANTITY, DataRefused, aggregate

HEADER = "date,region,product,quantity,unit_price_cents\n"
ORDERS = Path(__file__).resolve().parent.parent / "data" / "orders.csv"


def refusal(*lines):
    """Returns why these lines are refused."""
    try:
        aggregate([HEADER, *lines])
    except DataRefused as reason:
        return str(reason)
    raise AssertionError("the data was taken")


class Aggregate(unittest.TestCase):
    def test_groups_add_up_and_are_sorted(self):
        report = aggregate([HEADER, "2023-01-31,west,vice,2,150\n", "\n", '2023-02-01,"east, far",vice,1,1\n'])
        self.assertEqual(report["total"], {"rows": 2, "quantity": 3, "amount_cents": 301})
        self.assertEqual(
            report["groups"]["region"],
            [
                {"name": "east, far", "rows": 1, "quantity": 1, "amount_cents": 1},
                {"name": "west", "rows": 1, "quantity": 2, "amount_cents": 300},
            ],
        )
        self.assertEqual([group["name"] for group in report["groups"]["month"]], ["2023-01", "2023-02"])

    def test_the_shipped_orders_have_the_same_total_in_every_grouping(self):
        with open(ORDERS, encoding="utf-8", newline="") as lines:
            report = aggregate(lines)
        self.assertEqual(report["total"]["rows"], 4000)
        for groups in report["groups"].values():
            self.assertEqual(sum(group["amount_cents"] for group in groups), report["total"]["amount_cents"])

    def test_a_mistake_is_named_with_its_line(self):
        good = "2023-01-31,west,vice,2,150\n"
        self.assertEqual(refusal(good, "31.1.2023,west,vice,2,150\n"), "line 3: `31.1.2023` is not a date such as 2023-01-31")
        self.assertEqual(refusal("2023-01-31,west,vice,2\n"), "line 2: 4 values instead of 5")
        self.assertEqual(refusal("2023-01-31,,vice,2,150\n"), "line 2: `region` has 1 to 200 characters")
        self.assertEqual(
            refusal("2023-01-31,west,vice,2.5,150\n"),
            f"line 2: `quantity` is `2.5`, not a whole number from 1 to {HIGHEST_QUANTITY}",
        )
        self.assertEqual(
            refusal("2023-01-31,west,vice,1," + "9" * 5000 + "\n"),
            f"line 2: `unit_price_cents` is `{'9' * 40}...`, not a whole number from 0 to {HIGHEST_PRICE}",
        )
        self.assertIn("line 3:", refusal(good, '2023-01-31,"west"x,vice,2,150\n'))

    def test_a_file_without_orders_or_with_another_header_is_refused(self):
        self.assertEqual(refusal(), "there is no order in the file")
        for lines in ([], ["a,b\n"]):
            with self.assertRaisesRegex(DataRefused, "the first line must be `date,region"):
                aggregate(lines)

    def test_a_total_that_json_readers_would_round_is_refused(self):
        row = f"2023-01-31,west,vice,{HIGHEST_QUANTITY},{HIGHEST_PRICE}\n"
        self.assertIn("the total is beyond", refusal(*[row] * 100))


if __name__ == "__main__":
    unittest.main()
