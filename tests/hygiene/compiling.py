"""How the project's sources are compiled, for tests that compile some themselves."""

import json
import pathlib
import shlex


def command(build, source):
    """The compiler and its options for that source, but for what they are to make, how well, and of what."""
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    words = shlex.split(next(each["command"] for each in commands if each["file"].endswith(source)))
    kept = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        elif word != "-c" and not word.endswith(source) and not word.startswith(("-O", "-g", "-fsanitize", "-M")):
            kept.append(word)
    if pathlib.Path(kept[0]).name == "ccache":
        kept.pop(0)
    return kept
