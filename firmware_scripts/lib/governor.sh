# The processor's governor: how eagerly its clock rises.
# shellcheck shell=bash

readonly GOVERNOR_FILE=/etc/tmpfiles.d/edgesam-governor.conf

governor_paths() { find "$ROOT/sys/devices/system/cpu/cpufreq" -path '*policy*/scaling_governor' 2>/dev/null | sort; }

has_governor() {
  local path
  for path in $(governor_paths); do [ "$(cat "$path")" = "$1" ] || return 1; done
}

set_governor_now() {
  local path
  for path in $(governor_paths); do printf '%s\n' "$1" >"$path"; done
}

# systemd-tmpfiles writes it at every start.
governor_text() {
  printf '# Made by edgesam firmware_scripts/%s.sh; uninstall.sh removes it.\n' "$WHO"
  printf 'w /sys/devices/system/cpu/cpufreq/policy*/scaling_governor - - - - %s' "$1"
}

keeps_governor() { has_governor "$1" && has_file "$GOVERNOR_FILE" "$(governor_text "$1")"; }

keep_governor() {
  local first
  first=$(governor_paths | head -n 1)
  noted_governor || note governor "$(cat "$first")"
  put_file "$GOVERNOR_FILE" "$(governor_text "$1")"
  set_governor_now "$1"
}

noted_governor() { [ -e "$JOURNAL" ] && cut -f 2 "$JOURNAL" | grep -qx governor; }

# want_governor NAME: "keep" changes nothing.
want_governor() {
  if [ "$1" = keep ] || [ -z "$(governor_paths)" ]; then return; fi
  want "processor governor: $1, now and at every start ($GOVERNOR_FILE)" keeps_governor keep_governor "$1"
}
