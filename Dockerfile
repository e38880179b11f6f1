# medbert-lake as an image: `docker build --tag medbert-lake .`, then `docker run medbert-lake` runs the demo.
# deploy/mpijob.yaml runs it on Kubernetes. toolchain/dockerfile_steps.py runs the same steps without Docker.
#
# BASE: debian:12-slim, debian:13-slim, or for GPU=1 an image of NVIDIA's with nvcc and NCCL's headers, of the CUDA
# that requirements/pytorch.lock names: nvidia/cuda:13.0.2-cudnn-devel-ubuntu24.04
ARG BASE=debian:12-slim
FROM ${BASE}

# What `make setup` takes; HOROVOD=1 stops the build where Horovod does not compile.
ARG GROUPS=spark,torch,tensorflow,serve
ARG HOROVOD=1
ARG GPU=0
# The user's number; that of who builds lets the container write to a folder of theirs: $(id -u)
ARG USER_ID=1000

# Modules are compiled as they are installed, not by each process of each container.
ENV LANG=C.UTF-8 UV_COMPILE_BYTECODE=1
WORKDIR /opt/medbert-lake

# System packages, and the user medbert. (GROUPS is an array only in bash; RUN's shell is dash.)
COPY toolchain/doctor.sh toolchain/
COPY toolchain/doctor toolchain/doctor/
COPY deploy/image/system.sh deploy/image/sshd.conf deploy/image/ssh.conf deploy/image/
# hadolint ignore=SC2128
RUN sh deploy/image/system.sh "$GROUPS" "$HOROVOD" "$GPU" "$USER_ID"

USER ${USER_ID}

# .venv, from no other files than those that set-up reads, so that a change of the others does not make it again.
ARG TORCH_INDEX=
COPY --chown=${USER_ID} requirements/*.lock requirements/
COPY --chown=${USER_ID} toolchain/patches toolchain/patches/
COPY --chown=${USER_ID} toolchain/anew.py toolchain/compiled_zip.py toolchain/groups.py toolchain/install.py \
    toolchain/lock.py toolchain/package_index.py toolchain/progress.py toolchain/run.sh toolchain/wheels.py toolchain/
COPY --chown=${USER_ID} pyproject.toml ./
COPY --chown=${USER_ID} deploy/image/packages.sh deploy/image/
# hadolint ignore=SC2128
RUN sh deploy/image/packages.sh "$GROUPS" "$HOROVOD" "$GPU" "$TORCH_INDEX"

COPY --chown=${USER_ID} . .

CMD ["make", "demo"]
