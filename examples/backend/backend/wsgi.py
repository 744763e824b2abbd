"""What gunicorn loads."""

from backend.app import create_app

application = create_app()
