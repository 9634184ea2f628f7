#!/usr/bin/env python3
"""Writes RFC_MAP.md: which file and symbol implements which section of which RFC.

It is collected from the comments of the headers, such as `// RFC 8446 4.1.2` above a function; a comment inside
a function counts for the function, one at the head of a file for the file.

    tools/rfc_map.py            writes it
    tools/rfc_map.py --check    fails when the one at hand is stale, or a comment names a section that there is not
"""

import collections
import re
import sys

import headers

target = headers.root / "RFC_MAP.md"
titles_file = headers.root / "tools" / "rfc_sections.txt"

section = r"(?:\d+|[A-Z])(?:\.\d+)*"
dotted = r"(?:\d+|[A-Z])(?:\.\d+)+"
citation = re.compile(rf"\bRFC (\d+) ({section}(?:(?:, (?:and )?| and | to ){dotted})*)")
control = {"if", "for", "while", "switch", "catch", "else", "do", "try", "return", "co_return", "requires"}


def tokens(text):
    """Yields ("comment" | "code", offset, piece) for a header, comments and single characters of code."""
    for found in re.finditer(r'//[^\n]*|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'|#[^\n]*|.', text, re.DOTALL):
        piece = found[0]
        if piece.startswith("//"):
            yield "comment", found.start(), piece
        elif len(piece) == 1:
            yield "code", found.start(), piece


def name_of(head):
    """(kind, name) of what a declaration's head declares."""
    head = re.sub(r"\[\[.*?\]\]", " ", head)
    while (shorter := re.sub(r"\btemplate\s*<[^<>]*>|<[^<>]*>", " ", head)) != head:
        head = shorter
    head = " ".join(head.split())
    head = re.sub(r"^(?:(?:public|private|protected) ?: ?)+", "", head)
    if re.match(r"(?:inline )?namespace\b", head):
        return "namespace", ""
    if re.match(r"(?:friend )?(?:using|typedef)\b", head):
        found = re.match(r"using (\w+)", head)
        return "other", found[1] if found else ""
    if found := re.match(r"(?:template )?(struct|class|union|concept|enum(?: class)?) (?:alignas\([^)]*\) )?(\w+)", head):
        return "enum" if found[1].startswith("enum") else "type", found[2]
    before = re.sub(r"^(?:template )?requires .*? (?=\w+ )", "", head).split(" = ")[0]
    if found := re.search(r"(operator\s*(?:\(\)|[^\s(\w]+|\w+)|~?\w+) ?\(", before):
        return ("other", "") if found[1] in control else ("function", found[1])
    if found := re.search(r"(\w+)(?:\[[^\]]*\])*$", before):
        return "other", found[1]
    return "other", ""


def citations(text):
    """Yields (rfc, section, symbol) for every citation in a header; the symbol of a file's own is empty."""
    scopes = []    # (kind, name) of the braces that are open
    head = ""      # the code since the last ; { }
    waiting = []   # citations of comments whose declaration is yet to come
    depth = 0      # of parentheses

    def qualified(name):
        for kind, scope in scopes:
            if kind == "function":
                return "::".join([*[n for k, n in scopes[:scopes.index((kind, scope))] if k in ("type", "enum")], scope])
        return "::".join([n for k, n in scopes if k in ("type", "enum")] + ([name] if name else []))

    for what, offset, piece in tokens(text):
        if what == "comment":
            for rfc, sections in citation.findall(joined_comment(text, offset, piece)):
                waiting += [(rfc, one) for one in re.findall(section, sections)]
            if not scopes:
                yield from ((*one, "") for one in waiting)
                waiting = []
            elif waiting and not head.strip():
                line = text[text.rfind("\n", 0, offset) + 1:offset]
                if line.strip():   # behind the code that it speaks of
                    symbol = qualified(name_of(line.rstrip().rstrip(",;{ "))[1])
                    yield from ((*one, symbol) for one in waiting)
                    waiting = []
            continue
        depth += {"(": 1, ")": -1}.get(piece, 0)
        in_enum = scopes and scopes[-1][0] == "enum"
        if depth == 0 and (piece in ";{}" or piece == "," and in_enum):
            kind, name = name_of(head)
            if head.strip() or piece == "}":
                yield from ((*one, qualified(name)) for one in waiting)
                waiting = []
            if piece == "{":
                inner = kind in ("namespace", "type", "enum") or kind == "function" and not any(
                    k == "function" for k, _ in scopes)
                scopes.append((kind, name) if inner else ("block", ""))
            elif piece == "}" and scopes:
                scopes.pop()
            head = ""
        else:
            head += piece


def joined_comment(text, offset, piece):
    """A comment with the start of the next line's, for a citation that is broken over two; only what begins here."""
    end = offset + len(piece)
    following = re.match(r"\n\s*//([^\n]*)", text[end:])
    if following and (broken := re.search(r"\bRFC(?: \d+)?$", piece)):
        return piece + following[1] if broken else piece
    return piece


def key(number):
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in number.split(".")]


def titles():
    """{rfc: {section: title}} of the RFCs that tools/rfc_sections.txt lists; section "" is the RFC's own title."""
    known = collections.defaultdict(dict)
    for line in titles_file.read_text().splitlines():
        rfc, number, title = line.split("\t")
        known[rfc][number] = title
    return known


def main():
    known = titles()
    places = collections.defaultdict(lambda: collections.defaultdict(dict))
    unknown = 0
    for header in headers.layers():
        for rfc, number, symbol in citations((headers.include / header).read_text()):
            if rfc in known and number not in known[rfc]:
                print(f"include/alos/{header}: RFC {rfc} has no section {number}")
                unknown += 1
            places[rfc][number].setdefault(header, {})[symbol] = None

    lines = ["# Where each section of an RFC is implemented", "",
             "Made by tools/rfc_map.py from the comments of include/alos; change the comments, not this file.", ""]
    for rfc in sorted(places, key=int):
        title = known[rfc].get("", "") if rfc in known else ""
        lines += [f"## RFC {rfc}" + (f": {title}" if title else ""), "", "| section | where |", "|---|---|"]
        for number in sorted(places[rfc], key=key):
            where = []
            for header, symbols in places[rfc][number].items():
                named = ", ".join(f"`{symbol}`" for symbol in symbols if symbol)
                where.append(f"{header}: {named}" if named else header)
            heading = f"{number} {known[rfc].get(number, '')}".strip() if rfc in known else number
            lines.append(f"| {heading} | {'; '.join(where)} |")
        lines.append("")
    text = "\n".join(lines)

    if "--check" in sys.argv[1:]:
        stale = not target.exists() or target.read_text() != text
        if stale:
            print("RFC_MAP.md is stale: run `make generated`")
        sys.exit(1 if stale or unknown else 0)
    target.write_text(text)


main()
