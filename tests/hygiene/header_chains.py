#!/usr/bin/env python3
"""Prints every header once, in lines in which each header includes all those before it, itself or through others.

Such a line's headers, included in its order, each find what they would find alone, and nothing else: one translation
unit tries them all. Meson makes them so, anew when tools/configure.sh sees an #include change.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import headers

reached = {}


def reach(header):
    """What a header includes, itself or through others."""
    if header not in reached:
        direct = headers.included((headers.include / header).read_text())
        reached[header] = set(direct).union(*map(reach, direct))
    return reached[header]


# The largest is compiled anyway, so from each end the line goes on with the largest that fits.
left = sorted(headers.layers(), key=lambda header: len(reach(header)), reverse=True)
while left:
    chain = [left.pop(0)]
    for header in list(left):
        if header in reach(chain[-1]):
            chain.append(header)
            left.remove(header)
    print(*reversed(chain))
