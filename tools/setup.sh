#!/bin/sh
# Create Kulvert's environment: tools/setup.sh VENV run|test
#
# `run` has what the command needs, `test` also what the tests and linters need. Where the machine has no C compiler, the
# `zig` extra brings one as a wheel. Doing it twice is quick and harmless.
set -eu

venv=$1
kind=$2

fail() {
    echo "setup: error: $*" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null || fail "PYTHON=$PYTHON: no such command"
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is older than Python 3.11"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Kulvert needs Python 3.11 or newer and found none; install it, or say make PYTHON=/path/to/python3.11"
}

find_cc() {
    for candidate in "${CC:-cc}" cc gcc clang; do
        if command -v "${candidate%% *}" >/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

if ! [ -x "$venv/bin/python" ] || ! is_new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1
then
    python=$(find_python)
    echo "setup: creating $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        rm -rf "$venv"
        fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
    }
fi

extras=""
[ "$kind" = run ] || extras="test,lint"
compiler=$(find_cc)
if [ -z "$compiler" ]; then
    echo "setup: no C compiler here; bringing Zig's as a wheel (the switch compiles its pipeline with it)"
    extras="${extras:+$extras,}zig"
fi

pip() {
    "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}

echo "setup: installing Kulvert${extras:+ with its extras $extras} into $venv"
if [ -z "$compiler" ] && [ "$kind" = test ]; then
    # One test dependency has no wheel for every Python, so its source is compiled: by Zig, too.
    pip install ziglang
    printf '#!/bin/sh\nexec "%s" -m ziglang cc "$@"\n' "$(cd "$venv" && pwd)/bin/python" >"$venv/bin/zig-cc"
    chmod +x "$venv/bin/zig-cc"
    CC="$(cd "$venv" && pwd)/bin/zig-cc"
    export CC
fi
pip install --editable ".${extras:+[$extras]}" || fail "pip could not install Kulvert; its message is above"

touch "$venv/.ready-run"
[ "$kind" = run ] || touch "$venv/.ready-test"
