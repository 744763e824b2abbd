"""How gunicorn serves the application: `gunicorn --config python:backend.gunicorn_config`."""

import os

from backend.settings import current

bind = current().web_address
workers = current().web_workers
worker_class = "gthread"
threads = 4
timeout = 60
# The whole stack has a few seconds to stop, and the databases come after this.
graceful_timeout = 2
accesslog = None
errorlog = "-"
# The workers' heartbeat files belong in memory, where there is such a place.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
control_socket_disable = True
wsgi_app = "backend.wsgi:application"
