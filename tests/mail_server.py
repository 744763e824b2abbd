"""A real SMTP server for one test: takes mail from who knows USER and PASSWORD, and leaves each in DIRECTORY.

usage: mail_server.py ADDRESS DIRECTORY, with MAIL_USER and MAIL_PASSWORD in the environment. Prints its port. With MAIL_PAIR, a
file of certificate and key, it takes passwords after STARTTLS alone.
"""

import asyncio
import os
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult


class Mailbox:
    """Writes each message to a file of its own: envelope first, an empty line, the message."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        head = f"{envelope.mail_from} {' '.join(envelope.rcpt_tos)}\n\n".encode()
        part = self.directory / f".{self.count}"
        part.write_bytes(head + envelope.original_content)
        part.rename(self.directory / f"{self.count}.mail")
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    """Says yes to the one account there is."""
    right = (data.login.decode(), data.password.decode()) == (os.environ["MAIL_USER"], os.environ["MAIL_PASSWORD"])
    return AuthResult(success=right, handled=False)


async def serve(address, directory):
    mailbox = Mailbox(directory)
    context = None
    if os.environ.get("MAIL_PAIR"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["MAIL_PAIR"])
    options = {
        "authenticator": authenticate, "auth_required": True, "auth_require_tls": bool(context), "tls_context": context
    }
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox, **options), address, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve(sys.argv[1], sys.argv[2]))
