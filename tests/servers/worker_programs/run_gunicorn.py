"""Run gunicorn as a custom application: ``python -m worker_programs.run_gunicorn <workers> <port>``."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from worker_wsgi_app import app

__all__ = ("Program",)


class Program(BaseApplication):
    """The application with its metrics, which exist before gunicorn's arbiter."""

    def load_config(self) -> None:
        """Set what the command line asks for."""
        for name, value in {"workers": sys.argv[1], "bind": f"127.0.0.1:{sys.argv[2]}", "loglevel": "critical"}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application."""
        return app


if __name__ == "__main__":
    Program().run()
