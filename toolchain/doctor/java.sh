# shellcheck shell=sh disable=SC2034,SC2154
# Is there a Java that Spark runs on? Read by doctor.sh.

# java_version JAVA: print the version it says, "17.0.15" or "1.8.0_392"; status 1 if it does not run.
java_version() {
    said=$("$1" -version 2>&1 </dev/null) || return 1
    case $said in *' version "'*) ;; *) return 1 ;; esac
    said=${said#*' version "'}
    printf '%s\n' "${said%%\"*}"
}

# java_major VERSION: 17 from 17.0.15 and from 17-ea, 8 from 1.8.0_392.
java_major() {
    major=${1#1.}
    printf '%s\n' "${major%%[!0-9]*}"
}

# java_fits JAVA
java_fits() {
    [ -f "$1" ] && [ -x "$1" ] && fitting=$(java_version "$1") && major=$(java_major "$fitting") && is_number "$major" &&
        [ "$major" -ge "$MIN_JAVA" ]
}

# other_java: the home of a Java on this machine that would do, nothing if there is none.
other_java() {
    for home in "$root"/usr/lib/jvm/* "$root"/usr/java/* "$root"/opt/java/* "$root"/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home \
        "$root"/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home "$root"/Library/Java/JavaVirtualMachines/*/Contents/Home \
        "${HOME:-/}"/.sdkman/candidates/java/*; do
        if java_fits "$home/bin/java"; then
            printf '%s\n' "$home"
            return
        fi
    done
}

check_java() {
    name="Java $MIN_JAVA or later"
    if [ -n "${JAVA_HOME:-}" ]; then
        java=$JAVA_HOME/bin/java
    else
        java=$(path_of java) || java=''
    fi
    if [ -z "$java" ]; then
        why="Spark runs on it; there is no java on PATH, and JAVA_HOME is not set."
    elif [ ! -x "$java" ]; then
        why="Spark runs on it; JAVA_HOME is $JAVA_HOME, which has no bin/java."
    elif version=$(java_version "$java"); then
        major=$(java_major "$version")
        if is_number "$major" && [ "$major" -ge "$MIN_JAVA" ]; then
            ok "$name" "$version ($java)"
            return
        fi
        why="Spark 4 runs on it; $java is Java ${major:-$version} ($version)."
    elif [ "$kernel" = Darwin ] && [ "$java" = "$root/usr/bin/java" ]; then
        why="Spark runs on it; macOS's own $java only says where to get one."
    else
        why="Spark runs on it; $java -version does not run."
    fi
    other=$(other_java)
    on_path=''
    if [ -n "${JAVA_HOME:-}" ]; then on_path=$(path_of java) || on_path=''; fi
    if [ -n "$other" ]; then
        missing "$name" "$why There is another one: export JAVA_HOME=$other"
    elif [ -n "$on_path" ] && java_fits "$on_path"; then
        missing "$name" "$why There is another one, $on_path: unset JAVA_HOME"
    elif [ -n "${JAVA_HOME:-}" ]; then
        missing "$name" "$why Once one is installed: unset JAVA_HOME" java
    else
        missing "$name" "$why" java
    fi
}

check_user() {
    if id -un >/dev/null 2>&1; then return; fi
    missing "the user's name" "user $(id -u) has none in /etc/passwd, and Spark does not start without. Add a line for it."
}
