#!/bin/sh
# Say what this machine lacks for set-up, and the command that gets it: `make doctor`.
#
#   sh toolchain/doctor.sh [--groups spark,torch,tensorflow,s3,serve,dev] [--horovod 0|1|auto] [--gpu] [--quiet]
#                          [--update] [--python PATH]
#       Check; exit status 1 if something is missing, 2 for a wrong option. --update: set-up is complete, and is
#       only brought up to date. TORCH_INDEX from the environment says which build of torch is installed.
#   sh toolchain/doctor.sh --print-python [--python PATH]
#       Print the path of the interpreter to make .venv with; exit status 1 if there is none.
#   sh toolchain/doctor.sh --print-command [other options]
#       Print the command that installs what is missing, nothing if there is nothing to install.
#   sh toolchain/doctor.sh --print-horovod [other options]
#       Print 1 if Horovod is to be built, 0 if not: --horovod auto builds it where the machine can.
#
# It runs in any POSIX shell, without Python: dash, busybox, bash 3.2. For tests MEDBERT_DOCTOR_ROOT names a folder
# to read in place of /: its etc/os-release, proc, sys, dev/shm, usr/lib/jvm.
# shellcheck disable=SC2034,SC2154
set -u

# Every Python that the locks have wheels for, the newest first.
PYTHONS='3.13 3.12 3.11'
SUPPORTED='3.11, 3.12 or 3.13'
# Not GROUPS, which is bash's own.
ALL_GROUPS='spark torch tensorflow s3 serve dev'
MIN_JAVA=17
MIN_GXX=9
MIN_CLANG=10
MIN_APPLE_CLANG=12 # Apple's own numbers: LLVM 10
MIN_GLIBC_MINOR=28 # 2.28, that of the wheels named manylinux_2_28
MIN_MEMORY_MB=3800 # a machine of 4 GB keeps some for itself
UPDATE_MB=1000

# disk_mb GROUP: MB in .venv, MB in the cache.
disk_mb() {
    case $1 in
        spark) echo 1000 2300 ;; # pyspark's source is unpacked and built in the cache
        torch) echo 5300 5300 ;;
        torch-cpu) echo 1100 1100 ;; # without CUDA's libraries
        tensorflow) echo 1000 1000 ;;
        s3) echo 50 50 ;;
        serve) echo 200 200 ;;
        dev) echo 500 500 ;;
    esac
}

root=${MEDBERT_DOCTOR_ROOT:-}
newline='
'
here=$(cd "$(dirname "$0")" && pwd) || exit 2
project=$(dirname "$here")
for part in packages machine disks python java programs; do
    # shellcheck source=/dev/null
    . "$here/doctor/$part.sh"
done

num_missing=0
to_install='' # words of package_of

# ok NAME DETAIL; missing NAME WHY [THING]; warning NAME WHY [THING]. THING: what package_of finds a package for.
ok() {
    if [ "$mode" = check ] && [ "$quiet" = 0 ]; then printf '  ok       %s: %s\n' "$1" "$2"; fi
}

missing() {
    num_missing=$((num_missing + 1))
    if [ "$mode" = check ]; then printf '  MISSING  %s: %s\n' "$1" "$2"; fi
    to_install="$to_install ${3:-}"
}

warning() {
    if [ "$mode" = check ]; then printf '  warning  %s: %s\n' "$1" "$2"; fi
    to_install="$to_install ${3:-}"
}

stop() {
    printf 'doctor.sh: %s\n' "$1" >&2
    exit 2
}

in_group() {
    case ",$groups," in *",$1,"*) return 0 ;; esac
    return 1
}

# path_of NAME: print where it is on PATH, or NAME itself if it is a path; status 1 if it is not there. (What
# `command -v` finds may be a part of the shell, as in busybox.)
path_of() {
    case $1 in
        */*) [ -f "$1" ] && [ -x "$1" ] && print_path "$1" ;;
        *) search_path print_path "$1" ;;
    esac
}

print_path() { printf '%s\n' "$1"; }

# search_path FUNCTION NAME: call it for each program of that name on PATH, until it says yes.
search_path() {
    search_function=$1 search_name=$2
    saved_ifs=$IFS
    IFS=:
    set -f
    # shellcheck disable=SC2086
    set -- $PATH
    set +f
    IFS=$saved_ifs
    for search_folder in "$@"; do
        found_path=${search_folder:-.}/$search_name
        if [ -f "$found_path" ] && [ -x "$found_path" ]; then
            "$search_function" "$found_path" && return
        fi
    done
    return 1
}

is_number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

# MB, without numbers above the 32 bits that some shells count with. 1 MB is 976.6 KiB.
mb_of_kib() { echo $(($1 / 977)); }

mb_of_bytes() { if [ ${#1} -gt 6 ]; then printf '%s\n' "${1%??????}"; else echo 0; fi; }

# in_gb MB: "3.7 GB".
in_gb() {
    if [ "$1" -lt 0 ]; then set -- 0; fi
    printf '%s.%s GB' $(($1 / 1000)) $(($1 % 1000 / 100))
}

read_options() {
    groups=spark,torch,tensorflow,serve,dev horovod=auto gpu=0 quiet=0 update=0 asked_python='' mode=check
    while [ $# -gt 0 ]; do
        case $1 in
            --groups | --horovod | --python)
                [ $# -gt 1 ] || stop "$1 needs a value."
                case $1 in
                    --groups) groups=$2 ;;
                    --horovod) horovod=$2 ;;
                    --python) asked_python=$2 ;;
                esac
                shift
                ;;
            --gpu) gpu=1 ;;
            --quiet) quiet=1 ;;
            --update) update=1 ;;
            --print-python) mode=python ;;
            --print-command) mode='command' ;;
            --print-horovod) mode=horovod ;;
            *) stop "$1 is no option; the options are at the top of $0." ;;
        esac
        shift
    done
    case $horovod in 0 | 1 | auto) ;; *) stop "--horovod must be 0, 1 or auto, got $horovod." ;; esac
    saved_ifs=$IFS
    IFS=,
    for group in $groups; do
        case " $ALL_GROUPS " in *" $group "*) ;; *) stop "--groups has $group; it must name some of $ALL_GROUPS." ;; esac
    done
    IFS=$saved_ifs
    if ! in_group torch && ! in_group tensorflow; then horovod=0; fi
}

check_machine() {
    check_system
    check_python
    if in_group spark || in_group dev; then
        check_java
        check_user
    fi
    check_command make "the stages are its targets."
    check_command bash "make and Spark run their commands in it."
    if in_group torch || in_group tensorflow; then
        check_command patch "petastorm$(if [ "$horovod" != 0 ]; then echo " and Horovod"; fi) must be patched."
    fi
    check_temporary_folder
    if [ "$horovod" != 0 ]; then check_horovod; fi
    if [ "$gpu" = 1 ]; then check_gpu; fi
    check_project_folder
    check_cache_folder
    check_disks
    check_shared_memory
    check_localhost
    check_memory
    if in_group dev; then check_test_commands; fi
}

conclude() {
    # shellcheck disable=SC2086
    install_command $to_install
    if [ "$mode" = command ]; then
        printf '%s' "$command${command:+$newline}"
        return
    fi
    if [ -n "$command" ]; then
        if [ -n "$as_root" ]; then echo "As root:"; fi
        printf '\n    %s\n\n' "$command"
    fi
    if [ -n "$in_words" ]; then printf 'To get, as your system has them: %s.\n' "$in_words"; fi
    if [ $num_missing -gt 0 ]; then
        if [ -n "$command" ]; then
            echo "$num_missing missing. Run the command above, then make setup."
        else
            echo "$num_missing missing: see above, then make setup."
        fi
        return 1
    fi
    if [ "$quiet" = 0 ]; then echo "This machine has what set-up needs."; fi
}

read_options ${1+"$@"} # some shells take "$@" of nothing for an unset variable
kernel=$(uname -s)
machine=$(uname -m)
can_build=1
temporary=${TMPDIR:-/tmp}
choose_python
case $mode in
    python)
        if [ -n "$python" ]; then
            printf '%s\n' "$python"
            exit 0
        fi
        exit 1
        ;;
    horovod)
        python_minor='' python_prefix=''
        if [ "$horovod" != 0 ]; then
            check_temporary_folder
            check_horovod
        fi
        case $horovod in 0 | 1) echo "$horovod" ;; *) echo "$can_build" ;; esac
        exit 0
        ;;
esac
identify_system
check_machine
conclude
