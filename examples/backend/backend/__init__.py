"""A small reporting application: upload orders as CSV, get totals as a report."""
