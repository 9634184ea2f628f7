#!/usr/bin/env python3
"""Builds and runs every test and ends with the line "N passed, N failed".

Three builds: one with the address and undefined behaviour sanitizers for the unit tests and the fuzz corpora; one with
the thread sanitizer for the tests with threads; and an ordinary one for everything else, which is what sanitizers
would falsify (counted allocations, times) and what uses whole programs. What is counted are test cases: those of
doctest programs one by one, another test as one unless it says "N passed, N failed" itself.

    tools/run_tests.py [plain|asan|tsan ...]     only these builds
"""

import fcntl
import json
import pathlib
import re
import subprocess
import sys
import time

root = pathlib.Path(__file__).resolve().parent.parent

# Little optimisation and few debug symbols: most of the time goes into compiling, and GCC takes more than twice as long
# when it optimises what the sanitizers instrument. They confuse its warnings about the flow of values, so only the
# plain build takes warnings for errors.
common = ["-Ddebug=false", "-Dbench=disabled"]
sanitized = [*common, "-Dexamples=disabled", "-Db_lundef=false"]
builds = {
    "plain": ([*common, "-Doptimization=1", "-Dwerror=true"], ["plain", "hygiene", "e2e", "example"]),
    "asan": ([*sanitized, "-Doptimization=0", "-Dcpp_args=-g1 -Wno-maybe-uninitialized",
              "-Db_sanitize=address,undefined"], ["unit", "fuzz"]),
    # Not inlined: tests/tsan.supp knows functions by their names.
    "tsan": ([*sanitized, "-Doptimization=1", "-Dcpp_args=-g1 -fno-inline", "-Db_sanitize=thread"], ["threads"]),
}

def cases(test):
    """(passed, failed) of one test's record in testlog.json."""
    output = test.get("stdout", "")
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if test["result"] == "SKIP":
        return 0, 0
    counted = re.findall(r"^\[doctest\] test cases: *\d+ *\| *(\d+) passed *\| *(\d+) failed", output, re.MULTILINE)
    counted = counted or re.findall(r"^(\d+) passed, (\d+) failed", output, re.MULTILINE)
    passed, failed = (int(number) for number in counted[-1]) if counted else (int(good), 0)
    return passed, failed if good else max(failed, 1)


def introspect(folder, what):
    return json.loads(subprocess.run(["meson", "introspect", folder, what], check=True, capture_output=True).stdout)


def run(name):
    """Configures, builds and tests one build; (passed, failed, skipped)."""
    options, suites = builds[name]
    folder = root / "build" / name
    print(f"== {name}: configuring", flush=True)
    subprocess.run([root / "tools" / "configure.sh", folder, *options], cwd=root, check=True)

    listed = [test for test in introspect(folder, "--tests")
              if any(suite.split(":")[-1] in suites for suite in test["suite"])]
    if not listed:
        return 0, 0, 0
    needed = {target for test in listed for target in test["depends"]}
    files = [pathlib.Path(target["filename"][0]).relative_to(folder)
             for target in introspect(folder, "--targets") if target["id"] in needed]

    print(f"== {name}: building", flush=True)
    # What does not build fails by itself; the rest is tested all the same.
    status = subprocess.run(["ninja", "-C", folder, "-k", "0", "--quiet", *files]).returncode

    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    print(f"== {name}: running the suites {', '.join(suites)}", flush=True)
    # Note: Meson runs none at all when the program of one is missing.
    built = [test["name"] for test in listed if pathlib.Path(test["cmd"][0]).exists()]
    status |= subprocess.run(["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", *built]).returncode
    if not log.exists():
        return 0, 1, 0

    passed = skipped = 0
    failed = len(listed) - len(built)
    for line in log.read_text().splitlines():
        test = json.loads(line)
        more_passed, more_failed = cases(test)
        passed += more_passed
        failed += more_failed
        if test["result"] == "SKIP":
            skipped += 1
            why = (test.get("stdout") or test.get("stderr") or "").strip().splitlines()
            print(f"skipped: {test['name']}: {why[-1] if why else 'no reason given'}")
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def wait_for_turn():
    """One run at a time: two would build in the same folders. The lock goes with the returned file."""
    (root / "build").mkdir(exist_ok=True)
    lock = open(root / "build" / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another run of the tests is under way; waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def main():
    lock = wait_for_turn()
    passed = failed = skipped = 0
    for name in sys.argv[1:] or builds:
        start = time.monotonic()
        counts = run(name)
        print(f"== {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped, "
              f"{time.monotonic() - start:.0f} s", flush=True)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    if passed == 0:
        print("no test was run")
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)


main()
