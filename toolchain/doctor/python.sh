# shellcheck shell=sh disable=SC2034,SC2154
# Which Python .venv is made with, and whether it is complete. Read by doctor.sh.

# What this prints any Python can run, Python 2 too.
PROBE='
import os, sys
def show(name, value): print("%s=%s" % (name, value))
level = {"final": "", "candidate": "rc", "beta": "b", "alpha": "a"}[sys.version_info[3]]
show("version", "%d.%d.%d" % tuple(sys.version_info[:3]) + (level and level + str(sys.version_info[4])))
show("executable", getattr(sys, "_base_executable", "") if sys.prefix != getattr(sys, "base_prefix", sys.prefix) else "")
show("prefix", getattr(sys, "base_prefix", sys.prefix))
show("implementation", getattr(getattr(sys, "implementation", None), "name", ""))
show("machine", os.uname()[4])
show("bits", 64 if sys.maxsize > 2 ** 32 else 32)
lacking = []
for name in ("ssl", "zlib", "ctypes", "sqlite3"):
    try: __import__(name)
    except Exception: lacking.append(name)
show("lacking", " ".join(lacking))
try:
    import venv, ensurepip
    ensurepip.version()
    show("venv", "yes")
except Exception: show("venv", "")
try:
    import sysconfig
    show("headers", os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")) and "yes" or "")
    show("threads", sysconfig.get_config_var("Py_GIL_DISABLED") and "free" or "")
    show("libc", "musl" in (sysconfig.get_config_var("SOABI") or "") and "musl" or "")
except Exception: pass
try:
    import ctypes
    if sys.platform.startswith("linux"): ctypes.CDLL("libstdc++.so.6")
    show("libstdcxx", "yes")
except Exception: show("libstdcxx", "")
'

# ask PATH: set facts to what it says of itself; status 1 if it does not run.
ask() {
    # Until the command line tools are installed, Apple's own python3 opens a window to offer them.
    case $kernel$1 in "Darwin$root/usr/bin/"*) has_xcode || return 1 ;; esac
    facts=$("$1" -c "$PROBE" 2>/dev/null </dev/null) || return 1
    facts=$newline$facts$newline
    [ -n "$(fact version)" ]
}

fact() {
    value=${facts#*"$newline$1="}
    if [ "$value" != "$facts" ]; then printf '%s\n' "${value%%"$newline"*}"; fi
}

# unfit: why the Python that facts are of is not supported; nothing if it is.
unfit() {
    version=$(fact version)
    minor=${version%.*}
    case " $PYTHONS " in
        *" $minor "*)
            case $version in *[a-z]*)
                echo "is $version, which came before the release of $minor: its final ones are supported"
                return
                ;;
            esac
            ;;
        *)
            newest=${PYTHONS%% *}
            if [ "${minor%%.*}" -gt 3 ] || { [ "${minor%%.*}" -eq 3 ] && [ "${minor#*.}" -gt "${newest#*.}" ]; }; then
                echo "is $version, newer than the locked packages are for"
            else
                echo "is $version, older than the locked packages are for"
            fi
            return
            ;;
    esac
    if [ "$(fact implementation)" != cpython ]; then
        echo "is $(fact implementation), not CPython"
    elif [ "$(fact threads)" = free ]; then
        echo "is built for free threads, which packages of the lock have no wheels for"
    elif [ "$(fact bits)" != 64 ]; then
        echo "is a program of 32 bits; the wheels are for 64"
    elif [ "$(fact libc)" = musl ] && [ "$kernel" = Linux ]; then
        echo "is linked with musl; the wheels are for glibc"
    elif [ "$kernel-$machine-$(fact machine)" = Darwin-arm64-x86_64 ]; then
        echo "is for Intel, on a Mac with Apple silicon"
    fi
}

# Set python (a path), and facts of it; python is '' where there is none, and then refused says what was looked at.
choose_python() {
    python='' refused=''
    if [ -n "$asked_python" ]; then
        if ! try_python "$(path_of "$asked_python")"; then
            : "${refused:=$asked_python is not there, or does not run}"
        fi
        return
    fi
    try_python "$(path_of python3)" && return
    for minor_version in $PYTHONS; do
        # All of PATH: pyenv puts programs on it that only say that another version is chosen.
        search_path try_python "python$minor_version" && return
    done
}

# try_python PATH: take it if it is fit.
try_python() {
    [ -n "$1" ] && ask "$1" || return 1
    wrong=$(unfit)
    if [ -n "$wrong" ]; then
        case $refused in *"$1 "*) ;; *) refused="$refused${refused:+; }$1 $wrong" ;; esac
        return 1
    fi
    python=$1
    # An environment made with the Python of another would break with that one.
    if [ -x "$(fact executable)" ]; then python=$(fact executable); fi
}

check_python() {
    name="Python $SUPPORTED"
    python_minor='' python_prefix=''
    if [ -z "$python" ]; then
        if [ -n "$asked_python" ]; then
            why="$refused."
            asked_python='' asked=$refused
            choose_python
            if [ -n "$python" ]; then
                missing "$name" "$asked. Take $python: make setup PYTHON=$python"
                python=''
                return
            fi
            refused=$asked
        fi
        missing "$name" "${refused:-there is no python3 on PATH}." python
        return
    fi
    version=$(fact version)
    python_minor=${version%.*}
    python_prefix=$(fact prefix)
    elsewhere=''
    if [ "$python_prefix" != /usr ]; then
        elsewhere=" Install that Python with it, or name another: make setup PYTHON=PATH."
    fi
    if [ -n "$(fact lacking)" ]; then
        missing "$name" "$python ($version) has no $(fact lacking), modules of its standard library.$elsewhere" library
        if [ -z "$(fact venv)" ]; then to_install="$to_install venv"; fi
    elif [ -z "$(fact venv)" ]; then
        missing "$name" "$python ($version) is there without venv and ensurepip, which make the environment.$elsewhere" venv
    else
        ok "$name" "$version ($python)"
    fi
    if [ "$kernel" = Linux ] && [ -z "$(fact libstdcxx)" ]; then
        case " $(fact lacking) " in *' ctypes '*) return ;; esac # which loads it
        missing 'libstdc++' "$python cannot load libstdc++.so.6, which the wheels need." libstdc++
    fi
}
