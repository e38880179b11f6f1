#!/bin/sh
# Run a script of this folder with the project's Python: sh run.sh PYTHON SCRIPT [OPTION...]
# PYTHON may be empty: then it is the first that doctor.sh finds good. A Python that is not supported, or none:
# the doctor says what to do. Needs no Python itself.
here=$(dirname "$0")
python=$1
script=$2
shift 2

if [ -z "$python" ]; then
    python=$(sh "$here/doctor.sh" --print-python) || python=
fi
# The versions that the doctor supports, without all its other questions: each target of make comes by here.
supported=$(sed -n "s/^PYTHONS='\(.*\)'/\1/p" "$here/doctor.sh")
is_supported='import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv[1].split())'
if [ -z "$python" ] || ! "$python" -c "$is_supported" "$supported" 2>/dev/null; then
    # Of the options of set-up, those that the doctor has too. It asks for more where they are not known.
    groups='' horovod='' gpu=0
    while [ "$script" = install ] && [ $# -gt 1 ]; do
        case $1 in
            --groups) groups=$2 ;;
            --horovod) horovod=$2 ;;
            --gpu) gpu=$2 ;;
        esac
        shift
    done
    [ "$gpu" = 1 ] || gpu=''
    sh "$here/doctor.sh" --quiet ${python:+--python "$python"} ${groups:+--groups "$groups"} \
        ${horovod:+--horovod "$horovod"} ${gpu:+--gpu}
    exit 1
fi
exec "$python" "$here/$script.py" "$@"
