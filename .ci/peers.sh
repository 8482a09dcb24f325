#!/usr/bin/env bash
# Installs the packages that the ignored tests need, on Debian or Ubuntu, as root or through sudo.
set -euo pipefail

packages=(
    chromium         # the live page
    chromium-driver
    fonts-dejavu-core # its pictures
    golang-go        # Go's own expvar
    golang-github-prometheus-client-model-dev # Prometheus' protobuf messages
    prometheus       # a scrape by the real thing, and promtool
    systemd          # systemd-analyze, for the units
    carbon-c-relay   # Graphite over TLS
    etcd-server      # members of samlare
    iproute2         # a network to cut
    tmux             # the terminal view
    valgrind         # the allocator hook
    wrk              # requests a second, beside Go's
)

command -v npm >/dev/null || packages+=(npm) # axe-core, for the live page

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -q
# Packages that start a service when they are installed (Prometheus, the relay) must not: the tests
# start their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
