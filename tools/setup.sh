#!/usr/bin/env bash
# Brings what alos needs to be built, or says what is missing and which command would bring it.
#
#   tools/setup.sh run     what `make serve` needs
#   tools/setup.sh test    the same, and what `make test` needs
#   tools/setup.sh fuzz    the same, and clang with libFuzzer
#   tools/setup.sh demo    what `make demo-acme` needs
#
# Debian 13 and later: packages only. Debian 12 has neither Boost 1.88 nor Botan 3: the headers of Boost
# are unpacked from the next release's package, and Botan is built from Debian's source archive, both into
# ${XDG_CACHE_HOME:-~/.cache}/alos, with .deps pointing there. The mirror is the one this machine uses.
# Pebble, a CA for tests, is unpacked there from Debian's testing suite where the system's own is older than 2.10.
# An interrupted run goes on where it stopped; a finished one takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:-run}
boost_floor=1.88
botan_floor=3.7
pebble_floor=2.10

# --- What is needed: "package probe", a probe is a command or a file --------------------------------------

run_needs="
g++ g++
meson meson
ninja-build ninja
pkg-config pkg-config"

test_needs="
doctest-dev /usr/include/doctest/doctest.h
cmake cmake
openssl openssl
curl curl
gnutls-bin gnutls-cli
valgrind valgrind
chromium chromium"

demo_needs="
openssl openssl
curl curl"

# The CA that ACME is tried with. Not every release has it; what would use it is skipped then.
pebble_wishes="
pebble pebble"

# Debian 12's plain "clang" is 14, which is too old for our coroutines.
fuzz_needs="
clang-19 clang-19
libclang-rt-19-dev /usr/lib/llvm-19/lib/clang/19/lib/linux"

# What taking Boost and Botan from the source archive needs besides.
source_needs="
xz-utils xz
python3 python3"

# Of Botan only the modules that alos uses; names a version does not know are left out.
botan_modules="
system_rng auto_rng hmac_drbg
aes gcm ctr chacha20poly1305 poly1305 chacha cbc
sha1 sha2_32 sha2_64 sha3 hmac hkdf pbkdf2
x25519 ecdh ecdsa ed25519 rsa ml_kem
pcurves_secp256r1 pcurves_secp384r1 pcurves_secp521r1 emsa_pssr emsa_pkcs1
x509 pkcs12 pbes2 pem base64 hex uuid
certstor_system certstor_flatfile
tls12 tls13 tls13_pqc tls_cbc
locking_allocator"
case $(uname -m) in
x86_64) botan_modules+="
processor_rng rdseed aes_ni aes_vaes aes_vperm ghash_cpu ghash_vperm ghash_avx512_clmul
chacha_avx2 chacha_avx512 chacha_simd32 poly1305_avx2 poly1305_avx512 ctr_avx2 ctr_simd32
sha1_simd sha1_x86 sha2_32_x86 sha2_32_avx2 sha2_32_simd sha2_64_avx2 sha2_64_avx512 sha2_64_x86" ;;
aarch64) botan_modules+="
aes_armv8 aes_vperm ghash_cpu ghash_vperm chacha_simd32 ctr_simd32
sha1_armv8 sha2_32_armv8 sha2_64_armv8" ;;
esac

# --- Saying how far it is ---------------------------------------------------------------------------------

step=0 steps=0
say() { step=$((step + 1)); echo "[$step/$steps] $*"; }
exec 8>&2 # where people read, also while a step writes into its log
fail() { printf 'tools/setup.sh: %s\n' "$@" >&8; exit "${status_of_failure:-1}"; }

# Shows a percentage that arrives at the start of each line; everything is kept in the log.
show_progress()
{
    local label=$1 log=$2 percent line last=-1
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        [[ $line =~ ^\ *([0-9]+)% ]] || continue
        percent=${BASH_REMATCH[1]}
        if [[ -t 1 ]]; then
            printf '\r[%s/%s] %s ... %s %%' "$step" "$steps" "$label" "$percent"
        elif ((percent / 10 > last)); then
            last=$((percent / 10))
            echo "[$step/$steps] $label ... $percent %"
        fi
    done
    if [[ -t 1 ]]; then echo; fi
}

# --- Packages of the system -------------------------------------------------------------------------------

missing_of() # prints the packages whose probe fails
{
    local package probe
    while read -r package probe; do
        [[ -n $package ]] || continue
        case $probe in
        /*) [[ -e $probe ]] ;;
        *) command -v "$probe" >/dev/null ;;
        esac || echo "$package"
    done <<<"$1"
}

has_boost()
{
    local header number
    for header in /usr/local/include/boost/version.hpp /usr/include/boost/version.hpp; do
        [[ -e $header ]] || continue
        number=$(sed -n 's/^#define BOOST_VERSION \([0-9]*\).*/\1/p' "$header")
        ((number >= 108800)) && return 0
    done
    return 1
}

has_botan() { command -v pkg-config >/dev/null && pkg-config --atleast-version=$botan_floor botan-3; }

candidate_is_at_least() # package version
{
    local candidate
    candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [[ -n $candidate && $candidate != "(none)" ]] && dpkg --compare-versions "$candidate" ge "$2"
}

# Adds to `packages` what is wished for, missing, and to be had; says what is not.
add_wishes()
{
    local package
    for package in $(missing_of "$1"); do
        if command -v apt-get >/dev/null && [[ $(id -u) != 0 ]]; then
            echo "there is no $package here; to have it:  sudo apt-get install --no-install-recommends $package"
            continue
        fi
        # A fresh container knows no packages at all.
        compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || apt-get update -qq 2>/dev/null || true
        if candidate_is_at_least "$package" 0; then packages+=("$package")
        else echo "there is no $package for this system; what needs it is skipped"; fi
    done
}

install_packages()
{
    local packages=$* command="apt-get install --no-install-recommends -y $*"
    command -v apt-get >/dev/null || fail "missing: $packages" \
        "(names as in Debian; install them with this system's package manager, then start again)"
    [[ $(id -u) = 0 ]] || fail "missing: $packages" "install with:  sudo $command"
    say "installing packages: $packages"
    # Some other archive of the machine may be out of reach; what matters is whether the install works.
    apt-get update -qq || true
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends -y -qq $packages >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2
          fail "these packages could not be installed (is there a network?): $packages" "tried:  $command"; }
}

# --- Debian 12: Boost and Botan into a private folder -----------------------------------------------------

# The address of Debian's archive as this machine's own configuration has it, whatever its format.
own_mirror()
{
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v own="$VERSION_CODENAME" '$2 == own || $2 ~ /^(old)*stable$/ { print $1; exit }'
}

# apt with a configuration of its own, so that nothing of another release can reach the system.
private_apt()
{
    local command=$1
    shift
    "$command" -qq -o Dir::Etc::sourcelist="$PWD/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$PWD/apt/state" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$PWD/apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

# The indexes of other suites, "deb trixie" or "deb-src trixie", into a private configuration in this folder.
update_indexes()
{
    local mirror=$1 kind suite
    shift
    mkdir -p apt/state/lists/partial apt/cache/archives/partial
    for suite in "$@"; do
        read -r kind suite <<<"$suite"
        echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    done >apt/sources.list
    private_apt apt-get -o APT::Update::Error-Mode=any update
}

read_indexes()
{
    local mirror
    mirror=$(own_mirror)
    [[ -n $mirror ]] || fail "no Debian mirror is configured for apt: Boost and Botan cannot be fetched" \
        "configure one in /etc/apt/sources.list, then start again"
    update_indexes "$mirror" "deb trixie" "deb-src trixie" "deb-src forky" >>log 2>&1 ||
        fail "Debian's archive cannot be reached through $mirror (is there a network?)" \
            "needed from it: libboost1.88-dev and the source of botan3; details: $PWD/log"
}

take_boost()
{
    rm -rf boost && mkdir boost
    (cd boost && ln -s ../apt apt && private_apt apt-get download libboost1.88-dev && dpkg -x ./*.deb .)
    mkdir -p prefix/include
    rm -rf prefix/include/boost
    mv boost/usr/include/boost prefix/include/boost
    rm -rf boost
}

take_botan_source()
{
    local suite
    for suite in forky trixie; do
        rm -rf source && mkdir source
        if (cd source && ln -s ../apt apt && private_apt apt-get source --tar-only --download-only -t $suite botan3 &&
                tar -xf botan3_*.orig.tar.* --strip-components=1); then
            return
        fi
        echo "    the source of Botan cannot be had from $suite"
    done
    fail "the source of Botan cannot be fetched" "details: $PWD/log"
}

configure_botan()
{
    local known wanted
    known=$(cd source && python3 configure.py --list-modules)
    # shellcheck disable=SC2086
    wanted=$(printf '%s\n' $botan_modules | grep -Fx -f <(echo "$known") | paste -sd,)
    (cd source && python3 configure.py --quiet --minimized-build --enable-modules="$wanted" \
        --build-targets=static --without-documentation --build-tool=ninja \
        --cc=gcc --cc-bin=g++ --prefix="$1")
    bundle_botan
}

# Has Botan compiled in eight pieces instead of three hundred, as its amalgamation would in one: most of the time goes
# into reading the same headers again. Each piece takes less than 1 GB of memory. What has flags of its own is left alone.
bundle_botan()
{
    python3 - <<'END'
import pathlib, re

source = pathlib.Path("source")
rules = (source / "build.ninja").read_text()
single = re.compile(r"^build (\S+\.o): compile_lib (\S+\.cpp)\n(?!  )", re.MULTILINE)
found = single.findall(rules)
pieces = [[] for _ in range(8)]
whole = sum((source / path).stat().st_size for _, path in found)
before = 0
for _, path in found:
    pieces[before * len(pieces) // whole].append(path)
    before += (source / path).stat().st_size

bundles = []
rules = single.sub("", rules)
for number, paths in enumerate(pieces):
    name = f"bundle_{number}.cpp"
    (source / name).write_text("".join(f'#include "{path}"\n' for path in paths))
    bundles.append(f"build/obj/lib/bundle_{number}.o")
    rules += f"build {bundles[-1]}: compile_lib {name}\n"
bundled = {target for target, _ in found}
rules = re.sub(r"^build \S+: link_static .*", lambda line: " ".join(
    [word for word in line[0].split(" ") if word not in bundled] + bundles), rules, flags=re.MULTILINE)
(source / "build.ninja").write_text(rules)
END
}

build_botan()
{
    local version
    version=$(sed -n 's/.*"version": "\([0-9.]*\)".*/\1/p' source/build/build_config.json)
    NINJA_STATUS='%p ' ninja -C source 2>&1 | show_progress "building Botan $version" log &&
        DESTDIR=$PWD/installed ninja -C source install >>log 2>&1 &&
        cp -r "installed$1/." prefix
}

# A machine file for Meson that makes it look into the folder first.
write_machine_file()
{
    cat >prefix/native.ini <<END
[properties]
boost_root = '$1'
[built-in options]
pkg_config_path = ['$1/lib/pkgconfig']
END
}

# Everything the result depends on gives it its name.
recipe_hash()
{
    { declare -f take_boost take_botan_source configure_botan bundle_botan write_machine_file
      echo "$botan_modules"
      uname -m
      g++ -dumpfullversion
    } | sha256sum | cut -c1-16
}

once() # runs a step unless an earlier run finished it
{
    local mark=done.$1 status
    say "$2"
    shift 2
    [[ ! -e $mark ]] || return 0
    set +e
    (set -e; status_of_failure=77; "$@") >>log 2>&1
    status=$?
    set -e
    ((status != 77)) || exit 1 # it has said why
    ((status == 0)) || fail "this step failed; the end of $PWD/log:" "$(tail -n 20 log | cut -c 1-300)"
    touch "$mark"
}

# --- A newer Pebble than the system's, for tests only -----------------------------------------------------

has_pebble()
{
    [[ -x $cache/pebble/usr/bin/pebble ]] ||
        dpkg --compare-versions "$(dpkg-query -W -f '${Version}' pebble 2>/dev/null)" gt "$pebble_floor"
}

take_pebble()
{
    local mirror
    mirror=$(own_mirror)
    [[ -n $mirror ]] &&
        rm -rf "$cache/pebble.partial" &&
        mkdir "$cache/pebble.partial" &&
        cd "$cache/pebble.partial" &&
        update_indexes "$mirror" "deb forky" &&
        private_apt apt-get download pebble &&
        dpkg -x ./*.deb . &&
        usr/bin/pebble -version && # it may want a later C library
        rm -rf apt ./*.deb "$cache/pebble" &&
        mv "$cache/pebble.partial" "$cache/pebble"
}

# Best effort, and not again within a day: without a network each try takes a while.
wish_for_pebble()
{
    [[ ${ID:-} = debian ]] && ! has_pebble || return 0
    [[ -z $(find "$cache/pebble.log" -mtime -1 2>/dev/null) ]] || return 0
    steps=$((step + 1))
    say "unpacking a newer Pebble than this system has, for the tests alone"
    (take_pebble) >"$cache/pebble.log" 2>&1 ||
        echo "    there is none; what needs $pebble_floor or later is skipped (details: $cache/pebble.log)"
}

# --- The run ----------------------------------------------------------------------------------------------

wishes=
case $mode in
run) needs=$run_needs ;;
test) needs=$run_needs$test_needs wishes=$pebble_wishes ;;
fuzz) needs=$run_needs$test_needs$fuzz_needs ;;
demo) needs=$run_needs$demo_needs wishes=$pebble_wishes ;;
*) fail "unknown mode '$mode'" "usage: tools/setup.sh run|test|fuzz|demo" ;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}/alos
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { echo "another setup is running; waiting for it"; flock 9; }
log=$cache/install.log

# shellcheck disable=SC1091
. /etc/os-release
from_source=false
has_boost && has_botan || {
    # Testing and unstable have no VERSION_ID.
    if [[ ${ID:-} = debian && ${VERSION_ID:-99} -le 12 ]]; then
        from_source=true
        needs+=$source_needs
    fi
}

mapfile -t packages < <(missing_of "$needs")
add_wishes "$wishes"
if ! $from_source; then
    if ! has_boost; then
        if candidate_is_at_least libboost-dev $boost_floor; then packages+=(libboost-dev)
        else packages+=(libboost1.88-dev); fi
    fi
    has_botan || packages+=(libbotan-3-dev)
fi

steps=$((${#packages[@]} > 0))
if ! $from_source; then
    ((${#packages[@]} == 0)) || install_packages "${packages[@]}"
    has_boost || fail "Boost $boost_floor or later is needed and this system has none"
    has_botan || fail "Botan $botan_floor or later is needed and this system has none"
    [[ -z $wishes ]] || wish_for_pebble
    [[ ! -L .deps ]] || rm .deps
    exit
fi

if ! command -v g++ >/dev/null || [[ ! -e $cache/deps-$(recipe_hash)/ready ]]; then
    steps=$((steps + 5))
fi
((${#packages[@]} == 0)) || install_packages "${packages[@]}"

deps=$cache/deps-$(recipe_hash)
if [[ ! -e $deps/ready ]]; then
    checkout=$PWD
    mkdir -p "$deps.partial"
    cd "$deps.partial"
    once indexes "reading the indexes of Debian's archive" read_indexes
    once boost "unpacking the headers of Boost 1.88" take_boost
    once source "fetching the source of Botan" take_botan_source
    once configure "configuring Botan" configure_botan "$deps"
    say "building Botan (some minutes)"
    build_botan "$deps" || fail "Botan could not be built; the end of $PWD/log:" "$(tail -n 20 log | cut -c 1-300)"
    write_machine_file "$deps"
    touch prefix/ready
    rm -rf "$deps"
    mv prefix "$deps"
    cd "$checkout"
    rm -rf "$deps.partial"
fi
ln -sfn "$deps" .deps
[[ -z $wishes ]] || wish_for_pebble
