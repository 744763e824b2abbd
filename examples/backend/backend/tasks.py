"""What the worker does, and what beat makes it do each minute.

A task may run twice: after a crash its message is delivered again. Each is written so
that the second run changes nothing.
"""

import io
import smtplib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bson import ObjectId
from celery import Celery
from celery.utils.log import get_task_logger
from pymongo.errors import PyMongoError

from backend import mail, reports
from backend.aggregate import DataRefused, aggregate
from backend.settings import current
from backend.store import files

FORGOTTEN = timedelta(minutes=2)
MAIL_PAUSE = timedelta(seconds=30)
MAIL_GIVEN_UP = timedelta(days=1)

log = get_task_logger(__name__)


def make_celery(settings):
    """Returns the application that worker, beat and web share."""
    application = Celery("backend", broker=settings.redis_url)
    application.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # Always waited for in full, whatever the tasks in hand need.
        worker_soft_shutdown_timeout=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"visibility_timeout": 600, "socket_connect_timeout": 3, "socket_timeout": 30},
        task_publish_retry=False,
        enable_utc=True,
        beat_schedule={"housekeeping": {"task": "backend.tasks.housekeeping", "schedule": 60.0}},
        beat_schedule_filename=str(Path(settings.data_dir) / "beat-schedule"),
    )
    return application


celery = make_celery(current())

DATABASE_IS_AWAY = {
    "autoretry_for": (PyMongoError,),
    "max_retries": None,
    "retry_backoff": True,
    "retry_backoff_max": 30,
}


@celery.task(**DATABASE_IS_AWAY)
def make_report(identifier):
    """Aggregates a data set, stores the report and asks for the mail about it."""
    identifier = ObjectId(identifier)
    dataset = reports.find(identifier)
    if dataset is None or dataset["state"] != reports.WAITING:
        return
    try:
        with files().open_download_stream(identifier) as stored:
            result = aggregate(io.StringIO(stored.read().decode("utf-8-sig"), newline=""))
    except UnicodeDecodeError:
        reports.refuse(identifier, "the file is not UTF-8")
        return
    except DataRefused as refusal:
        reports.refuse(identifier, str(refusal))
        return
    if reports.finish(identifier, result, mail_wanted()):
        log.info("report %s is ready", identifier)
        mail_report.delay(str(identifier))


@celery.task(**DATABASE_IS_AWAY)
def mail_report(identifier):
    """Mails that a report is ready. What cannot be sent stays due, and housekeeping asks again."""
    report = reports.find(ObjectId(identifier))
    if report is None or report.get("mail") != reports.DUE or not mail_wanted():
        return
    settings = current()
    try:
        mail.send(settings.smtp_url, mail.compose(report, settings.mail_from, settings.mail_to))
    except (OSError, smtplib.SMTPException, mail.MailRefused) as error:
        log.warning("cannot mail about report %s, will try again: %s", identifier, error)
    else:
        reports.note_mail(report["_id"], reports.SENT)
        log.info("mailed about report %s", identifier)


@celery.task(**DATABASE_IS_AWAY)
def housekeeping():
    """Asks again for reports and mails that were forgotten, and counts what there is."""
    now = datetime.now(UTC)
    for identifier in reports.waiting_since(now - FORGOTTEN):
        log.warning("data set %s was forgotten, asking again for its report", identifier)
        make_report.delay(str(identifier))
    for identifier in reports.mail_due_since(now - MAIL_PAUSE):
        mail_report.delay(str(identifier))
    for identifier in reports.mail_due_since(now - MAIL_GIVEN_UP):
        reports.note_mail(identifier, reports.GIVEN_UP)
        log.error("gave up mailing about report %s", identifier)
    reports.summarise()


def mail_wanted():
    """Returns whether a mail server and a recipient are set."""
    settings = current()
    return bool(settings.smtp_url and settings.mail_to)
