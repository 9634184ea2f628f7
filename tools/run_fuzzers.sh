#!/bin/sh
# Runs every fuzz target for so many seconds with clang's libFuzzer:  tools/run_fuzzers.sh <seconds> [target ...]
# New inputs are kept in build/fuzz/corpus, a crash in tests/fuzz/findings.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift

# The newest clang++ of the machine.
CXX=$(ls /usr/bin/clang++-[0-9]* 2>/dev/null | sort -V | tail -n 1)
export CXX="${CXX:-clang++}"
tools/configure.sh build/fuzz -Doptimization=2 -Ddebug=true -Db_lundef=false -Db_sanitize=address,undefined \
    -Dfuzzing_engine=libfuzzer -Dexamples=disabled -Dbench=disabled
mkdir -p tests/fuzz/findings

targets=$*
if [ -z "$targets" ]; then
    for source in tests/fuzz/*.cpp; do
        name=$(basename "$source" .cpp)
        [ "$name" = replay ] || targets="$targets $name"
    done
fi

failed=0
for name in $targets; do
    ninja -C build/fuzz --quiet "tests/fuzz/fuzz_$name"
    mkdir -p "build/fuzz/corpus/$name"
    echo "== $name: $seconds s"
    build/fuzz/tests/fuzz/fuzz_"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="tests/fuzz/findings/$name-" \
        "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1 || {
        failed=1
        echo "== $name: a finding, see build/fuzz/$name.log"
    }
    tail -n 5 "build/fuzz/$name.log"
done
exit $failed
