#!/usr/bin/env python3
"""Every header is compiled with nothing before it, and once more, where it has to be nothing; and all of them after
names of a program's own.

    lone_headers.py <build folder> <source that is compiled there>

One translation unit tries several: those of which each includes all before it, itself or through others, find what they
would find alone.
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import compiling
import headers

build, source = sys.argv[1:]
command = [*compiling.command(build, source), "-fsyntax-only", "-x", "c++", "-"]
reached = {}


def reach(header):
    """What a header includes, itself or through others."""
    if header not in reached:
        direct = headers.included((headers.include / header).read_text())
        reached[header] = set(direct).union(*map(reach, direct))
    return reached[header]


def chains():
    """Every header once, in lists in which each includes all those before it."""
    # The largest is compiled anyway, so from each end the list goes on with the largest that fits.
    left = sorted(headers.layers(), key=lambda header: len(reach(header)), reverse=True)
    while left:
        chain = [left.pop(0)]
        for header in list(left):
            if header in reach(chain[-1]):
                chain.append(header)
                left.remove(header)
        yield chain[::-1]


def twice(chain):
    return "".join(f"#include <alos/{header}>\n" * 2 for header in chain)


def fault(text):
    return subprocess.run(command, cwd=build, input=text, text=True, capture_output=True).stderr


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    texts = [*map(twice, chains()), pathlib.Path(__file__).with_name("global_names.cpp").read_text()]
    faults = [found for found in pool.map(fault, texts) if found]
print(*faults, sep="\n", end="")
sys.exit(1 if faults else 0)
