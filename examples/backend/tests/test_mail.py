"""The mail carries the report's totals, and a wrong address is refused before anything is sent."""

import unittest
from datetime import UTC, datetime

from backend.mail import MailRefused, compose, send

REPORT = {
    "_id": "6b03bf97520e6aba07deca01",
    "name": "orders.csv",
    "finished": datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC),
    "result": {"total": {"rows": 3, "quantity": 9, "amount_cents": 123456}},
}


class Mail(unittest.TestCase):
    def test_the_totals_are_in_the_mail(self):
        message = compose(REPORT, "backend@localhost", "reports@example.test")
        self.assertEqual(message["Subject"], "Report ready: orders.csv")
        self.assertIn("Amount:   1,234.56\n", message.get_content())
        self.assertIn("/reports/6b03bf97520e6aba07deca01/page", message.get_content())

    def test_the_same_report_has_the_same_message_id(self):
        first, second = (compose(REPORT, "a@localhost", "b@localhost")["Message-ID"] for _ in range(2))
        self.assertEqual(first, second)

    def test_an_address_of_another_kind_is_refused(self):
        for url in ("mail.example.com", "http://mail.example.com", "smtp://", "smtp://host:port"):
            with self.assertRaisesRegex(MailRefused, "smtp-url"):
                send(url, None)


if __name__ == "__main__":
    unittest.main()
