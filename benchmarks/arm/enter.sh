#!/usr/bin/env bash
# Run one command in the arm64 userland, on the processor named.
#
#   enter.sh ROOTFS CPU COMMAND...     CPU: cortex-a76 or cortex-a72 (cpus/*.cpuinfo); needs root
#
# All mounts are in a namespace of this process and end with it, however it ends. QEMU invents no
# /proc/cpuinfo for Arm, and onnxruntime crashes on the host's, so a hand-written one lies over it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ "${EDGESAM_ARM_INSIDE:-}" != yes ]; then
  [ $# -ge 3 ] || { echo "usage: enter.sh ROOTFS CPU COMMAND..." >&2; exit 2; }
  [ "$(id -u)" = 0 ] || { echo "error: mounts and chroot need root. Next: run it with sudo." >&2; exit 3; }
  [ -r "$here/cpus/$2.cpuinfo" ] || { echo "error: no processor $2; known: $(cd "$here/cpus" && echo ./*)" >&2; exit 2; }
  EDGESAM_ARM_INSIDE=yes exec unshare --mount --propagation private "$here/enter.sh" "$@"
fi

rootfs=$1 cpu=$2
shift 2
for folder in proc sys dev; do mount --rbind "/$folder" "$rootfs/$folder"; done
mount --bind "$here/cpus/$cpu.cpuinfo" "$rootfs/proc/cpuinfo"
clean=(QEMU_CPU="$cpu" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1)
for name in QEMU_LOG QEMU_LOG_FILENAME; do [ -z "${!name:-}" ] || clean+=("$name=${!name}"); done
exec env -i "${clean[@]}" chroot "$rootfs" "$@"
