#!/usr/bin/env python3
"""No test is forgotten: every header has one, and every source and script below tests/ belongs to the build.

    check_tests.py <build folder>
"""

import json
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "tools"))
import headers

# Nothing to run in them: a version, declarations, code points, concepts, settings, umbrellas.
WITHOUT_TEST = {
    "config.hpp", "fwd.hpp", "alos.hpp", "src.hpp", "policy.hpp",
    "acme/config.hpp", "acme/environment.hpp", "acme/service.hpp", "acme/solver.hpp", "http/outbound.hpp",
    "crypto/algorithms.hpp", "crypto/provider.hpp", "tls13/types.hpp", "server/config.hpp",
}

# Parts of something larger that is tested as a whole, by the rules of its RFC or over a socket.
TESTED_IN = {
    "error.hpp": "cert/registry.cpp",
    "bytes.hpp": "codec.cpp",
    "cert/listed.hpp": "cert/registry.cpp",
    "tls13/extensions.hpp": "tls13/must_4_2.cpp",
    "tls13/client_hello.hpp": "tls13/must_4_1.cpp",
    "tls13/server_hello.hpp": "tls13/must_4_1.cpp",
    "tls13/encrypted_extensions.hpp": "tls13/must_4_2.cpp",
    "tls13/certificate.hpp": "tls13/must_4_4.cpp",
    "tls13/finished.hpp": "tls13/must_4_4.cpp",
    "tls13/post_handshake.hpp": "tls13/must_4_4.cpp",
    "tls13/transcript.hpp": "tls13/rfc8448.cpp",
    "tls13/record.hpp": "tls13/must_5.cpp",
    "tls13/record_reader.hpp": "tls13/must_5.cpp",
    "tls13/record_writer.hpp": "tls13/must_5.cpp",
    "tls13/negotiate.hpp": "tls13/must_4_1.cpp",
    "tls13/detail/pending_signature.hpp": "tls13/stream.cpp",
    "tls13/core.hpp": "tls13/server_handshake.cpp",
    "tls13/detail/flow.hpp": "tls13/engine.cpp",
    "acme/detail/durable_files.hpp": "acme/file_storage.cpp",
    "acme/detail/certificate_folder.hpp": "acme/file_storage.cpp",
    "acme/detail/folder_watch.hpp": "acme/file_storage.cpp",
    "acme/object_reader.hpp": "acme/objects.cpp",
    "acme/detail/fenced_locks.hpp": "acme/file_storage.cpp",
    "acme/event.hpp": "acme/manager.cpp",
    "acme/presenter.hpp": "acme/manager.cpp",
    "acme/revocation.hpp": "acme/manager.cpp",
    "acme/finding.hpp": "acme/doctor.cpp",
    "acme/folder_check.hpp": "acme/doctor.cpp",
    "acme/trial.hpp": "acme/doctor.cpp",
    "acme.hpp": "server/acme_service.cpp",
    "server/acme_environment.hpp": "server/acme_service.cpp",
    "server/state.hpp": "server.cpp",
    "server/crew.hpp": "server.cpp",
}

build = pathlib.Path(sys.argv[1])
commands = json.loads((build / "compile_commands.json").read_text())
built = {(pathlib.Path(entry["directory"]) / entry["file"]).resolve() for entry in commands}
tests = root / "tests"
forgotten = []

for header in headers.layers():
    test = tests / TESTED_IN.get(header, header.replace(".hpp", ".cpp"))
    if header not in WITHOUT_TEST and not test.exists():
        forgotten.append(f"include/alos/{header} has no test: {test.relative_to(root)}")

for folder in ("tests", "examples"):
    for source in sorted((root / folder).rglob("*.cpp")):
        parts = source.relative_to(root).parts
        if parts[:2] != ("tests", "consumers") and source not in built:
            forgotten.append(f"{source.relative_to(root)} is not in {folder}/meson.build")

listed = (tests / "meson.build").read_text() + (root / "examples" / "meson.build").read_text()
for folder in ("e2e", "examples"):
    scripts = sorted((tests / folder).glob("*.py"))
    texts = "".join(script.read_text() for script in scripts)
    for script in scripts:
        helper = re.search(rf"^(from|import) {script.stem}\b", texts, re.MULTILINE)
        is_listed = any(f"'{name}'" in listed for name in (script.stem, script.stem.replace("_", "-")))
        if not helper and not is_listed:
            forgotten.append(f"{script.relative_to(root)} is not in tests/meson.build")

print("\n".join(forgotten))
sys.exit(1 if forgotten else 0)
