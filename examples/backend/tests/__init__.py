"""The application's own tests; what needs a database is in production.sh."""
