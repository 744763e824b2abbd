"""Steps of a migration are done once and in order, and again from where one has failed."""

import unittest

from backend.schema import bring_up_to_date


class Schema:
    """The collection that notes how many steps are done, as far as migrations use it."""

    def __init__(self):
        self.noted = None

    def find_one(self, _):
        return self.noted

    def replace_one(self, _, document, upsert):
        assert upsert
        self.noted = document


class Database:
    def __init__(self):
        self.schema, self.done = Schema(), []


class Steps(unittest.TestCase):
    def setUp(self):
        self.database = Database()

    def step(self, name):
        return lambda database: database.done.append(name)

    def test_each_step_is_done_once(self):
        self.assertEqual(bring_up_to_date(self.database, [self.step("a")]), 1)
        self.assertEqual(bring_up_to_date(self.database, [self.step("a"), self.step("b"), self.step("c")]), 2)
        self.assertEqual(bring_up_to_date(self.database, [self.step("a"), self.step("b"), self.step("c")]), 0)
        self.assertEqual(self.database.done, ["a", "b", "c"])

    def test_a_step_that_fails_is_not_noted_and_those_before_it_are(self):
        def fails(_):
            raise RuntimeError

        with self.assertRaises(RuntimeError):
            bring_up_to_date(self.database, [self.step("a"), fails])
        self.assertEqual(bring_up_to_date(self.database, [self.step("a"), self.step("b")]), 1)
        self.assertEqual(self.database.done, ["a", "b"])


if __name__ == "__main__":
    unittest.main()
