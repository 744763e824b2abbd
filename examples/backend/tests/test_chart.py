"""Bars are proportional and amounts are written to the cent."""

import unittest

from backend.chart import BAR, LABEL, STEP, VALUE, WIDTH, chart, money


class Chart(unittest.TestCase):
    def test_the_longest_bar_fills_the_room_and_others_are_in_proportion(self):
        drawn = chart("Amount", [{"name": "a", "amount_cents": 500}, {"name": "b", "amount_cents": 1000}])
        self.assertEqual([bar.length for bar in drawn.bars], [(WIDTH - LABEL - VALUE) // 2, WIDTH - LABEL - VALUE])
        self.assertEqual([bar.y for bar in drawn.bars], [0, STEP])
        self.assertGreaterEqual(drawn.height, STEP + BAR)

    def test_amounts_of_nothing_draw_no_bar(self):
        self.assertEqual(chart("Amount", [{"name": "a", "amount_cents": 0}]).bars[0].length, 0)

    def test_money_is_exact(self):
        self.assertEqual([money(5), money(123456789), money(2**53 - 1)], ["0.05", "1,234,567.89", "90,071,992,547,409.91"])


if __name__ == "__main__":
    unittest.main()
