#!/usr/bin/env python3
"""Including alos has a price, and it has a limit: hello at -O2 compiles in under 30 s and 1.5 GB.

    compile_budget.py <build folder> <source>

Processor time is measured, and the best of up to three tries counts: a busy machine must not fail the test.
"""

import json
import pathlib
import resource
import shlex
import subprocess
import sys

SECONDS = 30
MEGABYTES = 1536

build, source = pathlib.Path(sys.argv[1]), sys.argv[2]
commands = json.loads((build / "compile_commands.json").read_text())
command = next(shlex.split(entry["command"]) for entry in commands if entry["file"].endswith(source))

kept = []
skip = False
for word in command:
    if skip:
        skip = False
    elif word in ("-o", "-MF", "-MQ", "-MT"):
        skip = True
    elif not word.startswith(("-O", "-g", "-fsanitize", "-M")):
        kept.append(word)
if pathlib.Path(kept[0]).name == "ccache":
    kept.pop(0)

before = 0
for attempt in range(3):
    subprocess.run([*kept, "-O2", "-o", "/dev/null"], cwd=build, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - before
    before += seconds
    megabytes = used.ru_maxrss // 1024
    print(f"{source} at -O2: {seconds:.1f} s of {SECONDS} s, {megabytes} MB of {MEGABYTES} MB")
    if seconds < SECONDS and megabytes < MEGABYTES:
        sys.exit(0)
sys.exit(1)
