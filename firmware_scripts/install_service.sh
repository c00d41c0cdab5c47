#!/usr/bin/env bash
# Set up the service of one camera, edgesam@NAME: its configuration, what its devices need, on request its start.
#
#   sudo ./install_service.sh NAME [--config FILE] [--start] [--dry-run] [--yes]
#   sudo ./install_service.sh NAME --wheel FILE [options of install.sh] [--config FILE] [--start]
#   sudo ./install_service.sh NAME --undo [--purge]
#
#   --config FILE   becomes /etc/edgesam/NAME.toml; default: what is there. systemd/example.toml is one to begin with
#   --start         start it now and with the system; returns when the first result is there
#   --wheel FILE    run install.sh first; also with --wheels, --board, --extras, --python, --no-engines
#   --undo          stop it and remove what this script made; the configuration and the results stay
#   --purge         with --undo: they go too
#   --dry-run       show the plan and change nothing
#   --yes           do not ask
#
# Exit codes: 0 good, 1 failed, 2 wrong usage or configuration, 3 something is missing (root, edgesam_rt).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

readonly RUN=$VENV/bin/edgesam-run DROP_INS=../systemd/drop-ins

name='' config='' start=no install=()

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --config) config=$(value_of "$1" $# "${2-}"); shift ;;
      --start) start=yes ;;
      --wheel | --wheels | --board | --extras | --python) install+=("$1" "$(value_of "$1" $# "${2-}")"); shift ;;
      --no-engines) install+=("$1") ;;
      --purge) PURGE=yes ;;
      -*) common_option "$1" ;;
      *) take_name "$1" ;;
    esac
    shift
  done
  [ -n "$name" ] || die "$USAGE" "$WHO.sh: NAME is missing. Next: $WHO.sh --help"
}

# take_name WORD: it names files and a unit.
take_name() {
  [ -z "$name" ] || die "$USAGE" "$WHO.sh: one NAME, got '$name' and '$1'."
  [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || die "$USAGE" "$WHO.sh: NAME is letters, digits, - and _; got '$1'."
  name=$1
}

# The runtime, by install.sh, with the same way of asking.
install_runtime() {
  local words=("${install[@]}")
  [ "$DRY_RUN" = no ] || words+=(--dry-run)
  [ "$YES" = no ] || words+=(--yes)
  "$here/install.sh" "${words[@]}"
}

# The configuration ------------------------------------------------------------------------------------------------

config_path() { printf '%s/%s.toml' "$CONFIG_DIR" "$name"; }

# find_config: the file that is to be used, on this machine.
find_config() {
  local there
  there=$ROOT$(config_path)
  if [ -n "$config" ]; then
    [ -f "$config" ] || die "$MISSING" "--config $config: no such file."
    printf '%s' "$config"
  else
    [ -f "$there" ] || die "$MISSING" "$(config_path): no such file. Next: --config FILE, such as a copy of systemd/example.toml."
    printf '%s' "$there"
  fi
}

# check_config FILE: as the service will read it; a plan can be seen before there is anything to check it with.
check_config() {
  if [ ! -x "$ROOT$RUN" ]; then
    [ "$DRY_RUN" = yes ] || die "$MISSING" "$RUN is missing. Next: install.sh, or --wheel FILE."
    return
  fi
  "$ROOT$RUN" --config "$1" --check >/dev/null || die "$USAGE" "$1 is not right. Next: mend it; nothing was changed."
}

# put_config PATH TEXT: not in the journal of changes: people write into it, so it goes with --purge alone.
put_config() {
  printf "%s\n" "$2" | replace_file "$1"
  chmod 0640 "$ROOT$1"
  run chown "root:$SERVICE_USER" "$ROOT$1"
}

# The unit ---------------------------------------------------------------------------------------------------------

unit() { printf 'edgesam@%s.service' "$name"; }

# drop_ins_for FILE: by its source and by the board; no source is the board's own camera.
drop_ins_for() {
  local source
  source=$(sed -n 's/^[[:space:]]*source[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$1")
  case $source in '' | v4l2:* | picamera:* | csi:* | /dev/*) printf "camera\n" ;; esac
  if [ -e "$ROOT/etc/nv_tegra_release" ]; then printf "jetson\n"; fi
}

put_drop_in() {
  put_file "$1" "$2"
  run systemctl daemon-reload
}

want_drop_ins() {
  local part path
  for part in $(drop_ins_for "$1"); do
    path=/etc/systemd/system/$(unit).d/$part.conf
    want "$path" has_file put_drop_in "$path" "$(cat "$here/$DROP_INS/$part.conf")"
  done
}

# Whatever was changed, it is started anew.
is_started() {
  [ "${#PLAN_TEXT[@]}" = 0 ] && run systemctl is-enabled --quiet "$1" && run systemctl is-active --quiet "$1"
}

start_unit() {
  note unit "$1"
  run systemctl enable --quiet "$1"
  run systemctl reset-failed "$1" 2>/dev/null || true # of a unit that never ran
  run systemctl restart "$1" || die "$FAILED" "$1 did not start. Next: journalctl -u $1"
}

# Undoing ----------------------------------------------------------------------------------------------------------

undo_all() {
  undo_journal "$WHO"
  if [ "$PURGE" = yes ]; then
    want "$(say_new "$(config_path)")" gone_new undo_new "$(config_path)"
    want "$(say_tree "$STATE_DIR/$name")" gone_tree undo_tree "$STATE_DIR/$name"
  fi
  carry_out
}

main() {
  here=$(cd "$(dirname "$0")" && pwd)
  options "$@"
  need_root
  WHO=$WHO@$name # so that --undo undoes this instance alone
  if [ "$UNDO" = yes ]; then
    undo_all
    return
  fi
  local file
  file=$(find_config)
  [ "${#install[@]}" = 0 ] || install_runtime
  check_config "$file"
  want "configuration $(config_path)" has_file put_config "$(config_path)" "$(cat "$file")"
  want_drop_ins "$file"
  [ "$start" = no ] || want "$(unit): now, and with the system" is_started start_unit "$(unit)"
  carry_out
  say "Next: systemctl status $(unit); journalctl -u $(unit)"
}

main "$@"
