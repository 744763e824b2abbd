"""Who may ask for what: sessions, the forced first change of password, requests from other sites."""

from urllib.parse import urlsplit

import redis
from flask import g, redirect, request, session
from redis.exceptions import RedisError

from backend import accounts
from backend.answers import refusal, wants_page
from backend.settings import current

OPEN = frozenset({"front.root", "front.health", "front.login", "front.login_page", "static"})
BEFORE_CHANGE = frozenset({"front.password", "front.password_page", "front.logout"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_FAILURES = 10
FAILURES_FORGOTTEN = 300


def check():
    """Lets a request pass, or returns the answer that refuses it. Runs before every view."""
    if request.method not in SAFE and not same_site():
        return refusal(403, "this request comes from another site")
    if request.endpoint is None or request.endpoint in OPEN:
        return None
    g.account = signed_in()
    if g.account is None:
        return redirect("/login", code=303) if wants_page() else refusal(401, "log in first: POST /login")
    if g.account["must_change"] and request.endpoint not in BEFORE_CHANGE:
        if wants_page():
            return redirect("/password", code=303)
        return refusal(403, "change the first password before anything else: POST /password")
    return None


def same_site():
    """Returns whether the request does not come from a page of another site.

    Browsers send `Origin` with every request that changes something; other programs need not.
    """
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def signed_in():
    """Returns the account of this request's session, or None."""
    name, epoch = session.get("name"), session.get("epoch")
    return accounts.of_session(name, epoch) if name is not None else None


def sign_in(account, epoch):
    """Begins a session."""
    session.clear()
    session.permanent = True
    session["name"] = account["name"]
    session["epoch"] = epoch


def too_many_failures():
    """Returns whether this client has failed to log in too often in the last minutes."""
    try:
        return int(_redis().get(_key()) or 0) >= MOST_FAILURES
    except RedisError:
        return False


def count_failure():
    """Notes that this client failed to log in."""
    try:
        with _redis().pipeline() as pipeline:
            pipeline.incr(_key()).expire(_key(), FAILURES_FORGOTTEN).execute()
    except RedisError:
        return


def _key():
    return f"login-failures:{request.remote_addr}"


def _redis():
    return redis.Redis.from_url(current().redis_url, socket_connect_timeout=2, socket_timeout=2)


def ping_redis():
    """Raises when Redis does not answer."""
    _redis().ping()
