#!/bin/sh
# Prepare an image's system: sh deploy/image/system.sh GROUPS HOROVOD GPU USER_ID (Dockerfile). As root, on Debian or
# Ubuntu.
#
# It installs what the doctor names, and an ssh server and client for deploy/mpijob.yaml, which run as the user medbert;
# it makes that user, whose the project's folder becomes.
set -eu

groups=$1 horovod=$2 gpu=$3 user_id=$4
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$(dirname "$here")")
user=medbert

other=$(getent passwd "$user_id" | cut -d: -f1)
if [ "$user_id" -lt 1000 ] && [ -n "$other" ]; then
    echo "system.sh: USER_ID is $user_id, which is the system's own user $other. Choose another: 1000 or above." >&2
    exit 1
fi

doctor() {
    if [ "$gpu" = 1 ]; then set -- "$@" --gpu; fi
    sh "$project/toolchain/doctor.sh" --groups "$groups" --horovod "$horovod" "$@"
}

# For apt and apt-get alike, so that the doctor's command is run as it is.
APT_CONFIG=$(mktemp)
cat >"$APT_CONFIG" <<'CONFIG'
APT::Get::Assume-Yes "true";
APT::Install-Recommends "false";
Dpkg::Use-Pty "false";
quiet "2";
CONFIG
export APT_CONFIG DEBIAN_FRONTEND=noninteractive
command=$(doctor --print-command)
sh -c "${command:-apt update}"
apt-get install ca-certificates openssh-client openssh-server
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log "$APT_CONFIG"
doctor --quiet

# The server gets its key from the job; one that is in an image is no secret.
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
install -D -m 644 "$here/sshd.conf" /etc/ssh/sshd_config.d/medbert.conf
install -D -m 644 "$here/ssh.conf" /etc/ssh/ssh_config.d/medbert.conf

# Ubuntu's images have a user of the number 1000.
if [ -n "$other" ]; then userdel --remove "$other" 2>/dev/null; fi
groupadd --gid "$user_id" "$user"
useradd --uid "$user_id" --gid "$user" --create-home --shell /bin/bash "$user"
# The operator mounts the job's keys here.
install -d -o "$user" -g "$user" -m 700 "/home/$user/.ssh"
# A volume that is mounted there for the first time gets this folder's owner.
mkdir -p "$project/runs"
chown -R "$user:$user" "$project"
