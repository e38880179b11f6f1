# shellcheck shell=sh disable=SC2034,SC2154
# Are the folders that set-up writes there, writable, and on disks that are large enough? Read by doctor.sh.

# nearest FOLDER: itself, or the first folder above it that is there.
nearest() {
    folder=$1
    while [ ! -e "$folder" ] && [ "$folder" != / ] && [ "$folder" != . ]; do folder=$(dirname "$folder"); done
    printf '%s\n' "$folder"
}

# try_folder FOLDER: what is wrong with writing and running files in it, nothing if all is well.
try_folder() {
    if [ ! -d "$1" ]; then
        echo "is not a folder"
    elif ! trial=$(mktemp -d "$1/.doctor.XXXXXX" 2>/dev/null); then
        echo "cannot be written by $(id -un 2>/dev/null || id -u)"
    else
        if ! printf '#!/bin/sh\nexit 0\n' 2>/dev/null >"$trial/program"; then
            echo "cannot be written: is its disk full?"
        elif ! { chmod 755 "$trial/program" && "$trial/program"; } 2>/dev/null; then
            echo "does not let programs run (it is mounted noexec)"
        fi
        rm -rf "$trial"
    fi
}

check_project_folder() {
    name="the project's folder"
    wrong=$(try_folder "$project")
    case $project in *:*) wrong="has a colon in its path, which cannot be on PATH" ;; esac
    if [ -n "$wrong" ]; then
        missing "$name" "$project $wrong. Move the project to a folder of your own."
    else
        ok "$name" "$project"
    fi
}

# Sets cache, '' where it is not known.
check_cache_folder() {
    name='the cache folder'
    cache=${UV_CACHE_DIR:-${XDG_CACHE_HOME:-}}
    where='UV_CACHE_DIR=FOLDER'
    if [ -z "$cache" ]; then
        if [ -z "${HOME:-}" ]; then
            missing "$name" "HOME is not set, so downloads have no place. Set it, or $where."
            return
        fi
        cache=$HOME/.cache
    fi
    above=$(nearest "$cache")
    if [ ! -d "$above" ]; then
        missing "$name" "$above is not a folder. Name another: $where."
    elif [ ! -w "$above" ] || [ ! -x "$above" ]; then
        missing "$name" "$cache cannot be written by $(id -un 2>/dev/null || id -u). Name another: $where."
    else
        ok "$name" "$cache"
    fi
}

check_temporary_folder() {
    name='the folder for temporary files' temporary_runs=1
    wrong=$(try_folder "$temporary")
    case $wrong in
        '') ok "$name" "$temporary" ;;
        *noexec*)
            temporary_runs=0
            if [ "$horovod" = 0 ]; then
                ok "$name" "$temporary"
            else
                lacks_for_horovod "$name" "$temporary $wrong. Set TMPDIR to another folder."
            fi
            ;;
        *) missing "$name" "$temporary $wrong. Set TMPDIR to another folder." ;;
    esac
}

check_shared_memory() {
    [ "$kernel" = Linux ] || return 0
    name='shared memory'
    shm=$root/dev/shm
    if [ -d "$shm" ] && trial=$(mktemp "$shm/.doctor.XXXXXX" 2>/dev/null); then
        rm -f "$trial"
        ok "$name" /dev/shm
    elif [ -d "$shm" ]; then
        missing "$name" "/dev/shm cannot be written, which Python's multiprocessing needs. As root: chmod 1777 /dev/shm"
    else
        missing "$name" "there is no /dev/shm, which Python's multiprocessing needs. \
As root: mkdir /dev/shm && mount -t tmpfs tmpfs /dev/shm"
    fi
}

# free_of FOLDER: set free_mb and file_system of the disk that it is on; status 1 where df does not say.
free_of() {
    # The last line, up to its per cent sign: device (may hold spaces), blocks, used, available, per cent.
    row=$(df -kP "$1" 2>/dev/null) || return 1
    row=${row##*"$newline"}
    file_system=${row#*% }
    row=${row%%%*}
    set -f
    # shellcheck disable=SC2086
    set -- $row
    set +f
    [ $# -ge 5 ] || return 1
    while [ $# -gt 2 ]; do shift; done
    is_number "$1" || return 1
    free_mb=$(mb_of_kib "$1")
}

# Packages are hard links into the cache where both are on one disk, so that they take their space once.
check_disks() {
    venv_mb=0 cache_mb=0
    if [ "$update" = 1 ]; then
        venv_mb=$UPDATE_MB cache_mb=$UPDATE_MB
    else
        for group in $ALL_GROUPS; do
            in_group "$group" || continue
            # shellcheck disable=SC2046
            set -- $(disk_mb "$(disk_row "$group")")
            venv_mb=$((venv_mb + $1)) cache_mb=$((cache_mb + $2))
        done
    fi
    if ! free_of "$project"; then
        warning 'free disk' "df does not say how much $project has; set-up needs $(in_gb "$venv_mb")."
        return
    fi
    of_project=$file_system free_of_project=$free_mb
    if [ -z "$cache" ] || ! free_of "$(nearest "$cache")"; then
        check_disk "$venv_mb" "$project" "$free_of_project"
    elif [ "$file_system" != "$of_project" ]; then
        check_disk "$venv_mb" "$project" "$free_of_project"
        check_disk "$cache_mb" "$cache" "$free_mb"
    else
        if [ "${UV_LINK_MODE:-}" = copy ]; then
            venv_mb=$((venv_mb + cache_mb))
        elif [ "$cache_mb" -gt "$venv_mb" ]; then
            venv_mb=$cache_mb
        fi
        check_disk "$venv_mb" "$project" "$free_of_project"
    fi
}

# disk_row GROUP: its row in disk_mb. The builds of torch for CPUs have no CUDA in them, nor have those for Macs.
disk_row() {
    case $kernel-$1-${TORCH_INDEX:-} in
        *-torch-cpu | *-torch-*/cpu | *-torch-*/cpu/ | Darwin-torch-*) echo torch-cpu ;;
        *) echo "$1" ;;
    esac
}

# check_disk MB FOLDER FREE_MB
check_disk() {
    name="$(in_gb "$1") of free disk"
    if [ "$3" -ge "$1" ]; then
        ok "$name" "$(in_gb "$3") where $2 is"
        return
    fi
    remedy='Free some, or move it to a larger disk.'
    if [ "$2" = "$cache" ]; then remedy='Free some, or name a folder on a larger disk: UV_CACHE_DIR=FOLDER.'; fi
    if [ "$update" = 0 ] && in_group torch && [ "$(disk_row torch)" = torch ]; then
        large=$(disk_mb torch) small=$(disk_mb torch-cpu)
        remedy="$remedy Without a GPU the small build of torch does, $(in_gb "${small#* }") in place of \
$(in_gb "${large#* }"): make setup TORCH_INDEX=cpu."
    fi
    missing "$name" "$2 has $(in_gb "$3"). $remedy"
}
