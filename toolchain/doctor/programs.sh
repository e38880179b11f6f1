# shellcheck shell=sh disable=SC2034,SC2154
# The commands that set-up, the stages and the tests run, and the compiler that builds Horovod. Read by doctor.sh.

has_xcode() { xcode-select -p >/dev/null 2>&1; }

# check_command NAME WHY
check_command() {
    path=$(path_of "$1") || path=''
    # Until the command line tools are installed, Apple's make opens a window to offer them.
    case $kernel$path in "Darwin$root/usr/bin/make") has_xcode || path='' ;; esac
    if [ -n "$path" ]; then ok "$1" "$path"; else missing "$1" "$2" "$1"; fi
}

# lacks_for_horovod NAME WHY [THING]
lacks_for_horovod() {
    can_build=0
    if [ "$horovod" = 1 ]; then
        missing "$1" "$2" "${3:-}"
    else
        warning "$1" "$2 Horovod is left out; one process trains, NP=2 needs it." "${3:-}"
    fi
}

# compiles FOLDER LANGUAGE COMPILER...: set wrong to what is wrong with it, and compiler_version.
compiles() {
    folder=$1 language=$2
    shift 2
    wrong='' compiler_version=''
    if [ "$language" = c ]; then
        echo 'int main(void) { return 0; }' >"$folder/program.c"
        "$@" -o "$folder/program" "$folder/program.c" >/dev/null 2>&1 && runs "$folder/program" || wrong='does not compile C'
        return
    fi
    # The preprocessor knows the versions best. Clang calls itself GNU 4 too.
    macros=$(echo '__apple_build_version__ __clang_major__ __GNUC__' | "$@" -E -P -x c++ - 2>/dev/null) || macros=''
    # shellcheck disable=SC2086
    set -- "$folder" $macros -- "$@"
    apple=${2:-} clang=${3:-} gnu=${4:-}
    while [ "$1" != -- ]; do shift; done
    shift
    if is_number "$apple"; then
        compiler_version="Apple's clang $clang" found=$clang least=$MIN_APPLE_CLANG
    elif is_number "$clang"; then
        compiler_version="clang $clang" found=$clang least=$MIN_CLANG
    elif is_number "$gnu"; then
        compiler_version="g++ $gnu" found=$gnu least=$MIN_GXX
    else
        wrong='does not run, or is neither g++ nor clang'
        return
    fi
    if [ "$found" -lt "$least" ]; then
        wrong="is $compiler_version, older than $least"
        return
    fi
    printf '#include <vector>\nint main() { if (std::vector<int> v{0}; true) return v[0]; }\n' >"$folder/program.cc"
    if ! "$@" -std=c++17 -o "$folder/program" "$folder/program.cc" >/dev/null 2>&1; then
        wrong="is $compiler_version, which cannot compile C++17 with <vector>: its C++ library is not there"
    elif ! runs "$folder/program"; then
        wrong="is $compiler_version, and what it compiles does not run"
    fi
}

# runs PROGRAM: also where it is in a folder that lets no program run, which check_temporary_folder said.
runs() { [ "$temporary_runs" = 0 ] || "$1" >/dev/null 2>&1; }

# first_of PROGRAM...: the first that is on PATH.
first_of() {
    for program in "$@"; do
        if path_of "$program" >/dev/null; then
            echo "$program"
            return
        fi
    done
}

check_compiler() {
    name="C++ compiler (g++ $MIN_GXX or clang $MIN_CLANG, or later)"
    if [ "$kernel" = Darwin ] && ! has_xcode; then
        lacks_for_horovod "$name" "no C++ compiler." compiler
        return
    fi
    work=$(mktemp -d "$temporary/doctor.XXXXXX" 2>/dev/null) || return 0 # said by check_temporary_folder
    # As CMake looks for them.
    cxx=${CXX:-$(first_of c++ g++ clang++)}
    if [ -z "$cxx" ]; then
        lacks_for_horovod "$name" "no C++ compiler." compiler
    else
        # CXX may be a command with options: "ccache g++".
        # shellcheck disable=SC2086
        compiles "$work" c++ $cxx
        if [ -n "$wrong" ]; then
            refuse_compiler
        else
            ok "$name" "$compiler_version ($cxx)"
            check_c_compiler
        fi
    fi
    rm -rf "$work"
}

# Say what is wrong with cxx, and which other compiler would do.
refuse_compiler() {
    why="$cxx $wrong."
    for other in g++ clang++ c++; do
        if path_of "$other" >/dev/null; then
            compiles "$work" c++ "$other"
            if [ -z "$wrong" ]; then
                lacks_for_horovod "$name" "$why There is another one: export CXX=$other"
                return
            fi
        fi
    done
    if [ -n "${CXX:-}" ]; then why="$why Once one is installed: unset CXX."; fi
    lacks_for_horovod "$name" "$why" compiler
}

check_c_compiler() {
    cc=${CC:-$(first_of cc gcc clang)}
    # shellcheck disable=SC2086
    if [ -n "$cc" ] && compiles "$work" c $cc && [ -z "$wrong" ]; then return; fi
    lacks_for_horovod 'C compiler' "${cc:-no C compiler}${wrong:+ $wrong}; a part of Horovod is C." compiler
}

# What building Horovod needs; sets can_build.
check_horovod() {
    check_compiler
    if [ -n "$python" ]; then
        elsewhere=''
        if [ "$python_prefix" != /usr ]; then elsewhere=" Install that Python with them."; fi
        if [ -z "$(fact headers)" ]; then
            lacks_for_horovod "Python.h" "$python has no headers, which Horovod is compiled with.$elsewhere" headers
        fi
    else
        case " $to_install " in *' python '*) to_install="$to_install headers" ;; esac # of the one to install
    fi
    if [ "$kernel" = Darwin ] && ! pkg-config --exists 'libuv >= 1.26' >/dev/null 2>&1; then
        lacks_for_horovod 'libuv' "pkg-config does not find it; on macOS Horovod's processes talk through it." libuv
    fi
}

# Set-up compiles for CUDA, also where there is no GPU, as when an image is built; training needs the driver.
check_gpu() {
    check_gpu_program missing nvcc --version "GPU=1 compiles Horovod for CUDA. Install NVIDIA's CUDA toolkit, \
and put its bin on PATH."
    check_gpu_program warning nvidia-smi -L "it comes with NVIDIA's driver. Set-up does without; training on GPUs needs it."
}

# check_gpu_program missing|warning NAME OPTION WHY
check_gpu_program() {
    path=$(path_of "$2") || path=''
    if [ -z "$path" ]; then
        "$1" "$2" "$4"
    elif ! "$path" "$3" >/dev/null 2>&1; then
        "$1" "$2" "$path does not run; $4"
    else
        ok "$2" "$path"
    fi
}

# Commands that some tests skip without.
check_test_commands() {
    absent=''
    if [ "$kernel" = Linux ]; then
        path_of ip >/dev/null || absent=ip
        path_of prlimit >/dev/null || absent="$absent prlimit"
    fi
    [ -n "$(first_of chromium chromium-browser google-chrome)" ] || absent="$absent browser"
    # shellcheck disable=SC2086
    set -- $absent
    if [ $# = 0 ]; then return; fi
    names='' packages=''
    for thing in "$@"; do
        names="$names${names:+, }$(words_of "$thing")"
        packages="$packages $(package_of "$thing")"
    done
    # shellcheck disable=SC2086
    set -- $packages
    warning "commands of some tests" "$names: tests that need them are skipped.${1:+ Packages: $*.}"
}
