#!/usr/bin/env bash
# Prepare a Jetson: check JetPack, TensorRT and the camera daemon; power mode, clocks and swap.
#
#   sudo ./jetson.sh [--power-mode NAME] [--clocks] [--swap-mib N] [--dry-run] [--yes]
#   sudo ./jetson.sh --undo
#
#   --power-mode NAME   of /etc/nvpmodel.conf; fastest (default): MAXN_SUPER or MAXN; keep: leave it
#   --clocks            pin all clocks to the mode's maximum (jetson_clocks), now and at every start: steady times, more heat
#   --swap-mib N        swap to have at least; 0: none; default 4096 on a board with less than 8 GiB of memory, else 0:
#                       building TensorRT's plans wants it
#   --undo              undo what this script changed; uninstall.sh undoes all
#   --dry-run           show the checks and the plan and change nothing
#   --yes               do not ask
#
# Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (root, the right board, JetPack).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

readonly RELEASE=/etc/nv_tegra_release
readonly PACKAGES=(python3-venv python3-libnvinfer v4l-utils)
readonly SMALL_MEMORY_MIB=7900

power_mode=fastest clocks=no swap_mib=''

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --power-mode) power_mode=$(value_of "$1" $# "${2-}"); shift ;;
      --swap-mib) swap_mib=$(number_of "$1" $# "${2-}"); shift ;;
      --clocks) clocks=yes ;;
      *) common_option "$1" ;;
    esac
    shift
  done
}

# l4t_release: the major number, "36" of "# R36 (release), REVISION: 4.7, ...".
l4t_release() { if [ -r "$ROOT$RELEASE" ]; then sed -n '1s/^# R\([0-9]*\) .*/\1/p' "$ROOT$RELEASE"; fi; }

need_jetson() {
  local release
  release=$(l4t_release)
  [ -n "$release" ] || die "$MISSING" "jetson.sh is for a Jetson with NVIDIA's Linux: $RELEASE is missing and this is" \
    "'$(board_model)'. Next: pi.sh on a Raspberry Pi; install.sh alone on other machines."
  say "Board: $(board_model), Jetson Linux R$release"
  case $release in
    32) die "$MISSING" "Jetson Linux R32 (JetPack 4) has Python 3.6; edgesam_rt needs 3.10 or newer, and no newer release" \
      "runs on this board's module. Next: docs/provisioning.md, \"JetPack 4 and 5\"." ;;
    35) say "warning: JetPack 5 has Python 3.8 and TensorRT for it alone; edgesam_rt needs 3.10, which will run ONNX Runtime." \
      "Next: JetPack 6 where the module allows it (Orin)." ;;
  esac
}

# Facts that no script can mend: said, with what to do about them.
check() {
  local text=$1 next=$2
  shift 2
  if "$@" >/dev/null 2>&1; then say "  ok    $text"; else say "  lack  $text. Next: $next"; fi
}

check_all() {
  check "CUDA compiler (pycuda is built with it)" "apt-get install cuda-toolkit; PATH needs /usr/local/cuda/bin" has_nvcc
  check "TensorRT's Python bindings" "this script installs python3-libnvinfer below" has_package python3-libnvinfer
  check "camera daemon nvargus-daemon (CSI cameras)" "systemctl restart nvargus-daemon" \
    run systemctl is-active --quiet nvargus-daemon
  check "GStreamer's nvarguscamerasrc" "apt-get install nvidia-l4t-gstreamer" has_argus_source
}

has_nvcc() { [ -x "$ROOT/usr/local/cuda/bin/nvcc" ] || has nvcc; }
has_argus_source() { has gst-inspect-1.0 && run gst-inspect-1.0 nvarguscamerasrc; }

default_swap() { if [ "$(meminfo_mib MemTotal)" -lt "$SMALL_MEMORY_MIB" ]; then printf 4096; else printf 0; fi; }

main() {
  options "$@"
  need_jetson
  need_root
  if [ "$UNDO" = yes ]; then
    undo_journal "$WHO"
    carry_out
    return
  fi
  check_all
  want_packages "${PACKAGES[@]}"
  want_swap "${swap_mib:-$(default_swap)}"
  want_power_mode "$power_mode"
  if [ "$clocks" = yes ]; then want_clocks; fi
  carry_out
  say "Next: install.sh, which also builds TensorRT's plans for this board."
}

main "$@"
