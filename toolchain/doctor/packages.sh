# shellcheck shell=sh disable=SC1090,SC2034,SC2154
# Which system this is, what its packages are called, and the command that installs them. Read by doctor.sh.
#
# A system that is not in here gets the names of the things in words. Sources: packages.debian.org,
# packages.ubuntu.com, packages.fedoraproject.org, and Red Hat's guide to its application streams.

# Set installer (apt, dnf, brew or nothing), distribution and release ('' where not known), and the version of
# the system's own python3, where that is one of PYTHONS.
identify_system() {
    installer='' distribution='' release='' system_python=''
    if [ "$kernel" = Darwin ]; then
        installer=brew
        return
    fi
    os_release=$root/etc/os-release
    [ -r "$os_release" ] || os_release=$root/usr/lib/os-release
    [ -r "$os_release" ] || return 0
    # The file is made to be read by a shell; a subshell, since it sets names of its own.
    set -- "$(. "$os_release" && echo "${ID:-}")" \
        "$(. "$os_release" && echo "${VERSION_ID:-}")" \
        "$(. "$os_release" && echo "${ID_LIKE:-}")" \
        "$(. "$os_release" && echo "${UBUNTU_CODENAME:-}")"
    case $1 in
        debian | raspbian) distribution=debian release=${2%%.*} ;;
        ubuntu) distribution=ubuntu release=$2 ;;
        fedora) distribution=fedora release=$2 ;;
        rhel | centos | rocky | almalinux | ol) distribution=rhel release=${2%%.*} ;;
        amzn) ;; # like Fedora, but with names and numbers of its own
        *) identify_derivative "$3" "$2" "$4" ;;
    esac
    case $distribution in
        debian | ubuntu) installer=apt ;;
        fedora | rhel) installer=dnf ;;
    esac
    case $distribution-$release in
        debian-12) system_python=3.11 ;;
        ubuntu-24.* | fedora-39 | fedora-40 | rhel-10) system_python=3.12 ;;
        debian-13 | ubuntu-25.* | fedora-41 | fedora-42) system_python=3.13 ;;
    esac
}

# identify_derivative ID_LIKE VERSION_ID UBUNTU_CODENAME: a system made from one of the above.
identify_derivative() {
    case " $1 " in
        *" ubuntu "*)
            distribution=ubuntu
            case $3 in
                focal) release=20.04 ;;
                jammy) release=22.04 ;;
                noble) release=24.04 ;;
                resolute) release=26.04 ;;
            esac
            ;;
        *" debian "*) distribution=debian ;; # its own numbers do not say which Debian
        *" rhel "* | *" centos "*) distribution=rhel release=${2%%.*} ;;
        *" fedora "*) distribution=fedora release=$2 ;;
    esac
}

# package_of THING: the packages that hold it on this system, '' where that is not known.
package_of() {
    case $installer-$1 in
        apt-make | dnf-make) echo make ;;
        apt-patch | dnf-patch) echo patch ;;
        apt-bash | dnf-bash) echo bash ;;
        apt-libstdc++) echo libstdc++6 ;;
        dnf-libstdc++) echo libstdc++ ;;
        apt-compiler) echo g++ ;;
        dnf-compiler) if [ "$distribution-$release" = rhel-8 ]; then echo gcc-toolset-13-gcc-c++; else echo gcc-c++; fi ;;
        apt-ip) echo iproute2 ;;
        dnf-ip) echo iproute ;;
        apt-prlimit | dnf-prlimit) echo util-linux ;;
        apt-browser | dnf-browser) case $distribution in debian | fedora) echo chromium ;; esac ;;
        brew-make | brew-compiler) echo xcode ;;
        brew-bash) echo bash ;;
        brew-libuv) echo libuv pkgconf ;;
        *-python | *-venv | *-headers | *-library) python_package "$1" ;;
        *-java) java_package ;;
    esac
}

# python_package python|venv|headers|library: of the Python to get, or of the one that lacks a part.
python_package() {
    if [ -z "$python_minor" ]; then
        python_to_get
        [ -n "$python_to_get" ] || return 0
    elif [ "$python_prefix" != /usr ]; then
        return 0 # it did not come from the system's packages
    fi
    case $installer-$1 in
        apt-python) echo "$python_to_get $python_to_get-venv" ;;
        apt-venv) echo "python$python_minor-venv" ;;
        apt-headers) if [ -n "$python_minor" ]; then echo "python$python_minor-dev"; else echo "$python_to_get-dev"; fi ;;
        apt-library) echo "python$python_minor" ;;
        dnf-python | brew-python) echo "$python_to_get" ;;
        dnf-headers)
            case $python_minor in
                '') echo "$python_to_get-devel" ;;
                "$system_python") echo python3-devel ;;
                *) echo "python$python_minor-devel" ;;
            esac
            ;;
    esac
}

# Set python_to_get: the package of a supported interpreter on this system, '' where there is none.
python_to_get() {
    if [ -n "$system_python" ]; then
        python_to_get=python3
        return
    fi
    python_to_get=''
    case $distribution-$release in
        ubuntu-22.04) python_to_get=python3.12 ;; # of the deadsnakes archive: see install_command
        fedora-4[3-9] | fedora-[5-9]?) python_to_get=python3.13 ;;
        rhel-8 | rhel-9) python_to_get=python3.12 ;;
    esac
    if [ "$installer" = brew ]; then python_to_get=python@3.13; fi
}

java_package() {
    case $distribution-$release in
        debian-11 | debian-12 | ubuntu-20.04 | ubuntu-22.04) echo openjdk-17-jre-headless ;;
        debian-13 | ubuntu-2[4-6].*) echo openjdk-21-jre-headless ;;
        fedora-39 | fedora-4[0-4] | rhel-8 | rhel-9 | rhel-10) echo java-21-openjdk-headless ;;
        fedora-4[5-9] | fedora-[5-9]?) echo java-25-openjdk-headless ;; # 21 ends with Fedora 44
    esac
    if [ "$installer" = brew ]; then echo openjdk@21; fi
}

# words_of THING: what to look for where the package's name is not known.
words_of() {
    case $1 in
        compiler) echo "a C++ compiler (g++ $MIN_GXX or clang $MIN_CLANG, or later)" ;;
        python) echo "Python $SUPPORTED (of python.org, pyenv or uv, where the system has none)" ;;
        venv) echo "venv and ensurepip for $python" ;;
        headers) echo "the headers (Python.h) of ${python:-that Python}" ;;
        library) echo "a complete standard library for $python" ;;
        java) echo "Java $MIN_JAVA or later" ;;
        libuv) echo "libuv and pkg-config" ;;
        browser) echo "chromium" ;;
        xcode) echo "Xcode's command line tools" ;;
        *) echo "$1" ;;
    esac
}

# install_command THING...: set command to the one line that installs them, and in_words to what it leaves out.
install_command() {
    packages='' in_words='' command='' xcode='' after=''
    for thing in ${1+"$@"}; do
        found=$(package_of "$thing")
        if [ "$found" = xcode ]; then
            xcode=1
        elif [ -n "$found" ]; then
            for package in $found; do
                case " $packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
            done
        else
            in_words="$in_words${in_words:+, }$(words_of "$thing")"
        fi
    done
    sudo='' as_root=''
    if [ "$(id -u)" != 0 ] && [ "$installer" != brew ]; then
        if path_of sudo >/dev/null; then sudo='sudo '; else as_root=1; fi
    fi
    case $packages in
        *gcc-toolset*) after=' && . /opt/rh/gcc-toolset-13/enable' ;;
    esac
    case $installer in
        apt) command="${sudo}apt update && $(apt_archive)${sudo}apt install" ;;
        dnf) command="${sudo}$(dnf_program) install" ;;
        brew) command='brew install' ;;
    esac
    case $installer$packages in
        *openjdk@21*) after=" && export JAVA_HOME=\"\$(brew --prefix openjdk@21)/libexec/openjdk.jdk/Contents/Home\"" ;;
    esac
    if [ -n "$packages" ]; then command="$command$packages$after"; else command=''; fi
    if [ "$installer" = brew ] && [ -n "$packages" ] && ! path_of brew >/dev/null; then
        in_words="$in_words${in_words:+, }Homebrew (brew), which the command uses"
    fi
    if [ -n "$xcode" ]; then command="xcode-select --install${command:+ && $command}"; fi
}

# Ubuntu 22.04 has Python 3.10, and 3.11 only as a release candidate: a newer one is in the deadsnakes archive.
apt_archive() {
    case $distribution-$release-$packages in
        ubuntu-22.04-*" python3.12 "*)
            echo "${sudo}apt install software-properties-common && ${sudo}add-apt-repository ppa:deadsnakes/ppa && "
            ;;
    esac
}

dnf_program() {
    for program in dnf microdnf yum; do
        if path_of "$program" >/dev/null; then
            echo "$program"
            return
        fi
    done
    echo dnf
}
