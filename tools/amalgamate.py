#!/usr/bin/env python3
"""Writes single_include/alos/alos.hpp: every header of alos in one file, for those who vendor it.

Depth first; own headers are expanded once, foreign includes stay where they are. The include guards stay too,
so that the single header and the others may meet in one translation unit.

    tools/amalgamate.py            writes it
    tools/amalgamate.py --check    fails when the one at hand is stale
"""

import re
import sys

import headers

target = headers.root / "single_include" / "alos" / "alos.hpp"

opening = """\
// alos: HTTPS inside a C++ program. The whole library in one header.
// Made by tools/amalgamate.py from include/alos; change the headers there, not this file.
//
// One translation unit of the program defines ALOS_IMPLEMENTATION before it includes this file.
//
"""


def expand(header, done):
    """The text of a header with its own includes expanded, unless they are already above."""
    if header in done:
        return ""
    done.add(header)
    lines = []
    for line in (headers.include / header).read_text().splitlines(keepends=True):
        own = re.match(r"#include <alos/(\S+)>", line)
        lines.append(expand(own[1], done) if own else line)
    return f"// ---- alos/{header} ----\n" + "".join(lines)


def reached(*names):
    """These headers and all that they include."""
    found, waiting = set(), list(names)
    while waiting:
        header = waiting.pop()
        if header not in found:
            found.add(header)
            waiting += headers.included((headers.include / header).read_text())
    return found


def amalgamation():
    listed = headers.layers()
    # The parts for one translation unit come last: what only the certificate manager needs, and what needs that.
    for_manager = reached("acme.hpp") - reached("alos.hpp", "http/json.hpp")
    late = {"src.hpp"} | {header for header in listed if reached(header) & for_manager}
    done = set(late)
    body = "".join(expand(header, done) for header in listed)
    licence = "".join(f"// {line}".rstrip() + "\n" for line in (headers.root / "LICENSE").read_text().splitlines())
    text = opening + licence + "\n" + body
    done -= late
    text += "\n#ifdef ALOS_IMPLEMENTATION\n" + expand("src.hpp", done)
    text += "".join(expand(header, done) for header in listed if header in late) + "#endif\n"
    return text


def main():
    text = amalgamation()
    if "--check" in sys.argv[1:]:
        if not target.exists() or target.read_text() != text:
            sys.exit(f"{target.relative_to(headers.root)} is stale: run `make generated`")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


main()
