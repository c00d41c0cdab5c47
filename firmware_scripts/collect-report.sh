#!/usr/bin/env bash
# Collect what a bug report needs into one file: doctor, benchmark, journal, kernel lines. Changes nothing.
#
#   ./collect-report.sh [--out FILE.tar.gz] [--board NAME] [--no-bench] [--dry-run]
#
#   --out FILE.tar.gz   default edgesam-report-DATE.tar.gz in this folder
#   --board NAME        for doctor and benchmark; default auto
#   --no-bench          leave the benchmark out (it takes minutes)
#   --dry-run           say what would be collected
#
# Passwords in addresses, keys, tokens, serial numbers, network addresses and the machine's name are blotted out;
# look into the file before you send it. Root sees more of the journal. What cannot be had is noted in it.
# Exit codes: 0 good, 1 failed, 2 wrong usage.
set -euo pipefail
. "$(dirname "$0")/lib/all.sh"

readonly KERNEL_WORDS='thermal|throttl|voltage|oom|out of memory|uvc|unicam|imx|ov5647|nvgpu|tegra|watchdog'
readonly JOURNAL_LINES=2000

out='' board=auto bench=yes

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --out) out=$(value_of "$1" $# "${2-}"); shift ;;
      --board) board=$(value_of "$1" $# "${2-}"); shift ;;
      --no-bench) bench=no ;;
      *) common_option "$1" ;;
    esac
    shift
  done
  [ -n "$out" ] || out=edgesam-report-$(date +%Y%m%d-%H%M%S).tar.gz
}

# blot < TEXT: without what a stranger need not know.
blot() {
  sed -E \
    -e 's#(://)[^/@[:space:]]*@#\1***@#g' \
    -e 's#((password|passwd|secret|token|api_?key|key|psk)["'\'']?[[:space:]]*[=:][[:space:]]*).*#\1***#I' \
    -e 's#(Serial[[:space:]]*:[[:space:]]*).*#\1***#' \
    -e 's#([0-9a-f]{2}:){5}[0-9a-f]{2}#**:**:**:**:**:**#gI' \
    -e 's#([0-9]{1,3}\.){3}[0-9]{1,3}#*.*.*.*#g' \
    -e "s#\b$(uname -n)\b#HOST#g"
}

# tool NAME: of the environment that install.sh made, else of PATH.
tool() {
  local own=$ROOT$VENV/bin/$1
  if [ -x "$own" ]; then printf '%s' "$own"; else command -v "$1" || printf '%s' "$1"; fi
}

# part NAME COMMAND...: its output, blotted; a command that fails is noted and stops nothing.
part() {
  local name=$1
  shift
  if [ "$DRY_RUN" = yes ]; then
    say "  $name: $*"
    return
  fi
  say "$name ..."
  { "$@" 2>&1 || printf '(exit code %s)\n' "$?"; } | blot >"$folder/$name"
}

collect() {
  part doctor.json "$(tool edgesam-doctor)" --board "$board" --json
  [ "$bench" = no ] || part bench.txt "$(tool edgesam-bench)" --board "$board"
  part packages.txt "$(tool python)" -m pip list --format freeze
  part configuration.txt configurations
  part journal.txt run journalctl --no-pager --lines "$JOURNAL_LINES" --unit 'edgesam*'
  part kernel.txt kernel_lines
  part system.txt system_facts
  part changes.txt changes_made
}

configurations() { tail -n +1 "$ROOT$CONFIG_DIR"/*.toml; }

kernel_lines() { run dmesg | grep -iE "$KERNEL_WORDS"; }

changes_made() { cat "$JOURNAL"; }

system_facts() {
  local file
  printf 'model: %s\n' "$(board_model)"
  for file in /etc/os-release /etc/nv_tegra_release /proc/cpuinfo /proc/meminfo /proc/swaps; do
    printf '== %s\n' "$file"
    cat "$ROOT$file" 2>/dev/null || printf '(not there)\n'
  done
  if has vcgencmd; then printf '== throttled: %s\n' "$(run vcgencmd get_throttled)"; fi
  if has nvpmodel; then power_mode_now; fi
}

main() {
  options "$@"
  if [ "$DRY_RUN" = yes ]; then
    say "Would be collected into $out:"
    collect
    return
  fi
  [ -d "$(dirname "$out")" ] || die "$USAGE" "--out $out: no such folder."
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064  # the name as it is now
  trap "rm -rf '$work'" EXIT
  folder=$work/edgesam-report
  mkdir "$folder"
  collect
  tar -C "$work" -czf "$out" edgesam-report
  say "Report: $out. Look into it (tar tzf), then send it."
}

main "$@"
