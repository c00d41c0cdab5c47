#!/usr/bin/env bash
# Remove from an environment what edgesam_rt's jobs never load (trim.list says what, and why).
#
#   sudo ./trim.sh [--site DIR] [--only PATTERN] [--dry-run] [--yes]
#
#   --site DIR   a site-packages folder; default: that of the environment that install.sh made
#   --only P     one pattern of trim.list and no other
#   --dry-run    show what would go, with its size, and change nothing
#   --yes        do not ask
#
# pip does not know of it: a package that is installed again is whole again. To undo all: install.sh --undo, then
# install.sh. Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (root, the folder).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

site='' only=''

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --site) site=$(value_of "$1" $# "${2-}"); shift ;;
      --only) only=$(value_of "$1" $# "${2-}"); shift ;;
      *) common_option "$1" ;;
    esac
    shift
  done
}

find_site() {
  [ -n "$site" ] || site=$(find "$ROOT$VENV/lib" -maxdepth 2 -name site-packages 2>/dev/null | head -n 1)
  [ -d "$site/onnxruntime" ] || die "$MISSING" "'${site:-$VENV}' is no site-packages folder with onnxruntime. Next: --site DIR."
}

# patterns: one per line, without the reasons.
patterns() {
  sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$(dirname "$0")/trim.list" | { if [ -n "$only" ]; then grep -xF -- "$only"; else cat; fi; }
}

matches() { find "$site" -path "$site/$1" -prune; }

mib_of() { matches "$1" | tr '\n' '\0' | du --files0-from=- --apparent-size --bytes --total | tail -n 1 | awk '{ printf "%.1f", $1 / 1e6 }'; }

is_trimmed() { [ -z "$(matches "$1")" ]; }

trim() { matches "$1" | tr '\n' '\0' | xargs -0 rm -rf; }

main() {
  local pattern
  options "$@"
  find_site
  [ -w "$site" ] || need_root
  while read -r pattern; do
    want "$pattern: $(mib_of "$pattern") MB" is_trimmed trim "$pattern"
  done < <(patterns)
  carry_out
}

main "$@"
