# What was changed, written down before it is changed, so that it can be undone to the byte.
# shellcheck shell=bash
#
# One entry per line: script, kind, arguments; tabs between. uninstall.sh reads it backwards.

JOURNAL=$STATE/journal

# note KIND ARG...: once per entry.
note() {
  local entry
  entry=$(printf '%s\t' "$WHO" "$@")
  if noted "$@"; then return; fi
  install -d -m 0700 "$STATE"
  printf '%s\n' "${entry%$'\t'}" >>"$JOURNAL"
  sync "$JOURNAL" # boards lose power
}

# noted KIND ARG...: by any script.
noted() {
  local entry
  entry=$(printf '\t%s' "$@")
  [ -e "$JOURNAL" ] && cut -f 2- "$JOURNAL" | grep -qxF -- "${entry#$'\t'}"
}

# undo_journal [SCRIPT]: plan to undo what that script did, or all; the newest first.
undo_journal() {
  local entry
  [ -e "$JOURNAL" ] || return 0
  while IFS=$'\t' read -r -a entry; do
    if [ -n "${1:-}" ] && [ "${entry[0]}" != "$1" ]; then continue; fi
    undo_entry "${entry[@]:1}"
  done < <(tac "$JOURNAL")
  want "forget what was noted of it" never forget "${1:-}"
}

# undo_entry KIND ARG...: each kind says what its undoing is, in undo.sh.
undo_entry() {
  local kind=$1
  shift
  want "$("say_$kind" "$@")" "gone_$kind" "undo_$kind" "$@"
}

never() { return 1; }

# forget [SCRIPT]: its entries, or the whole journal with all copies.
forget() {
  local rest
  rest=$(awk -F '\t' -v who="$1" 'who != "" && $1 != who' "$JOURNAL")
  if [ -n "$rest" ]; then
    printf '%s\n' "$rest" >"$JOURNAL.part" && mv "$JOURNAL.part" "$JOURNAL"
  else
    rm -rf "$STATE"
  fi
}
