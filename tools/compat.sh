#!/bin/sh
# Runs the tests in another Debian, with the QGIS and the Python it packages: make compat SUITE=trixie.
#
# debootstrap makes the system in a folder once; the checkout is copied into it anew for each run. Needs root.
#
#   SUITE   the version of Debian: trixie has QGIS 3.40, testing a later one
#   TARGET  what make runs there
#   TESTS   which tests
#   APT_CONF  a file of settings for apt there, for a mirror that needs any
set -eu
cd "$(dirname "$0")/.."
suite=${SUITE:-trixie}
target=${TARGET:-test}
tests=${TESTS:-tests}
system=$PWD/build/compat/$suite

stop() { printf '%s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || stop "make compat changes its root folder, which only root may do. Run it as root or in a container."
command -v debootstrap >/dev/null || stop "make compat needs debootstrap. Install it: apt-get install debootstrap."
case $suite in *[!a-z]*) stop "SUITE is '$suite'; it is a name of a Debian version, such as trixie." ;; esac

if [ ! -e "$system/complete" ]; then
    rm -rf "$system"
    mkdir -p "$system"
    debootstrap --variant=minbase --include=ca-certificates,git,make "$suite" "$system" >"$system.log" 2>&1 ||
        stop "debootstrap could not make $suite: see $system.log."
    touch "$system/complete"
fi
# The network of this machine: names, own authorities, where pip looks.
for file in resolv.conf hosts pip.conf; do
    [ ! -e "/etc/$file" ] || cp -L "/etc/$file" "$system/etc/$file"
done
if [ -d /usr/local/share/ca-certificates ]; then
    mkdir -p "$system/usr/local/share/ca-certificates"
    cp -R /usr/local/share/ca-certificates/. "$system/usr/local/share/ca-certificates/"
    chroot "$system" update-ca-certificates >/dev/null 2>&1
fi

[ -z "${APT_CONF:-}" ] || cp "$APT_CONF" "$system/etc/apt/apt.conf.d/99compat"

mkdir -p "$system/floelens"
find "$system/floelens" -mindepth 1 -maxdepth 1 ! -name .venv ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar -x -C "$system/floelens"

mount -t proc proc "$system/proc"
trap 'umount "$system/proc" || :' EXIT
trap 'exit 130' INT TERM
chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive TESTS="$tests" ${WORKERS:+WORKERS="$WORKERS"} \
    sh -c "cd /floelens && make $target"
