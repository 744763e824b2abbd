"""Version, health, log-in and passwords."""

from flask import Blueprint, g, jsonify, redirect, render_template, request, session
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from backend import accounts, guard
from backend.answers import done, given, refusal, wants_page
from backend.store import database
from backend.version import VERSION

front = Blueprint("front", __name__)


@front.get("/")
def root():
    """Says which version this is; sends a browser to the reports."""
    if wants_page():
        return redirect("/reports", code=303)
    return jsonify(product="backend", version=VERSION)


@front.get("/health")
def health():
    """Answers 200 when everything a request needs is there, otherwise 503 naming what is not."""
    missing = []
    try:
        if database().accounts.find_one({"name": accounts.ADMINISTRATOR}, {"_id": 1}) is None:
            missing.append("administrator")
    except PyMongoError:
        missing.append("mongodb")
    try:
        guard.ping_redis()
    except RedisError:
        missing.append("redis")
    return jsonify(ready=not missing, missing=missing), 503 if missing else 200


@front.get("/login")
def login_page():
    """Shows the form."""
    return render_template("login.html")


@front.post("/login")
def login():
    """Begins a session with a name and a password."""
    name, password = given("user", "password")
    if not name or not password:
        return refusal(400, "`user` and `password` are needed")
    if len(password) > accounts.LONGEST:
        return refusal(400, f"a password has at most {accounts.LONGEST} characters")
    if guard.too_many_failures():
        return refusal(429, "too many failed log-ins from this address, wait five minutes")
    account = accounts.verify(name, password)
    if account is None:
        guard.count_failure()
        return refusal(401, "user or password is not right")
    guard.sign_in(account, account["epoch"])
    return done({"user": account["name"], "change_password": account["must_change"]}, "/reports")


@front.post("/logout")
def logout():
    """Ends the session."""
    session.clear()
    return done({"user": None}, "/login")


@front.get("/password")
def password_page():
    """Shows the form."""
    return render_template("password.html", first=g.account["must_change"])


@front.post("/password")
def password():
    """Changes the password; every other session of the account ends."""
    current, new = given("current", "new")
    if not current or not new:
        return refusal(400, "`current` and `new` are needed")
    try:
        epoch = accounts.change_password(g.account, current, new)
    except accounts.PasswordRefused as reason:
        return refusal(400, str(reason))
    guard.sign_in(g.account, epoch)
    return done({"user": g.account["name"], "change_password": False}, "/reports")


@front.after_app_request
def protect(response):
    """Keeps foreign scripts, frames and caches away from every answer."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
