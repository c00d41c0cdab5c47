# A plan: what should be so and is not. It is printed, asked for, and then carried out.
# shellcheck shell=bash

PLAN_TEXT=() PLAN_DO=()

# want TEXT IS_SO MAKE_SO [ARG...]: IS_SO ARG... tells whether it is so, MAKE_SO ARG... makes it so.
want() {
  local text=$1 is_so=$2 make_so=$3
  shift 3
  if "$is_so" "$@"; then return; fi
  PLAN_TEXT+=("$text")
  PLAN_DO+=("$(printf '%q ' "$make_so" "$@")")
}

# Carry the plan out, step by step; a step that fails ends the script, and the next run goes on there.
carry_out() {
  local i n=${#PLAN_TEXT[@]}
  if [ "$n" = 0 ]; then
    say "Nothing to do."
    return
  fi
  say "To be changed:"
  for i in "${!PLAN_TEXT[@]}"; do say "  $((i + 1)). ${PLAN_TEXT[i]}"; done
  agree
  for i in "${!PLAN_TEXT[@]}"; do
    say "[$((i + 1))/$n] ${PLAN_TEXT[i]}"
    eval "${PLAN_DO[i]}" # quoted by want
  done
  say "Done."
}

# Go on only if the user said so; --dry-run ends here, well.
agree() {
  if [ "$DRY_RUN" = yes ]; then
    say "Nothing was changed (--dry-run)."
    exit 0
  fi
  [ "$YES" = yes ] && return
  [ -t 0 ] || die "$USAGE" "no terminal to ask at. Next: read the plan above and add --yes."
  local answer
  read -r -p "Go on? [y/N] " answer
  [[ $answer =~ ^[yY] ]] || die "$FAILED" "stopped; nothing was changed."
}
