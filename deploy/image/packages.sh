#!/bin/sh
# Make an image's .venv: sh deploy/image/packages.sh GROUPS HOROVOD GPU TORCH_INDEX (Dockerfile). As the user medbert.
#
# What `make setup` does with these variables, but without the Makefile, whose changes would make .venv again.
set -eu

groups=$1 horovod=$2 gpu=$3 torch_index=$4
project=$(cd "$(dirname "$0")/../.." && pwd)

# Downloads, and Horovod's wheel, are of no use later.
XDG_CACHE_HOME=$(mktemp -d)
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
# Else every new container compiles what it imports.
export XDG_CACHE_HOME UV_COMPILE_BYTECODE=1
sh "$project/toolchain/run.sh" '' install --verbose --groups "$groups" --horovod "$horovod" --gpu "$gpu" \
    ${torch_index:+--torch_index "$torch_index"}
