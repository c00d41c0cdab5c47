# How each kind of journal entry is undone: say_KIND tells it, gone_KIND whether it is, undo_KIND does it.
# shellcheck shell=bash

KEEP_PACKAGES=yes PURGE=no

# A block in a file that was there before.
say_block() { printf '%s: as it was before' "$1"; }
gone_block() { [ ! -e "$STATE/backup$1" ] || ! has_any_block "$1"; }
has_any_block() { [ -e "$ROOT$1" ] && grep -q '^# >>> edgesam: .* >>>$' "$ROOT$1"; }
undo_block() {
  has_any_block "$1" || return 0
  without_block "$1" "$2" | replace_file "$1"
  has_any_block "$1" && return
  if cmp -s "$ROOT$1" <(whole_lines <"$STATE/backup$1"); then
    cp -p "$STATE/backup$1" "$ROOT$1"
  else
    say "$1: others changed it since; their lines stay, ours are gone."
  fi
}

# A file that was not there.
say_new() { printf 'remove %s' "$1"; }
gone_new() { [ ! -e "$ROOT$1" ]; }
undo_new() { rm -f "$ROOT$1" "$ROOT$1.edgesam-part"; }

# A folder of the system that was not there; it stays while others have something in it.
say_dir() { printf 'remove %s if it is empty' "$1"; }
gone_dir() { [ ! -d "$ROOT$1" ]; }
undo_dir() { rmdir "$ROOT$1" 2>/dev/null || say "$1 is not empty and stays."; }

# A folder of our own that others fill: configurations, results; it stays while it has any, unless --purge.
say_own() { if [ "$PURGE" = yes ]; then say_tree "$1"; else say_dir "$1"; fi; }
gone_own() { gone_dir "$1"; }
undo_own() { if [ "$PURGE" = yes ]; then undo_tree "$1"; else undo_dir "$1"; fi; }

# A folder whose whole content these scripts made, such as the virtual environment.
say_tree() { printf 'remove %s with all that is in it' "$1"; }
gone_tree() { gone_dir "$1"; }
undo_tree() { rm -rf "$ROOT${1:?}"; }

say_package() { printf 'remove package %s' "$1"; }
gone_package() { [ "$KEEP_PACKAGES" = yes ] || ! has_package "$1"; }
undo_package() { DEBIAN_FRONTEND=noninteractive run apt-get remove -y -qq "$1"; }

say_user() { printf 'remove the user %s' "$1"; }
gone_user() { ! has_user "$1"; }
undo_user() { run userdel "$1"; }

# A user that was there before.
say_member() { printf 'take %s out of the group %s' "$1" "$2"; }
gone_member() { ! is_member "$1" "$2"; }
undo_member() { run gpasswd -d "$1" "$2"; }

say_swap() { printf 'stop using %s and remove it' "$1"; }
gone_swap() { [ ! -e "$ROOT$1" ]; }
undo_swap() {
  run swapoff "$ROOT$1" || say "$1 was not in use."
  rm -f "$ROOT$1"
}

say_unit() { printf 'stop and disable %s' "$1"; }
gone_unit() { ! run systemctl is-enabled --quiet "$1" 2>/dev/null; }
undo_unit() { run systemctl disable --quiet --now "$1"; }

# A setting of the running system and the value it had.
say_governor() { printf 'processor governor: %s' "$1"; }
gone_governor() { has_governor "$1"; }
undo_governor() { set_governor_now "$1"; }

say_nvpmodel() { printf 'power mode: %s (nvpmodel -m %s)' "$2" "$1"; }
gone_nvpmodel() { has_power_mode "$1"; }
undo_nvpmodel() { set_power_mode_now "$1"; }

say_clocks() { printf 'clocks as stored in %s (jetson_clocks --restore)' "$1"; }
gone_clocks() { [ ! -e "$ROOT$1" ]; }
undo_clocks() { run jetson_clocks --restore "$ROOT$1" && rm -f "$ROOT$1"; }
