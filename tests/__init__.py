"""The tests; a package so that they import `tests.patience` and no other distribution's folder of that name."""
