#!/usr/bin/env python3
"""Prints how many instructions each case of the benchmark programs takes, where there is a valgrind to count them.

    instructions.py <program>...

A case runs N times and 2N times; the difference is what N runs take, without what only the first one does. Counted is
what happens inside of alos_bench::measured(). valgrind's CPU has neither VAES nor AVX-512 nor SHA-NI, so that
cryptography takes other paths there than on a CPU that has them.
"""

import re
import shutil
import subprocess
import sys

SKIPPED = 77
RUNS = 10


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done


def count(program, case, runs):
    """The instructions of so many runs, and how many units that is."""
    done = output("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                  "--toggle-collect=*alos_bench::measured<*", program, "--runs", str(runs), case)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1]), int(done.stdout)


def main():
    if not shutil.which("valgrind"):
        print("no valgrind here")
        sys.exit(SKIPPED)
    for program in sys.argv[1:]:
        for case in output(program, "--list").stdout.splitlines():
            instructions, units = count(program, case, RUNS)
            twice, twice_units = count(program, case, 2 * RUNS)
            print(f"{case:<52} {round((twice - instructions) / (twice_units - units)):>14,}", flush=True)


main()
