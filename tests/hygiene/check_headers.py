#!/usr/bin/env python3
"""Holds the headers to the rules that a compiler does not know: layers, foreign includes, guards, linkage."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import headers

ASIO_FROM_LAYER = 7

# Where a foreign library may be included: include prefix, then the folders and files.
HOMES = {
    "botan/": ("config.hpp", "crypto/", "tls12/", "tls_client/"),
    "nghttp2/": ("http/h2.hpp",),
    "boost/json": ("http/json.hpp", "acme/", "dns/", "src.hpp"),
}

# Headers that include whole libraries and make every user wait.
UMBRELLAS = {
    "boost/asio.hpp", "boost/beast.hpp", "boost/beast/core.hpp", "boost/beast/http.hpp", "boost/beast/websocket.hpp",
    "boost/json.hpp", "boost/system.hpp", "boost/url.hpp", "botan/botan_all.h", "botan/botan.h", "bits/stdc++.h",
}

BANNED = {
    r"\b__COUNTER__\b": "__COUNTER__ gives each translation unit another program",
    r"^\s*namespace\s*\{": "an unnamed namespace gives each translation unit its own entities",
    r"^static\b": "a static function or variable gives each translation unit its own",
    r"^(?:\[\[nodiscard\]\] )?constexpr (?:const )?[\w:<>, ]+ \w+(?:\[\d*\])?\s*(?:=|\{)":
        "a namespace-scope constant needs `inline constexpr`",
    r"^#pragma once": "include guards, not #pragma once",
    r"^using namespace\b": "a header must not open a namespace for its users",
    r"^#\s*include\s+\"": "own headers are included as <alos/...>",
}


def without_comments(text):
    """The text with comments blanked and lines kept; strings that hold // are rare enough here."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"(?<![:\"])//[^\n]*", "", text)


def problems_of(header, text, layers):
    guard = "ALOS_" + re.sub(r"[^A-Z0-9]", "_", header.upper())
    code = without_comments(text)
    directives = [line for line in code.splitlines() if line.strip()]
    if directives[:2] != [f"#ifndef {guard}", f"#define {guard}"] or directives[-1] != "#endif":
        yield f"the include guard is not {guard}, from the first line of code to the last"
    if not text.startswith("//"):
        yield "the file does not open with a comment that says what it holds"

    for name in headers.included(code):
        if name not in layers:
            yield f"includes <alos/{name}>, which is not in include/alos/meson.build or does not exist"
        elif layers[name] > layers[header]:
            yield f"layer {layers[header]} includes <alos/{name}> of layer {layers[name]}"

    for name in re.findall(r"^\s*#\s*include\s+<([^>]+)>", code, re.MULTILINE):
        for prefix, homes in HOMES.items():
            if name.startswith(prefix) and not header.startswith(homes):
                yield f"<{name}> may be included only in {', '.join(homes)}"
        if name in UMBRELLAS:
            yield f"<{name}> is an umbrella header: include what is used"
        if re.match(r"boost/(asio|beast)\b", name) and layers[header] < ASIO_FROM_LAYER:
            yield f"<{name}> below tls13/stream.hpp: the pure half knows no sockets"

    for pattern, reason in BANNED.items():
        for found in re.finditer(pattern, code, re.MULTILINE):
            yield f"line {code.count(chr(10), 0, found.start()) + 1}: {reason}"


def cycles(includes):
    """Own headers that include one another in a circle, each circle named once."""
    done, path = set(), []

    def walk(header):
        if header in path:
            yield " -> ".join(path[path.index(header):] + [header])
            return
        if header in done:
            return
        path.append(header)
        for name in includes.get(header, []):
            yield from walk(name)
        path.pop()
        done.add(header)

    for header in includes:
        yield from walk(header)


def main():
    layers = headers.layers()
    texts = {header: (headers.include / header).read_text() for header in layers}
    count = 0
    for header, text in texts.items():
        for problem in problems_of(header, text, layers):
            print(f"include/alos/{header}: {problem}")
            count += 1
    for circle in cycles({header: headers.included(text) for header, text in texts.items()}):
        print(f"include circle: {circle}")
        count += 1
    for path in sorted(headers.include.rglob("*.hpp")):
        if str(path.relative_to(headers.include)) not in layers:
            print(f"{path.relative_to(headers.root)}: not in include/alos/meson.build")
            count += 1
    sys.exit(1 if count else 0)


main()
