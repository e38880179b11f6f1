# shellcheck shell=sh disable=SC2034,SC2154
# Is the system, its C library, processor and memory what the packages of the lock need? Read by doctor.sh.

check_system() {
    case $kernel in
        Linux | Darwin) ;;
        *)
            missing 'Linux or macOS' "this is $kernel. On Windows use WSL, the Windows Subsystem for Linux."
            return
            ;;
    esac
    case $machine in
        x86_64 | amd64 | aarch64 | arm64) ;;
        *)
            missing 'x86_64 or arm64' "this machine is $machine, which packages of the lock have no wheels for."
            return
            ;;
    esac
    if [ "$kernel" = Darwin ]; then
        check_mac
        return
    fi
    check_libc
    check_processor
}

check_mac() {
    case $machine in
        arm64 | aarch64) ok 'processor' "$machine" ;;
        *)
            for group in torch tensorflow; do
                if in_group "$group"; then
                    missing "Apple silicon for $group" "its makers publish no wheels for Macs with Intel any more. \
Leave group $group out, or use a Linux machine."
                fi
            done
            ;;
    esac
}

check_libc() {
    name="glibc 2.$MIN_GLIBC_MINOR or later"
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=''
    if [ -z "$libc" ]; then
        said=''
        if path_of ldd >/dev/null; then said=$(ldd --version 2>&1) || true; fi
        case $said in
            *musl*) libc=musl ;;
            *GLIBC* | *GNU*) said=${said%%"$newline"*} libc="glibc ${said##* }" ;;
        esac
    fi
    case $libc in
        musl)
            missing "$name" 'this system has musl, as Alpine does; the wheels are for glibc. Use another system, such as Debian.'
            ;;
        'glibc '2.*)
            minor=${libc#glibc 2.}
            minor=${minor%%[!0-9]*}
            if [ "${minor:-0}" -ge "$MIN_GLIBC_MINOR" ]; then
                ok "$name" "${libc#glibc }"
            else
                missing "$name" "this system has ${libc#glibc }, older than the wheels are for. Use a newer system."
            fi
            ;;
        *) missing "$name" "neither getconf nor ldd says which C library this system has; the wheels are for glibc." ;;
    esac
}

# What the wheels were compiled for. An emulated processor often has less.
check_processor() {
    case $machine in x86_64 | amd64) ;; *) return ;; esac
    flags=''
    if [ -r "$root/proc/cpuinfo" ]; then
        while read -r key line; do
            if [ "$key" = flags ]; then
                flags=" ${line#*:} "
                break
            fi
        done <"$root/proc/cpuinfo"
    fi
    [ -n "$flags" ] || return 0
    instructions=sse4_2 users='NumPy and pyarrow'
    if in_group tensorflow; then instructions=avx users=TensorFlow; fi
    case $flags in
        *" $instructions "*) ok 'processor' "$machine with $instructions" ;;
        *)
            missing 'processor' "it has no $instructions, which $users need$(if in_group tensorflow; then echo s; fi). \
On a virtual machine choose the host's own processor model."
            ;;
    esac
}

check_memory() {
    name='4 GB of memory'
    memory_mb=''
    if [ "$kernel" = Darwin ]; then
        bytes=$(sysctl -n hw.memsize 2>/dev/null) || bytes=''
        if is_number "$bytes"; then memory_mb=$(mb_of_bytes "$bytes"); fi
    elif [ -r "$root/proc/meminfo" ]; then
        while read -r key kb _; do
            if [ "$key" = MemTotal: ]; then
                if is_number "$kb"; then memory_mb=$(mb_of_kib "$kb"); fi
                break
            fi
        done <"$root/proc/meminfo"
    fi
    whose='this machine'
    limit_to_cgroup
    if [ -z "$memory_mb" ]; then
        warning "$name" 'this system does not say how much it has.'
    elif [ "$memory_mb" -lt "$MIN_MEMORY_MB" ]; then
        warning "$name" "$whose has $(in_gb "$memory_mb"). Spark's driver and training may run out of it: \
DRIVER_MEMORY=1g and fewer PATIENTS need less."
    else
        ok "$name" "$(in_gb "$memory_mb")"
    fi
}

# A container or a batch job may have less memory than its machine: lower memory_mb to what its control groups allow,
# each of them up to the root.
limit_to_cgroup() {
    group2='' group1=''
    if [ -r "$root/proc/self/cgroup" ]; then
        while IFS=: read -r number controllers path; do
            if [ "$number" = 0 ] && [ -z "$controllers" ]; then group2=$path; fi
            case ",$controllers," in *,memory,*) group1=$path ;; esac
        done <"$root/proc/self/cgroup"
    fi
    limit_to_files "$root/sys/fs/cgroup" "$group2" memory.max
    limit_to_files "$root/sys/fs/cgroup/memory" "$group1" memory.limit_in_bytes
}

# limit_to_files FOLDER GROUP FILE: for GROUP and all above it.
limit_to_files() {
    group=${2%/}
    while :; do
        if [ -r "$1$group/$3" ] && read -r bytes <"$1$group/$3" && is_number "$bytes" && [ ${#bytes} -lt 17 ]; then
            if [ -z "$memory_mb" ] || [ "$(mb_of_bytes "$bytes")" -lt "$memory_mb" ]; then
                memory_mb=$(mb_of_bytes "$bytes") whose='this container'
            fi
        fi
        [ -n "$group" ] || break
        group=${group%/*}
    done
}

# Spark's and Horovod's processes talk over it. (Without getent it cannot be asked.)
check_localhost() {
    if ! program=$(path_of getent); then return; fi
    if "$program" hosts localhost >/dev/null 2>&1; then
        ok 'the name localhost' 'known'
    else
        missing 'the name localhost' 'its address is not known. Add this line to /etc/hosts: 127.0.0.1 localhost'
    fi
}
