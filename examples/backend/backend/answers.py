"""Answers for programs and for people: JSON, or a page where the client asked for HTML."""

from flask import jsonify, redirect, render_template, request


def wants_page():
    """Returns whether the client is a browser showing a page, rather than a program."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html" and request.accept_mimetypes["text/html"] > request.accept_mimetypes["application/json"]


def refusal(status, reason):
    """Returns a 4xx or 5xx answer that says what is wrong."""
    if wants_page():
        answer = render_template("refusal.html", status=status, reason=reason), status
    else:
        answer = jsonify(error=reason), status
    return answer


def done(document, page, status=200):
    """Returns `document`, or sends a browser on to `page`."""
    if wants_page():
        return redirect(page, code=303)
    return jsonify(document), status


def given(*names):
    """Returns these fields of the request's JSON object or form as text, absent ones as None."""
    if request.is_json:
        document = request.get_json(silent=True)
        fields = document if isinstance(document, dict) else {}
    else:
        fields = request.form
    values = [fields.get(name) for name in names]
    return [value if isinstance(value, str) else None for value in values]
