#!/usr/bin/env bash
# Push a bundle's LiteRT files to an Android device by adb, check them there, and collect a report.
#
#   ./deploy.sh [--bundle DIR] [--serial ID] [--to DIR] [--benchmark FILE] [--threads N] [--report FILE] [--dry-run] [--yes]
#   ./deploy.sh --undo [--serial ID] [--to DIR]
#
#   --bundle DIR       default: ../../engines/prebuilt/pocketsam-int8
#   --serial ID        which device (adb devices); needed if there are several
#   --to DIR           folder on the device; default /data/local/tmp/edgesam
#   --benchmark FILE   LiteRT's benchmark_model for android_aarch64, which is not part of this project: run it on every file
#   --threads N        of the benchmark; default 4
#   --report FILE      device, files and benchmark as text; default edgesam-android-report.txt in this folder
#   --undo             remove the folder from the device
#   --dry-run          show the checks and the plan and change nothing
#   --yes              do not ask
#
# Exit codes: 0 good, 1 failed, 2 wrong usage, 3 something is missing (adb, a device, its abilities).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/all.sh"

readonly ABI=arm64-v8a LEAST_API=23 # com.google.ai.edge.litert 2.x asks for 23

bundle=$here/../../engines/prebuilt/pocketsam-int8 serial='' to=/data/local/tmp/edgesam benchmark='' threads=4
report=edgesam-android-report.txt

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --bundle) bundle=$(value_of "$1" $# "${2-}"); shift ;;
      --serial) serial=$(value_of "$1" $# "${2-}"); shift ;;
      --to) to=$(value_of "$1" $# "${2-}"); shift ;;
      --benchmark) benchmark=$(value_of "$1" $# "${2-}"); shift ;;
      --threads) threads=$(number_of "$1" $# "${2-}"); shift ;;
      --report) report=$(value_of "$1" $# "${2-}"); shift ;;
      *) common_option "$1" ;;
    esac
    shift
  done
  [[ $to =~ ^/[A-Za-z0-9/._-]+/edgesam[A-Za-z0-9._-]*$ ]] \
    || die "$USAGE" "--to $to: expected a folder of our own whose name begins with edgesam, such as /data/local/tmp/edgesam."
  [ -r "$bundle/manifest.json" ] || die "$USAGE" "--bundle $bundle: no manifest.json there."
  [ -z "$benchmark" ] || [ -f "$benchmark" ] || die "$USAGE" "--benchmark $benchmark: no such file."
}

# The device ------------------------------------------------------------------------------------------------------

on_device() { run adb -s "$serial" shell "$@" </dev/null; }
property() { on_device getprop "$1" | tr -d '\r'; }

find_device() {
  local found
  has adb || die "$MISSING" "adb is missing. Next: apt-get install adb"
  mapfile -t found < <(run adb devices | awk 'NR > 1 && $2 == "device" { print $1 }')
  [ "${#found[@]}" -gt 0 ] || die "$MISSING" "no device answers. Next: adb devices; is USB debugging allowed on it?"
  if [ -z "$serial" ]; then
    [ "${#found[@]}" = 1 ] || die "$USAGE" "several devices: ${found[*]}. Next: --serial ID"
    serial=${found[0]}
  fi
  [[ " ${found[*]} " == *" $serial "* ]] || die "$MISSING" "device $serial does not answer; there are: ${found[*]}."
}

need_able_device() {
  local abi api
  abi=$(property ro.product.cpu.abi)
  api=$(property ro.build.version.sdk)
  say "Device: $(property ro.product.model), $abi, Android API level $api"
  [ "$abi" = "$ABI" ] || die "$MISSING" "the device's ABI is '$abi', expected $ABI: LiteRT's fast kernels and ours are for it."
  [ "$api" -ge "$LEAST_API" ] || die "$MISSING" "the device's API level is $api, expected $LEAST_API or newer."
}

# Files -----------------------------------------------------------------------------------------------------------

# litert_files: NAME SHA256 of every .tflite file that the manifest lists; each once.
litert_files() {
  tr ',{}' '\n' <"$bundle/manifest.json" | awk -F '"' '
    $2 == "file" { file = $4 }
    $2 == "sha256" && file ~ /\.tflite$/ { print file, $4 }' | sort -u
}

sha_of() { sha256sum "$1" | cut -d ' ' -f 1; }

check_bundle() {
  local name sha
  [ -n "$(litert_files)" ] || die "$MISSING" "$bundle has no LiteRT files. Next: edgesam-engines build, see docs/litert.md."
  while read -r name sha; do
    [ -f "$bundle/$name" ] || die "$FAILED" "$bundle/$name is missing. Next: install the bundle again."
    [ "$(sha_of "$bundle/$name")" = "$sha" ] \
      || die "$FAILED" "$bundle/$name: its sha256 is not the manifest's ($sha). Next: install the bundle again."
  done < <(litert_files)
}

# is_there LOCAL: the same bytes are on the device.
is_there() { [ "$(on_device "sha256sum '$to/$(basename "$1")' 2>/dev/null" | cut -d ' ' -f 1)" = "$(sha_of "$1")" ]; }

push() {
  on_device "mkdir -p '$to'"
  run adb -s "$serial" push "$1" "$to/$(basename "$1")" >/dev/null
  is_there "$1" || die "$FAILED" "$1 arrived damaged. Next: free space on the device? adb shell df /data"
}

want_file() { want "push $(basename "$1") to $to ($(stat -c %s "$1") bytes)" is_there push "$1"; }

want_files() {
  local name _sha
  want_file "$bundle/manifest.json"
  while read -r name _sha; do want_file "$bundle/$name"; done < <(litert_files)
  if [ -n "$benchmark" ]; then want_file "$benchmark"; fi
}

# Undo ------------------------------------------------------------------------------------------------------------

is_gone() { [ -z "$(on_device "ls -d '$to' 2>/dev/null")" ]; }
remove() { on_device "rm -rf '$to'"; }

# Report ----------------------------------------------------------------------------------------------------------

facts() {
  local name
  for name in ro.product.manufacturer ro.product.model ro.soc.model ro.board.platform ro.product.cpu.abi \
    ro.build.version.release ro.build.version.sdk; do
    printf '%s: %s\n' "$name" "$(property "$name")"
  done
  on_device "sha256sum '$to'/*.tflite"
}

run_benchmark() {
  local name _sha
  on_device "chmod 0755 '$to/$(basename "$benchmark")'"
  while read -r name _sha; do
    say "benchmark of $name ..."
    printf '== %s\n' "$name"
    on_device "'$to/$(basename "$benchmark")' --graph='$to/$name' --num_threads=$threads --use_xnnpack=true" 2>&1 \
      || printf '(exit code %s)\n' "$?"
  done < <(litert_files)
}

write_report() {
  { facts && if [ -n "$benchmark" ]; then run_benchmark; fi; } >"$report.part"
  mv "$report.part" "$report"
  say "Report: $report"
}

main() {
  options "$@"
  find_device
  if [ "$UNDO" = yes ]; then
    want "remove $to from the device" is_gone remove
    carry_out
    return
  fi
  need_able_device
  check_bundle
  want_files
  carry_out
  if [ "$DRY_RUN" = no ]; then write_report; fi
}

main "$@"
