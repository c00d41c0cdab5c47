# Packages, swap, services: what the scripts for the boards have in common.
# shellcheck shell=bash

# Debian packages -------------------------------------------------------------------------------------------------

has_package() { run dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'; }

has_packages() {
  local name
  for name; do has_package "$name" || return 1; done
}

install_packages() {
  local name
  for name; do has_package "$name" || note package "$name"; done
  run apt-get update -qq
  DEBIAN_FRONTEND=noninteractive run apt-get install -y -qq --no-install-recommends "$@" \
    || die "$FAILED" "apt-get could not install: $*. Next: read its words above; 'apt-get update' must work first."
}

want_packages() { want "install packages: $*" has_packages install_packages "$@"; }

# Swap ------------------------------------------------------------------------------------------------------------

readonly SWAP_FILE=/var/swap.edgesam

# meminfo_mib KEY: MemTotal or SwapTotal, MiB.
meminfo_mib() { awk -v key="$1:" '$1 == key { print int($2 / 1024) }' "$ROOT/proc/meminfo"; }

has_swap() { [ "$(meminfo_mib SwapTotal)" -ge "$1" ] || has_block /etc/fstab swap "$(fstab_line)"; }

fstab_line() { printf '%s none swap sw 0 0' "$SWAP_FILE"; }

make_swap() {
  note swap "$SWAP_FILE"
  run swapoff "$ROOT$SWAP_FILE" 2>/dev/null || true # of a run that was stopped
  rm -f "$ROOT$SWAP_FILE"
  run fallocate -l "$1M" "$ROOT$SWAP_FILE"
  chmod 0600 "$ROOT$SWAP_FILE"
  run mkswap -q "$ROOT$SWAP_FILE"
  run swapon "$ROOT$SWAP_FILE"
  put_block /etc/fstab swap "$(fstab_line)"
}

# want_swap MIB: 0 is none.
want_swap() {
  [ "$1" = 0 ] || want "swap: $1 MiB in $SWAP_FILE, and in /etc/fstab" has_swap make_swap "$1"
}

# Units -----------------------------------------------------------------------------------------------------------

# want_unit NAME TEXT: a unit of our own, started with the system.
want_unit() { want "unit /etc/systemd/system/$1, enabled" has_unit make_unit "$@"; }

has_unit() { has_file "/etc/systemd/system/$1" "$2" && run systemctl is-enabled --quiet "$1"; }

make_unit() {
  note unit "$1"
  put_file "/etc/systemd/system/$1" "$2"
  run systemctl daemon-reload
  run systemctl enable --quiet "$1"
}

# The board -------------------------------------------------------------------------------------------------------

# board_model: what the machine says of itself, for people.
board_model() {
  local tree=$ROOT/proc/device-tree/model
  if [ -r "$tree" ]; then
    tr -d '\0' <"$tree"
  else
    sed -n 's/^Model[[:space:]]*: //p' "$ROOT/proc/cpuinfo" 2>/dev/null || true
  fi
}
