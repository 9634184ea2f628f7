"""Cases of a test that is a script: run in order or side by side, each within its time; the last line says how many
passed."""

import contextlib
import enum
import os
import signal
import sys
import tempfile
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


class Outcome(enum.IntEnum):
    PASSED, FAILED, SKIPPED = range(3)


def run_case(name, case, seconds):
    start = time.monotonic()
    try:
        with time_limit(seconds):
            case()
    except Skip as why:
        print(f"skip {name}: {why}", flush=True)
        return Outcome.SKIPPED
    except Exception:  # whatever it is, the other cases go on
        print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
        return Outcome.FAILED
    print(f"ok   {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return Outcome.PASSED


def finish(outcomes):
    passed, failed = outcomes.count(Outcome.PASSED), outcomes.count(Outcome.FAILED)
    if passed + failed == 0:
        sys.exit(77)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


def run(cases, seconds=20):
    """`cases` are pairs of a name and a function without parameters. Ends the program: 77 if all were skipped."""
    finish([run_case(name, case, seconds) for name, case in cases])


def run_together(cases, seconds, at_once=6):
    """The same, so many side by side, each in a process of its own. For cases that wait more than they work."""
    waiting, running, outcomes = list(cases), {}, []
    while waiting or running:
        while waiting and len(running) < at_once:
            name, case = waiting.pop(0)
            said = tempfile.TemporaryFile("w+")
            sys.stdout.flush()
            process = os.fork()
            if process == 0:
                sys.stdout, outcome = said, Outcome.FAILED
                try:
                    outcome = run_case(name, case, seconds)
                finally:
                    said.flush()
                    os._exit(outcome)
            running[process] = name, said
        process, status = os.wait()
        if process not in running:
            continue
        name, said = running.pop(process)
        said.seek(0)
        print(said.read(), end="", flush=True)
        if os.WIFSIGNALED(status):
            print(f"FAIL {name}: ended by signal {os.WTERMSIG(status)}", flush=True)
        outcomes.append(Outcome(os.WEXITSTATUS(status)) if os.WIFEXITED(status) else Outcome.FAILED)
    finish(outcomes)


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)
