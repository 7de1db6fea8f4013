#!/bin/sh
# Everything that can be checked, one step after the other; what failed is told at the end. `make test` runs it, with the
# environment's bin/ first on the PATH. Arguments go to pytest.
set -u

failed=""

# Compiled programs are kept in a cache. Where there can be none, as without a home, they are kept for this run.
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}
if ! mkdir -p "$cache" 2>/dev/null || ! [ -w "$cache" ]; then
    XDG_CACHE_HOME=$(mktemp -d)
    export XDG_CACHE_HOME
    trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
fi

step() {
    name=$1
    shift
    echo "== $name"
    if "$@"; then
        return 0
    fi
    failed="$failed, $name"
    return 1
}

packet_tests() {
    step "packet tests: $1 switch, $2 compiler" python -m ptf_tests.run --target "$1" --compiler "$2" --flows 800 || true
}

step "ruff" ruff check .
step "formatting" ruff format --check .
step "types" mypy
step "direction of imports" lint-imports

bmv2=no
p4c=no
command -v simple_switch_grpc >/dev/null && bmv2=yes
command -v p4c-bm2-ss >/dev/null && p4c=yes

packet_tests native kulvert
if [ $p4c = yes ]; then
    packet_tests native p4c
fi
if [ $bmv2 = yes ]; then
    packet_tests bmv2 kulvert
fi
if [ $bmv2 = yes ] && [ $p4c = yes ]; then
    packet_tests bmv2 p4c
fi

step "Python tests" python -m pytest "$@"

if [ $bmv2 = yes ]; then
    echo "simple_switch_grpc: on the PATH ($(command -v simple_switch_grpc)), tested against"
else
    echo "simple_switch_grpc: not on the PATH, not tested against"
fi
if [ $p4c = yes ]; then
    echo "p4c-bm2-ss: on the PATH ($(command -v p4c-bm2-ss)), tested against"
else
    echo "p4c-bm2-ss: not on the PATH, not tested against"
fi
missing=""
for program in etcd kube-apiserver kube-controller-manager; do
    command -v $program >/dev/null || missing="$missing, $program"
done
if [ -z "$missing" ]; then
    echo "kube-apiserver: on the PATH ($(command -v kube-apiserver)), with etcd and kube-controller-manager, tested against"
else
    echo "kube-apiserver: not tested against, because these are not on the PATH: ${missing#, }"
fi
if [ -n "$failed" ]; then
    echo "make test: FAILED: ${failed#, }"
    exit 1
fi
echo "make test: all passed"
