"""The one list of headers, include/alos/meson.build, for the tools that need it."""

import pathlib
import re

root = pathlib.Path(__file__).resolve().parent.parent
include = root / "include" / "alos"


def layers():
    """{header: layer} for every header that exists, lowest layer first; paths relative to include/alos."""
    listed = {}
    layer = None
    for line in (include / "meson.build").read_text().splitlines():
        if found := re.match(r"\s*'(\d\d)': \[", line):
            layer = int(found[1])
        elif found := re.match(r"\s*'(\S+\.hpp)',", line):
            listed[found[1]] = layer
        elif line.startswith("}"):
            break
    return {header: layer for header, layer in listed.items() if (include / header).exists()}


def included(text):
    """The own headers that a header's text includes, in order, relative to include/alos."""
    return re.findall(r"^#include <alos/(\S+)>", text, re.MULTILINE)
