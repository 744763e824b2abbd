"""The web application."""

from datetime import timedelta

from flask import Flask
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from backend import guard
from backend.answers import refusal
from backend.front import front
from backend.library import library
from backend.settings import current

SESSION_LIFETIME = timedelta(hours=12)


def create_app():
    """Returns the application, ready to be served behind one proxy."""
    settings = current()
    app = Flask("backend")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.upload_limit,
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
        SESSION_COOKIE_NAME="backend",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
    app.register_blueprint(front)
    app.register_blueprint(library)
    app.before_request(guard.check)

    @app.errorhandler(HTTPException)
    def refused(error):
        reason = f"more than {settings.upload_limit} bytes" if error.code == 413 else error.name.lower()
        answer = refusal(error.code, reason)
        return (*answer, {"Allow": ", ".join(error.valid_methods)}) if error.code == 405 and error.valid_methods else answer

    @app.errorhandler(PyMongoError)
    def database_is_away(error):
        app.logger.error("the database does not answer: %s", error)
        return refusal(503, "the database does not answer, try again in a moment")

    return app
