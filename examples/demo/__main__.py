"""Run the demo from the root of a clone: ``make demo``, or ``python -m examples.demo`` where its packages are."""

import os
import sys

try:
    from examples.demo.program import main

    main()
    sys.stdout.flush()
except ModuleNotFoundError as error:
    sys.exit(f"{error}: run `make demo`, which installs what the demo needs into .venv")
except KeyboardInterrupt:  # Ctrl-C before the demo has begun
    sys.exit(130)
except BrokenPipeError:  # its reader has enough, as in `make demo | head -3`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more when it exits
