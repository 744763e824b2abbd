"""The mail that says a report is ready."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from backend.chart import money

TIMEOUT = 15


class MailRefused(Exception):
    """The address of the mail server cannot be used; trying again would not help."""


def compose(report, sender, recipient):
    """Returns the message about `report`; the same report has the same Message-ID, so a second copy is recognised."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = f"Report ready: {report['name']}"
    message["Message-ID"] = f"<report-{report['_id']}@backend.invalid>"
    message["Date"] = report["finished"]
    total = report["result"]["total"]
    message.set_content(
        f"The report on `{report['name']}` is ready.\n\n"
        f"Orders:   {total['rows']}\n"
        f"Quantity: {total['quantity']}\n"
        f"Amount:   {money(total['amount_cents'])}\n\n"
        f"It is at /reports/{report['_id']}/page\n"
    )
    return message


def send(url, message):
    """Hands `message` to the server at `smtp://` or `smtps://[user:password@]host[:port]`.

    With `smtp://` TLS is used where the server offers it; with `smtps://` always.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise MailRefused(f"`smtp-url` is not a URL: {error}") from None
    if parts.scheme not in ("smtp", "smtps") or not host:
        raise MailRefused("`smtp-url` must look like smtp://user:password@host:25 or smtps://host")
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(host, port or 25, timeout=TIMEOUT)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
