#!/bin/sh
# Configures a build folder, as far as that is needed:  tools/configure.sh <folder> <meson options>
set -e
folder=$1
shift

# A folder remembers paths into .deps and its options; when those change, it starts afresh.
wanted="$(readlink .deps || echo none) ${CXX:-} $*"
# Meson is not told when a file appears that a list already names, nor when a header includes another.
files=$({ find include tests examples bench -name '*.?pp' -o -name '*.py'; grep -r '^#include <alos/' include; } |
    sort | cksum)

if [ "$(cat "$folder/configured_for" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$folder"
    [ ! -e .deps/native.ini ] || set -- --native-file .deps/native.ini "$@"
    mkdir -p "$folder"
    meson setup "$folder" "$@" >"$folder/setup.log" 2>&1 || { cat "$folder/setup.log" >&2; exit 1; }
    echo "$wanted" >"$folder/configured_for"
    echo "$files" >"$folder/configured_files"
elif [ "$(cat "$folder/configured_files")" != "$files" ]; then
    meson setup --reconfigure "$folder" >"$folder/setup.log" 2>&1 || { cat "$folder/setup.log" >&2; exit 1; }
    echo "$files" >"$folder/configured_files"
fi
