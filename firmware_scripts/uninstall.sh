#!/usr/bin/env bash
# Undo what pi.sh, jetson.sh and install.sh changed, from their journal: the newest first.
#
#   sudo ./uninstall.sh [--purge] [--packages] [--dry-run] [--yes]
#
#   --purge      also remove configurations, results and engines in the folders that install.sh made
#   --packages   also remove the Debian packages that were installed
#   --dry-run    show the plan and change nothing
#   --yes        do not ask
#
# A file changed by others since keeps their lines and loses ours; else it is as it was, to the byte.
# Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (root).
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

# shellcheck disable=SC2034  # PURGE and KEEP_PACKAGES are read in lib/undo.sh
main() {
  while [ $# -gt 0 ]; do
    case $1 in
      --purge) PURGE=yes ;;
      --packages) KEEP_PACKAGES=no ;;
      *) common_option "$1" ;;
    esac
    shift
  done
  need_root
  undo_journal
  carry_out
}

main "$@"
