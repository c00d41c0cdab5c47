# What every script here begins with: names of places, words to the user, the options all have.
# shellcheck shell=bash
# shellcheck disable=SC2034  # most of these names are read by other files

# A folder that stands for the machine; only tests set it. Commands that change the system are then
# taken from EDGESAM_COMMANDS and from nowhere else.
ROOT=${EDGESAM_ROOT:-}
ROOT=${ROOT%/}
STATE=$ROOT/var/lib/edgesam-setup
# What names whoever made an entry of the journal: the script.
WHO=$(basename "$0" .sh)

SERVICE_USER=edgesam CONFIG_DIR=/etc/edgesam STATE_DIR=/var/lib/edgesam CACHE_DIR=/var/cache/edgesam PREFIX=/opt/edgesam

readonly FAILED=1 USAGE=2 MISSING=3
DRY_RUN=no YES=no UNDO=no

say() { printf '%s\n' "$*" >&2; }

# die CODE WORDS...: what, where, expected, got, next step.
die() {
  local code=$1
  shift
  say "error: $*"
  exit "$code"
}

# The comment at the head of the script is its help.
show_help() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

unknown_option() { die "$USAGE" "$WHO.sh: unknown option $1. Next: $WHO.sh --help"; }

# common_option WORD: take an option that all scripts have.
common_option() {
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --yes) YES=yes ;;
    --undo) [[ $(show_help) == *$'\n  --undo '* ]] || unknown_option "$1" && UNDO=yes ;; # where it is among the options
    --help | -h) show_help && exit 0 ;;
    *) unknown_option "$1" ;;
  esac
}

# value_of OPTION COUNT VALUE: the value, or an error that names the option.
value_of() {
  [ "$2" -ge 2 ] || die "$USAGE" "$WHO.sh: $1 needs a value. Next: $WHO.sh --help"
  printf '%s' "$3"
}

# number_of OPTION COUNT VALUE: the same, for a whole number.
number_of() {
  local given
  given=$(value_of "$@") || exit "$USAGE"
  [[ $given =~ ^[0-9]+$ ]] || die "$USAGE" "$WHO.sh: $1 expects a whole number, got '$given'."
  printf '%s' "$given"
}

# Root is needed to change a machine, not to read a plan.
need_root() {
  if [ "$DRY_RUN" = yes ] || [ -n "$ROOT" ] || [ "$(id -u)" = 0 ]; then return; fi
  die "$MISSING" "$WHO.sh changes the system and needs root. Next: sudo $0 ..., or add --dry-run to see the plan."
}

# run COMMAND...: a command that changes the system or asks it.
run() {
  if [ -z "$ROOT" ]; then
    "$@"
  else
    "${EDGESAM_COMMANDS:?EDGESAM_ROOT is for tests and needs EDGESAM_COMMANDS}/$1" "${@:2}"
  fi
}

# has COMMAND: is it there to be run?
has() {
  if [ -z "$ROOT" ]; then command -v "$1" >/dev/null; else [ -x "${EDGESAM_COMMANDS:?}/$1" ]; fi
}
