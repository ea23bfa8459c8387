"""Write docs/rules/recording.yml and docs/rules/alerts.yml from the tables of asyncmetrics/dashboards/rules."""

from __future__ import annotations

from pathlib import Path

from asyncmetrics.dashboards.rules.table import render_files

__all__ = ("FOLDER", "write_files")

FOLDER = Path(__file__).parents[1] / "docs/rules"


def write_files() -> None:
    """Write the files, and print their names."""
    for name, text in render_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/rules/{name}")


if __name__ == "__main__":
    write_files()
