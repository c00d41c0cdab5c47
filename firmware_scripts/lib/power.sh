# Jetson's power mode (nvpmodel) and pinned clocks (jetson_clocks).
# shellcheck shell=bash

readonly POWER_MODES=/etc/nvpmodel.conf
readonly CLOCKS_UNIT=edgesam-clocks.service CLOCKS_STORE=/var/lib/edgesam-setup/jetson_clocks.conf

# power_mode_id NAME: its number on this board, from nvpmodel's own table; nothing if it has none.
power_mode_id() { sed -n "s/^< POWER_MODEL ID=\([0-9]*\) NAME=$1 >.*/\1/p" "$ROOT$POWER_MODES" | head -n 1; }

power_mode_names() { sed -n 's/^< POWER_MODEL ID=[0-9]* NAME=\([^ ]*\) >.*/\1/p' "$ROOT$POWER_MODES" | paste -sd ' '; }

# power_mode_now: name, then number, in two lines.
power_mode_now() { run nvpmodel -q 2>/dev/null | sed -n 's/^NV Power Mode: //p; /^[0-9][0-9]*$/p'; }

has_power_mode() { power_mode_now | grep -qx "$1"; }

# Some modes need a restart, and nvpmodel asks for it; the restart is left to whoever runs this.
set_power_mode_now() {
  run nvpmodel -m "$1" <<<no || true
  has_power_mode "$1" || say "warning: the board is not in power mode $1 yet; some modes need a restart." \
    "Next: sudo nvpmodel -m $1, which asks for it."
}

set_power_mode() {
  local now
  mapfile -t now < <(power_mode_now)
  [ "${#now[@]}" = 2 ] || die "$FAILED" "nvpmodel -q did not name a mode. Next: run it by hand."
  noted_power_mode || note nvpmodel "${now[1]}" "${now[0]}"
  set_power_mode_now "$1"
}

noted_power_mode() { [ -e "$JOURNAL" ] && cut -f 2 "$JOURNAL" | grep -qx nvpmodel; }

# want_power_mode NAME: "keep" changes nothing, "fastest" is the first of the usual names that the board has.
want_power_mode() {
  local name=$1 id
  [ "$name" = keep ] && return
  [ -r "$ROOT$POWER_MODES" ] || die "$MISSING" "$POWER_MODES is missing: no power modes. Next: --power-mode keep"
  [ "$name" = fastest ] && name=$(fastest_power_mode)
  id=$(power_mode_id "$name")
  [ -n "$id" ] || die "$USAGE" "no power mode '$name' on this board; it has: $(power_mode_names)."
  want "power mode: $name (nvpmodel -m $id)" has_power_mode set_power_mode "$id"
}

fastest_power_mode() {
  local name
  for name in MAXN_SUPER MAXN; do
    if [ -n "$(power_mode_id "$name")" ]; then
      printf '%s' "$name"
      return
    fi
  done
}

# Clocks are pinned by a unit at every start; what they were is stored once, by jetson_clocks itself.
clocks_text() {
  cat <<'END'
# Made by edgesam firmware_scripts/jetson.sh; uninstall.sh removes it.
[Unit]
Description=Pin the clocks to the power mode's maximum
After=nvpmodel.service

[Service]
Type=oneshot
ExecStart=/usr/bin/jetson_clocks
RemainAfterExit=yes

[Install]
WantedBy=multi-user.target
END
}

stores_clocks() { [ -e "$ROOT$CLOCKS_STORE" ]; }

store_clocks() {
  note clocks "$CLOCKS_STORE"
  run jetson_clocks --store "$ROOT$CLOCKS_STORE.part" && mv "$ROOT$CLOCKS_STORE.part" "$ROOT$CLOCKS_STORE"
}

start_clocks() {
  make_unit "$@"
  run systemctl start "$1"
}

want_clocks() {
  has jetson_clocks || die "$MISSING" "jetson_clocks is missing. Next: install nvidia-l4t-tools, or leave --clocks out."
  want "store the clocks as they are, for undoing" stores_clocks store_clocks
  want "clocks at their maximum, now and at every start ($CLOCKS_UNIT)" has_unit start_clocks \
    "$CLOCKS_UNIT" "$(clocks_text)"
}
