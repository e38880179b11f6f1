#!/bin/sh
# Run the host's Python @SERIES@ with the packages of this folder. Written by `make executors`.
#
# It is the first of MEDBERT_EXECUTOR_PYTHON (the only one, if set), python@SERIES@ on PATH, in /usr/bin, in
# /usr/local/bin. Python starts without the host's site-packages (-S), as in a virtual environment.
set -u
series=@SERIES@
machine=@MACHINE@

fail() {
    echo "On the host $(uname -n): $1" >&2
    exit 127
}

# works PYTHON: it runs, and is of the series.
works() {
    [ -x "$1" ] && "$1" -S -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$series')" \
        </dev/null >/dev/null 2>&1
}

here=$(cd "$(dirname "$0")/.." && pwd -P) || fail "$0 is not in its folder."
if [ "$(uname -m)" != "$machine" ]; then
    fail "this environment is for $machine, the host is $(uname -m). Make one for it: make executors MACHINE=$(uname -m)"
fi
python=${MEDBERT_EXECUTOR_PYTHON:-}
if [ -n "$python" ]; then
    works "$python" || fail "MEDBERT_EXECUTOR_PYTHON is $python, which is no Python $series that runs."
else
    for python in "$(command -v "python$series")" "/usr/bin/python$series" "/usr/local/bin/python$series" ''; do
        if works "$python"; then break; fi
    done
    [ -n "$python" ] || fail "no python$series on PATH, in /usr/bin or in /usr/local/bin. The archive of \
\`make executors\` has packages only. Install Python $series on every host, or name it: \
--conf spark.executorEnv.MEDBERT_EXECUTOR_PYTHON=/path/to/python$series"
fi
# As in a virtual environment, what Spark has put into PYTHONPATH comes first.
export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$here/site-packages"
exec "$python" -S "$@"
