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

# A program may have these for things of its own before it includes alos, which must not find them.
NAMES = """
    days hours minutes seconds milliseconds year month day floor min max error failure outcome result state
    record task client directory message find begin end to_string to_text string vector span byte bytes array
    function
""".split()
NAMESPACES = "acme asio crypto detail dns http json tls test".split()


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


def after_own_names():
    own = [f"struct {name};\n" for name in NAMES] + [f"namespace {name} {{}}\n" for name in NAMESPACES]
    return "".join(own + [f"#include <alos/{header}>\n" for header in headers.layers()])


def fault(text):
    return subprocess.run(command, cwd=build, input=text, text=True, capture_output=True).stderr


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    texts = [*map(twice, chains()), after_own_names()]
    faults = [found for found in pool.map(fault, texts) if found]
print(*faults, sep="\n", end="")
sys.exit(1 if faults else 0)
