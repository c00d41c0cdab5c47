#!/usr/bin/env bash
# Prepare a Raspberry Pi 4 or 5: camera, packages, swap, processor governor, hardware watchdog.
#
#   sudo ./pi.sh [--camera SENSOR] [--governor NAME] [--swap-mib N] [--no-watchdog] [--dry-run] [--yes]
#   sudo ./pi.sh --undo
#
#   --camera SENSOR   overlay of a camera that is not found by itself, such as imx219 or imx708,cam0;
#                     default: the firmware finds the camera (camera_auto_detect)
#   --governor NAME   of the processor; default performance; keep: leave it
#   --swap-mib N      swap to have at least; 0: none; default 1024 on a board with less than 2 GiB of memory, else 0
#   --no-watchdog     do not let systemd feed the hardware watchdog
#   --undo            undo what this script changed; uninstall.sh undoes all
#   --dry-run         show the plan and change nothing
#   --yes             do not ask
#
# Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (root, the right board).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

readonly PACKAGES=(python3-venv python3-picamera2 python3-libcamera v4l-utils)
readonly SMALL_MEMORY_MIB=1900 # what a board with 2 GiB shows of them
readonly WATCHDOG_FILE=/etc/systemd/system.conf.d/edgesam-watchdog.conf

camera=auto governor=performance swap_mib='' watchdog=yes

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --camera) camera=$(value_of "$1" $# "${2-}"); shift ;;
      --governor) governor=$(value_of "$1" $# "${2-}"); shift ;;
      --swap-mib) swap_mib=$(number_of "$1" $# "${2-}"); shift ;;
      --no-watchdog) watchdog=no ;;
      *) common_option "$1" ;;
    esac
    shift
  done
  [[ $camera =~ ^[a-z0-9_,=-]+$ ]] || die "$USAGE" "--camera: expected an overlay such as imx219, got '$camera'."
}

need_pi() {
  local model
  model=$(board_model)
  case $model in
    "Raspberry Pi "[45]* | "Raspberry Pi Compute Module "[45]*) ;; # 400 and 500 too
    *) die "$MISSING" "pi.sh is for a Raspberry Pi 4 or 5; this is '${model:-no board that says what it is}'." \
      "Next: jetson.sh on a Jetson; install.sh alone on other machines." ;;
  esac
  say "Board: $model"
}

config_txt() {
  local path
  for path in /boot/firmware/config.txt /boot/config.txt; do
    if [ -e "$ROOT$path" ]; then
      printf '%s' "$path"
      return
    fi
  done
  die "$MISSING" "no config.txt in /boot/firmware or /boot. Next: is the boot partition mounted?"
}

camera_lines() {
  printf '[all]\n'
  if [ "$camera" = auto ]; then
    printf 'camera_auto_detect=1\n'
  else
    printf 'camera_auto_detect=0\ndtoverlay=%s\n' "$camera"
  fi
  printf 'dtparam=watchdog=%s' "$([ "$watchdog" = yes ] && printf on || printf off)"
}

# The firmware of the old camera stack takes the camera away from libcamera.
warn_of_old_camera() {
  if grep -qE '^(start_x=1|start_file=start4?x)' "$ROOT$1"; then
    say "warning: $1 starts the legacy camera stack (start_x), which hides the camera from libcamera. Next: take it out."
  fi
}

watchdog_text() {
  printf '# Made by edgesam firmware_scripts/pi.sh; uninstall.sh removes it.\n[Manager]\n'
  printf '# The hardware allows 15 s at most; systemd feeds it at half of that.\n'
  printf 'RuntimeWatchdogSec=14s\nRebootWatchdogSec=2min'
}

put_watchdog() {
  put_file "$1" "$2"
  run systemctl daemon-reexec
}

want_watchdog() {
  [ "$watchdog" = no ] || want "systemd feeds the hardware watchdog ($WATCHDOG_FILE)" has_file put_watchdog \
    "$WATCHDOG_FILE" "$(watchdog_text)"
}

default_swap() { if [ "$(meminfo_mib MemTotal)" -lt "$SMALL_MEMORY_MIB" ]; then printf 1024; else printf 0; fi; }

main() {
  options "$@"
  need_pi
  need_root
  if [ "$UNDO" = yes ]; then
    undo_journal "$WHO"
    carry_out
    return
  fi
  local config
  config=$(config_txt)
  warn_of_old_camera "$config"
  want_packages "${PACKAGES[@]}"
  want "$config: camera $camera, hardware watchdog; takes effect after a restart" has_block put_block \
    "$config" camera "$(camera_lines)"
  want_swap "${swap_mib:-$(default_swap)}"
  want_governor "$governor"
  want_watchdog
  carry_out
  say "Next: restart if $config was changed (sudo reboot), then install.sh."
}

main "$@"
