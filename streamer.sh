#!/bin/sh
# The newcomer's two commands, from any folder of a fresh Debian or Ubuntu:
#
#   ./streamer.sh demo [option...]      see it work: sets up what is missing, then runs the main job on a drawn scene
#   ./streamer.sh test [pytest option]  sets up what is missing, then runs the tests
#
# Python packages go into .venv beside this file. System packages come by apt, where you are root or sudo asks for no
# password; elsewhere you are told what to install. PYTHON=... chooses the interpreter (3.10 or newer).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cd "$here"
venv=.venv
log=$venv/set-up.log

say() { printf 'streamer.sh: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 3; }

what=${1-}
case $what in
demo | test) shift ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$here/${0##*/}" >&2
    exit 2
    ;;
esac

# --- system packages --------------------------------------------------------------------------------------------------

may_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then as_root="env"; else as_root="sudo -n env"; fi
    $as_root true 2>/dev/null
}

apt_install() { # package...
    say "installing by apt: $*"
    get="$as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0"
    apt_log=$(mktemp)
    # A fresh image has no package lists yet, and an old one wrong ones.
    if $get install -y --no-install-recommends "$@" >"$apt_log" 2>&1 ||
        { $get update && $get install -y --no-install-recommends "$@"; } >"$apt_log" 2>&1; then
        rm -f "$apt_log"
    else
        tail -n 20 "$apt_log" >&2
        give_up "apt could not install $*; all it said is in $apt_log"
    fi
}

need() { # package...: without these nothing works
    if may_install; then apt_install "$@"; else give_up "please install first: sudo apt-get install $*"; fi
}

want_mosquitto() { # without it only the tests that need a broker are skipped
    PATH=$PATH:/usr/sbin:/sbin # where Debian puts it, and where a user's PATH may not look
    if command -v mosquitto >/dev/null; then return; fi
    if ! may_install; then
        say "the tests that need a broker are skipped; for them: sudo apt-get install mosquitto"
        return
    fi
    apt_install mosquitto
    # The package starts a broker on port 1883. The tests start their own: leave the machine as quiet as it was.
    if [ -d /run/systemd/system ]; then
        say "the tests need the program only: switching off the service that its package has just started"
        $as_root systemctl disable --now --quiet mosquitto || say "it could not be switched off"
    fi
}

# --- Python -----------------------------------------------------------------------------------------------------------

fits() { # program [minor]: is it Python 3.10 or newer, and older than 3.minor?
    [ -n "$1" ] && "$1" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, ${2-99}))" 2>/dev/null
}

find_python() { # one that the project is tested with, else a newer one, for which packages may still lack wheels
    for below in 14 99; do
        for python in "${PYTHON-}" python3 python3.13 python3.12 python3.11 python3.10; do
            if fits "$python" "$below"; then return 0; fi
        done
    done
    return 1
}

has_library() { "$python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null; }

make_venv() {
    if ! find_python; then
        need python3 python3-venv
        find_python || give_up "Python 3.10 or newer is needed, and this system's packages have an older one"
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian keeps it in a package of its own
        need "$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    "$python" -m venv --clear "$venv" || give_up "$python could not make $here/$venv"
}

install_packages() { # extras
    say "installing Python packages into $venv; the first time this takes a few minutes"
    if ! "$python" -m pip install --quiet --disable-pip-version-check --editable ".[$1]" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        give_up "pip could not install the packages; all it said is in $here/$log"
    fi
    "$python" -c 'import cv2' 2>"$log" || { tail -n 1 "$log" >&2; give_up "OpenCV can't be loaded, see above"; }
}

set_up() {
    extras=demo
    if [ "$(uname -m)" = x86_64 ]; then extras=$extras,openvino; fi
    if [ "$what" = test ]; then extras=$extras,test; fi
    # Nothing has changed since the last time: same requirements, same place, same interpreter.
    stamp=$venv/set-up-for-$what
    now="$(cksum <pyproject.toml) $here"
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && fits "$venv/bin/python"; then
        python=$venv/bin/python
        return
    fi
    if ! fits "$venv/bin/python" || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then make_venv; fi # or it is broken
    python=$venv/bin/python
    if ! has_library libGL.so.1 || ! has_library libgthread-2.0.so.0; then need libgl1 libglib2.0-0; fi # for OpenCV
    install_packages "$extras"
    printf '%s\n' "$now" >"$stamp"
    if [ "$what" = test ]; then printf '%s\n' "$now" >"$venv/set-up-for-demo"; fi # it has all of that, too
}

set_up
if [ "$what" = test ]; then
    want_mosquitto
    exec "$python" -m pytest "$@"
fi
exec "$python" -m streamer demo "$@"
