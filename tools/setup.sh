#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs what a task needs: tools/setup.sh [demo|check|format|bench|ci|aarch64]
#
# Says what is missing before it asks for any privilege; where it may not install, names the
# packages and fails. Everything goes to stderr: stdout belongs to what the task prints.
set -eu

# package:program is there when the program is on PATH, wherever that came from; for a package
# without a program, and for package:arm64, which is another architecture's, dpkg is asked.
compiler=${CC:-cc}
demo="gcc:${compiler%% *} libc6-dev meson:meson ninja-build:ninja pkgconf:pkg-config
libssl-dev libjansson-dev liblmdb-dev"
format='clang-format-14:clang-format-14'
check="$demo g++:g++ binutils:nm libcmocka-dev mandoc:mandoc
nodejs:node python3-cryptography spin:spin strace:strace
valgrind:valgrind"
ci="$check $format make:make git:git clang-14:clang-14 libclang-rt-14-dev"
bench="$demo openssl:openssl beanstalkd:beanstalkd redis-server:redis-server redis-tools:redis-benchmark
g++:g++ gnuplot-nox:gnuplot golang-go:go rustc:rustc librust-crossbeam-channel-dev
libconcurrentqueue-dev libtbb-dev libglib2.0-dev libatomic-queue-dev libck-dev libboost-dev"
aarch64="gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc g++-aarch64-linux-gnu:aarch64-linux-gnu-g++
qemu-user:qemu-aarch64 libc6-dev-arm64-cross libcmocka-dev:arm64 libssl-dev:arm64 liblmdb-dev:arm64
libjansson-dev:arm64"

complain() { echo "sealq: $*" >&2; }

task=${1:-demo}
case $task in
demo) wanted=$demo ;;
check) wanted=$check ;;
format) wanted=$format ;;
bench) wanted=$bench ;;
ci) wanted=$ci ;;
aarch64) wanted="$demo $aarch64" ;;
*)
    complain "there is no task '$task': type tools/setup.sh [demo|check|format|bench|ci|aarch64]"
    exit 64
    ;;
esac

packages= # missing ones
programs= # missing ones, for systems with other packages
unsure=   # only dpkg knows
for item in $wanted; do
    case $item in
    *:arm64) unsure="$unsure $item" ;;
    *:*)
        command -v "${item#*:}" >/dev/null || {
            packages="$packages ${item%:*}"
            programs="$programs ${item#*:}"
        }
        ;;
    *) unsure="$unsure $item" ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    [ -z "$programs" ] && exit 0 # Meson tells what libraries are missing
    complain "these programs are needed, and this is no Debian to install them on:$programs"
    exit 1
fi

if [ -n "$unsure" ]; then
    native=$(dpkg --print-architecture)
    # shellcheck disable=SC2016,SC2086  # dpkg's variables; a list of words
    installed=" $(dpkg-query -W -f '${Package}:${Architecture}=${db:Status-Status} ' $unsure \
        2>/dev/null || :)"
    for package in $unsure; do
        case $installed in
        *" $package=installed "* | *" $package:$native=installed "* | *" $package:all=installed "*) ;;
        *) packages="$packages $package" ;;
        esac
    done
fi
[ -z "$packages" ] && exit 0

# sudo may ask for a password only where somebody can type one.
if [ "$(id -u)" -eq 0 ]; then
    privilege=
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    privilege=sudo
else
    complain "packages are missing; as root, type: apt install$packages"
    exit 1
fi

complain "installing what is missing:$packages"
# shellcheck disable=SC2086
apt() { $privilege env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2; }
case $packages in *:arm64*) $privilege dpkg --add-architecture arm64 ;; esac
# shellcheck disable=SC2086
if ! { apt update && apt install --yes --no-install-recommends $packages; }; then
    complain "that failed; as root, type: apt install$packages"
    exit 1
fi
