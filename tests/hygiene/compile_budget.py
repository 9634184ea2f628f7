#!/usr/bin/env python3
"""Including alos has a price, and it has a limit: hello at -O2 compiles in under 30 s and 1.5 GB.

    compile_budget.py <build folder> <source>

Processor time is measured, and the best of up to three tries counts: a busy machine must not fail the test. A slow one
gets more time: the 30 s are for one that reads the headers of Beast in 2.9 s.
"""

import pathlib
import resource
import subprocess
import sys

import compiling

SECONDS = 30
MEGABYTES = 1536
REFERENCE_SECONDS = 2.9
root = pathlib.Path(__file__).resolve().parents[2]

build, source = sys.argv[1:]
command = compiling.command(build, source)


def run(command, **options):
    """Processor seconds, and the most megabytes of any child so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=build, check=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss // 1024


for attempt in range(3):
    slowness, _ = run([*command, "-O2", "-fsyntax-only", "-x", "c++", "-"], input=b"#include <boost/beast.hpp>\n")
    limit = SECONDS * max(1, slowness / REFERENCE_SECONDS)
    seconds, megabytes = run([*command, "-O2", "-c", "-o", "/dev/null", root / source])
    print(f"{source} at -O2: {seconds:.1f} s of {limit:.1f} s, {megabytes} MB of {MEGABYTES} MB")
    if seconds < limit and megabytes < MEGABYTES:
        sys.exit(0)
sys.exit(1)
