#!/usr/bin/env bash
# Bring up an arm64 Debian userland below DIR/rootfs, once: what was finished is not done again.
#
#   userland.sh DIR        needs root; about 5 minutes under emulation the first time, no time after that
#
# Kept: DIR/rootfs. A stage that was killed is begun again from its start.
set -euo pipefail

readonly SUITE=bookworm
readonly PACKAGES=python3,python3-venv,ca-certificates,libgomp1
readonly TOOLS=(debootstrap qemu-aarch64-static update-binfmts unshare)
readonly BINFMT=/proc/sys/fs/binfmt_misc

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 3; }

need_tools() {
  local tool
  for tool in "${TOOLS[@]}"; do
    command -v "$tool" >/dev/null || die "$tool is missing. Next: apt-get install --no-install-recommends" \
      "debootstrap qemu-user-static binfmt-support util-linux"
  done
}

# A child of an emulated process runs only if the kernel knows what to start an arm64 file with.
enable_binfmt() {
  [ -e "$BINFMT/register" ] || mount -t binfmt_misc binfmt_misc "$BINFMT" \
    || die "this kernel offers no binfmt_misc (a container without the right?)."
  [ -e "$BINFMT/qemu-aarch64" ] || update-binfmts --enable qemu-aarch64 \
    || die "update-binfmts could not enable qemu-aarch64. Next: update-binfmts --display qemu-aarch64"
}

# Nothing may be mounted in what is removed: debootstrap mounts /proc and /sys there, and rm would go on inside.
remove_rootfs() {
  if grep -qF " $rootfs/" /proc/self/mounts; then
    die "something is mounted below $rootfs. Next: umount it ('mount | grep $rootfs'), and run this again."
  fi
  rm -rf --one-file-system "$rootfs"
}

first_stage() {
  say "arm64 $SUITE: first stage (downloads about 60 MB) ..."
  remove_rootfs
  debootstrap --arch=arm64 --foreign --variant=minbase --include="$PACKAGES" "$SUITE" "$rootfs" \
    ${EDGESAM_DEBIAN_MIRROR:+"$EDGESAM_DEBIAN_MIRROR"} >"$dir/debootstrap.log" 2>&1 \
    || die "debootstrap failed. Next: read $dir/debootstrap.log"
  # A second stage that was killed cannot go on: it begins again from this copy.
  tar -C "$rootfs" -cf "$dir/first-stage.tar.part" . && mv "$dir/first-stage.tar.part" "$dir/first-stage.tar"
}

second_stage() {
  say "arm64 $SUITE: second stage under emulation (about 4 minutes) ..."
  remove_rootfs
  mkdir -p "$rootfs" && tar -C "$rootfs" -xf "$dir/first-stage.tar"
  chroot "$rootfs" /debootstrap/debootstrap --second-stage >>"$dir/debootstrap.log" 2>&1 \
    || die "debootstrap's second stage failed. Next: read $dir/debootstrap.log"
  touch "$dir/userland.ready"
  rm -f "$dir/first-stage.tar"
}

main() {
  [ $# -eq 1 ] || die "usage: userland.sh DIR"
  [ "$(id -u)" = 0 ] || die "debootstrap, chroot and binfmt need root. Next: run it with sudo, or in a container of your own."
  mkdir -p "$1"
  dir=$(cd "$1" && pwd)
  rootfs=$dir/rootfs
  need_tools
  enable_binfmt
  [ -e "$dir/userland.ready" ] && return
  # What debootstrap mounts is in a namespace of this process, and goes with it even if it is killed.
  if [ "${EDGESAM_ARM_INSIDE:-}" != yes ]; then
    EDGESAM_ARM_INSIDE=yes exec unshare --mount --propagation private "$0" "$dir"
  fi
  [ -e "$dir/first-stage.tar" ] || first_stage
  second_stage
}

main "$@"
