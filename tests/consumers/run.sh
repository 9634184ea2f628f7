#!/bin/sh
# Uses alos in one of the ways a program may, from a folder of its own, and runs the result.
#
#   run.sh meson|separate|pkgconfig|cmake|add_subdirectory|single_header <source folder> <work folder>
#
# "separate" is "meson" with the default server compiled once, in alos' own library.
set -eu
kind=$1 source=$2 work=$3

rm -rf "$work"
mkdir -p "$work"
files=$kind
[ "$kind" != separate ] || files=meson
cp -r "$source/tests/consumers/$files/." "$source"/tests/consumers/*.?pp "$work"
cd "$work"

# Where tools/setup.sh put Boost and Botan into a folder of its own, that has to be said.
native= BOOST_FLAGS=
if [ -e "$source/.deps/native.ini" ]; then
    deps=$(readlink -f "$source/.deps")
    native="--native-file $deps/native.ini"
    PKG_CONFIG_PATH=$deps/lib/pkgconfig
    BOOST_ROOT=$deps
    BOOST_FLAGS="-isystem $deps/include"
    export PKG_CONFIG_PATH BOOST_ROOT BOOST_FLAGS
fi
export CXX="${CXX:-c++}"

install_alos()
{
    meson setup "$work/alos" "$source" $native --prefix "$work/installed" --libdir lib \
        -Dtests=disabled -Dexamples=disabled -Dbench=disabled
    meson install -C "$work/alos"
    export PKG_CONFIG_PATH="$work/installed/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

case $kind in
meson | separate)
    mkdir subprojects
    ln -s "$source" subprojects/alos
    separate=false
    [ "$kind" = meson ] || separate=true
    meson setup build $native -Ddebug=false -Dalos:separate_compilation=$separate
    ninja -C build
    ./build/consumer ;;
pkgconfig)
    install_alos
    make
    ./consumer ;;
cmake)
    install_alos
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$work/installed"
    cmake --build build
    ./build/consumer ;;
add_subdirectory)
    ln -s "$source" alos
    cmake -S . -B build -DBOOST_ROOT="${BOOST_ROOT:-}"
    cmake --build build
    ./build/consumer ;;
single_header)
    mkdir alos
    cp "$source/single_include/alos/alos.hpp" alos
    make
    ./consumer ;;
esac
