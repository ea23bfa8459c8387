"""Run Python as another user: ``python -m worker_programs.run_as <uid> <arguments of the interpreter>``."""

from __future__ import annotations

import os
import sys
import sysconfig

if __name__ == "__main__":
    user, packages = int(sys.argv[1]), sysconfig.get_path("purelib")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # The interpreter of the tests may be closed to other users, as one in root's home is.
    candidates = [sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"]
    interpreter = next(path for path in candidates if os.access(path, os.X_OK))
    os.environ["PYTHONPATH"] = os.pathsep.join([os.environ.get("PYTHONPATH", ""), packages])
    os.execv(interpreter, [interpreter, *sys.argv[2:]])
