#!/usr/bin/env bash
# Install edgesam_rt for a service: user, folders, virtual environment, wheel, first engine build, units.
#
#   sudo ./install.sh [--wheel FILE] [--board NAME] [--extras A,B] [--wheels DIR] [--no-engines] [--dry-run] [--yes]
#   sudo ./install.sh --undo
#
#   --wheel FILE    of edgesam_rt; default: the newest in ../dist (make wheel)
#   --board NAME    whose engines to build; default auto
#   --extras A,B    of the wheel, such as litert; default: service (HTTP, MQTT), on a Jetson also tensorrt (pycuda, built there)
#   --wheels DIR    take all packages from this folder and none from an index: a board without network
#   --python FILE   interpreter of the environment; default python3 (3.10 or newer)
#   --no-engines    do not build engines now; ONNX Runtime serves until they are built
#   --undo          undo what this script did; uninstall.sh undoes all
#   --dry-run       show the plan and change nothing
#   --yes           do not ask
#
# It makes the user edgesam, /etc/edgesam, /var/lib/edgesam, /var/cache/edgesam and /opt/edgesam/venv.
# Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (root, the wheel, Python).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

readonly GROUPS_OF_DEVICES=(video render gpio)
readonly UNITS=../systemd

wheel='' board=auto extras=default wheels='' python=python3 engines=yes

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --wheel) wheel=$(value_of "$1" $# "${2-}"); shift ;;
      --board) board=$(value_of "$1" $# "${2-}"); shift ;;
      --extras) extras=$(value_of "$1" $# "${2-}"); shift ;;
      --wheels) wheels=$(value_of "$1" $# "${2-}"); shift ;;
      --python) python=$(value_of "$1" $# "${2-}"); shift ;;
      --no-engines) engines=no ;;
      *) common_option "$1" ;;
    esac
    shift
  done
}

# default_extras: TensorRT's own packages come with JetPack, what calls the GPU with the extra.
default_extras() {
  printf service
  if [ -e "$ROOT/etc/nv_tegra_release" ]; then printf ',tensorrt'; fi
}

# find_wheel: the one named, or the newest built here.
find_wheel() {
  local found=$wheel
  [ -n "$found" ] || found=$(find "$here/../dist" -name 'edgesam_rt-*.whl' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d ' ' -f 2-)
  [ -n "$found" ] || die "$MISSING" "no wheel in $here/../dist. Next: make wheel, or --wheel FILE."
  [ -f "$found" ] || die "$MISSING" "--wheel $found: no such file."
  realpath "$found"
}

need_python() {
  run "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
    || die "$MISSING" "$python is missing or older than 3.10. Next: --python FILE (Raspberry Pi OS 12 and JetPack 6 have one)."
}

want_folders() {
  want "$CONFIG_DIR for configurations" has_dir make_dir "$CONFIG_DIR" 0750 "root:$SERVICE_USER"
  want "$STATE_DIR for results" has_dir make_dir "$STATE_DIR" 0750 "$SERVICE_USER:$SERVICE_USER"
  want "$CACHE_DIR for engines built here" has_dir make_dir "$CACHE_DIR" 0750 "$SERVICE_USER:$SERVICE_USER"
}

want_wheel() {
  local file=$1 kind options=()
  kind=$(venv_kind)
  [ "$extras" != default ] || extras=$(default_extras)
  [ -z "$wheels" ] || options=(--no-index --find-links "$(realpath "$wheels")")
  want "environment $VENV ($kind packages)" has_venv make_venv "$kind" "$python"
  want "install $(basename "$file")${extras:+ with $extras}" has_wheel install_wheel "$kind" "$file" "$extras" "${options[@]}"
}

# edgesam-engines knows itself what a board needs and what is still right; only TensorRT's plans take time.
edgesam_engines() { as_service "$ROOT$VENV/bin/edgesam-engines" build --board "$board" "$@"; }

has_engines() { has_user "$SERVICE_USER" && [ -x "$ROOT$VENV/bin/edgesam-engines" ] && edgesam_engines --check 2>/dev/null; }

build_engines() {
  edgesam_engines || die "$FAILED" "the engines could not be built; ONNX Runtime serves meanwhile." \
    "Next: $VENV/bin/edgesam-doctor says what is missing."
}

want_engines() {
  [ "$engines" = no ] || want "engines of board $board that are built on the board (minutes on a Jetson, none elsewhere)" \
    has_engines build_engines
}

# The units of the service, as they come; enabling one is up to whoever writes its configuration.
want_units() {
  local unit
  for unit in "$here/$UNITS"/*.service "$here/$UNITS"/*.timer; do
    [ -e "$unit" ] || continue
    want "unit /etc/systemd/system/$(basename "$unit")" has_file copy_unit \
      "/etc/systemd/system/$(basename "$unit")" "$(cat "$unit")"
  done
}

copy_unit() {
  put_file "$1" "$2"
  run systemctl daemon-reload
}

main() {
  here=$(cd "$(dirname "$0")" && pwd)
  options "$@"
  need_root
  if [ "$UNDO" = yes ]; then
    undo_journal "$WHO"
    carry_out
    return
  fi
  local file
  file=$(find_wheel)
  need_python
  want_user "$SERVICE_USER" "${GROUPS_OF_DEVICES[@]}"
  want_folders
  want_wheel "$file"
  want_engines
  want_units
  carry_out
  say "Next: $VENV/bin/edgesam-doctor"
}

main "$@"
