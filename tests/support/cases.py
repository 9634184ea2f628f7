"""Cases of a test that is a script: run in order, each within its time; the last line says how many passed."""

import contextlib
import signal
import sys
import time
import traceback


class Skip(Exception):
    """Raised by a case that cannot be run here; its text says why."""


@contextlib.contextmanager
def time_limit(seconds):
    def expire(*_):
        raise TimeoutError(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def run(cases, seconds=20):
    """`cases` are pairs of a name and a function without parameters. Ends the program: 77 if all were skipped."""
    passed = failed = 0
    for name, case in cases:
        start = time.monotonic()
        try:
            with time_limit(seconds):
                case()
        except Skip as why:
            print(f"skip {name}: {why}", flush=True)
        except Exception:  # whatever it is, the other cases go on
            failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
        else:
            passed += 1
            print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
    if passed + failed == 0:
        sys.exit(77)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)
