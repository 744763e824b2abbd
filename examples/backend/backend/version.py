"""The product's version, from the file beside this package."""

from pathlib import Path

VERSION = (Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="ascii").strip()
