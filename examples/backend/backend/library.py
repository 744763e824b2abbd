"""Data sets in, reports out."""

import io
import re

from flask import Blueprint, current_app, jsonify, render_template, request, url_for
from kombu.exceptions import OperationalError

from backend import reports
from backend.aggregate import DataRefused, check_header
from backend.answers import done, refusal, wants_page
from backend.chart import chart, money
from backend.store import identifier
from backend.tasks import make_report

library = Blueprint("library", __name__)

LONGEST_NAME = 120
LONGEST_HEADER = 1000


@library.post("/datasets")
def upload():
    """Takes a CSV file, as the request's body or as the field `file` of a form."""
    if request.mimetype == "multipart/form-data":
        part = request.files.get("file")
        if part is None:
            return refusal(400, "the form has no file in its field `file`")
        data, name = part.stream.read(), part.filename
    else:
        data, name = request.stream.read(), request.args.get("name")
    if not data:
        return refusal(400, "the data set is empty")
    try:
        check_header(data[:LONGEST_HEADER].split(b"\n", 1)[0].decode("utf-8-sig"))
    except UnicodeDecodeError:
        return refusal(400, "the data set is not UTF-8")
    except DataRefused as reason:
        return refusal(400, str(reason))
    dataset = reports.add(shown_name(name), io.BytesIO(data))
    try:
        make_report.delay(str(dataset))
    except OperationalError:
        current_app.logger.warning("the queue does not answer; housekeeping will ask for report %s", dataset)
    address = url_for("library.report", given=str(dataset))
    answer = done({"id": str(dataset), "state": reports.WAITING, "report": address}, f"{address}/page", 202)
    return answer if wants_page() else (*answer, {"Location": address})


@library.get("/reports")
def listing():
    """Lists the newest data sets with the states of their reports."""
    found = [reports.as_json(report) for report in reports.newest()]
    summary = reports.summary()
    if wants_page():
        return render_template("reports.html", reports=found, summary=summary)
    counts = {key: value for key, value in (summary or {}).items() if isinstance(value, int)}
    return jsonify(reports=found, summary=counts)


@library.get("/reports/<given>")
def report(given):
    """Gives one report, or the state that it is in."""
    found = lookup(given)
    return refusal(404, "there is no such report") if found is None else jsonify(reports.as_json(found))


@library.get("/reports/<given>/page")
def page(given):
    """Draws one report."""
    found = lookup(given)
    if found is None:
        return refusal(404, "there is no such report")
    result = found.get("result")
    charts = [chart(f"Amount by {kind}", groups) for kind, groups in result["groups"].items()] if result else []
    return render_template("report.html", report=reports.as_json(found), charts=charts, money=money)


def lookup(given):
    """Returns the report that an address names, or None."""
    wanted = identifier(given)
    return reports.find(wanted) if wanted else None


def shown_name(name):
    """Returns a name of one line and bounded length."""
    plain = re.sub(r"[\x00-\x1f\x7f]+", " ", name or "").strip()
    return plain[:LONGEST_NAME] or "unnamed"
