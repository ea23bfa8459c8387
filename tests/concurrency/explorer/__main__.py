"""Explore and print: ``python -m tests.concurrency.explorer [--storage S] [--only A,B] [--sample N]``."""

from __future__ import annotations

import argparse
import sys

from tests.concurrency.explorer.cases import list_cases
from tests.concurrency.explorer.exploration import explore, make_scope
from tests.concurrency.explorer.worlds import STORAGES
from tests.patience import PATIENCE_SECONDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.concurrency.explorer", description=__doc__)
    parser.add_argument("--storage", choices=STORAGES, help="one storage instead of all")
    parser.add_argument("--setting", help="one set-up instead of all, for instance 'due, held'")
    parser.add_argument("--only", help="operations: 'A', 'A,B' or ',B'", default="")
    parser.add_argument("--mode", help="one way of interrupting instead of all")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="stop at every N-th point only")
    parser.add_argument("--point", type=int, metavar="N", help="only the N-th point, or only this seed")
    parser.add_argument("--every", action="store_true", help="also stop where a stop shows the same as the one before")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds until a wait is a deadlock")
    options = parser.parse_args()
    a, _, b = options.only.partition(",")
    status = 0
    for storage in [options.storage] if options.storage else STORAGES:
        cases = [
            case._replace(modes=tuple(m for m in case.modes if options.mode in {None, m}))
            for case in list_cases((storage,))
            if a in {"", case.a} and b in {"", case.b} and options.setting in {None, case.setting.name}
        ]
        report = explore(
            cases,
            sample=options.sample,
            point=options.point,
            scope=make_scope(every=options.every),
            patience=options.patience,
        )
        for line in report.list_lines():
            print(line)
        print(
            f"{storage}: {len(cases)} pairs, {report.interleavings} interleavings, {sum(report.counts.values())} "
            f"violations {report.count_kinds()}, {report.undeliverable} exceptions that Python could not deliver, "
            f"{report.skipped} left out after deadlocks, {report.seconds:.1f} s"
        )
        status |= bool(report.counts)
    return status


sys.exit(main())
