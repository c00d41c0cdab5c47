# Files of the system: a marked block in a file that others own, or a whole file of our own.
# shellcheck shell=bash

# Paths are those of the machine; ROOT goes before them here and nowhere else.

# begin_of NAME, end_of NAME: the lines around a block.
begin_of() { printf '# >>> edgesam: %s >>>' "$1"; }
end_of() { printf '# <<< edgesam: %s <<<' "$1"; }

# without_block FILE NAME: the file's other lines; every line ends with a newline.
without_block() {
  sed "\|^$(begin_of "$2")\$|,\|^$(end_of "$2")\$|d" "$ROOT$1" | whole_lines
}

# whole_lines < TEXT: the last one too ends with a newline.
whole_lines() { sed '$a'\\; }

block_of() { printf '%s\n%s\n%s\n' "$(begin_of "$1")" "$2" "$(end_of "$1")"; }

# has_block PATH NAME TEXT: exactly so.
has_block() {
  local there
  [ -e "$ROOT$1" ] || return 1
  there=$(sed -n "\|^$(begin_of "$2")\$|,\|^$(end_of "$2")\$|p" "$ROOT$1")
  [ "$there" = "$(block_of "$2" "$3")" ]
}

# put_block PATH NAME TEXT: at the end of the file; the former block of that name goes.
put_block() {
  keep_original "$1" "$2"
  { if [ -e "$ROOT$1" ]; then without_block "$1" "$2"; fi && block_of "$2" "$3"; } | replace_file "$1"
}

# has_file PATH TEXT, put_file PATH TEXT: a file of our own, whole.
has_file() { [ -e "$ROOT$1" ] && [ "$(cat "$ROOT$1")" = "$2" ]; }

put_file() {
  if [ -e "$ROOT$1" ] && ! noted new "$1"; then
    die "$FAILED" "$1 is there and was not made by these scripts. Next: move it away and run $WHO.sh again."
  fi
  note_new "$1"
  printf '%s\n' "$2" | replace_file "$1"
}

# has_dir PATH, make_dir PATH MODE OWNER: a folder of our own.
has_dir() { [ -d "$ROOT$1" ]; }

make_dir() {
  note_parents "$(dirname "$1")"
  note own "$1"
  install -d -m "$2" "$ROOT$1"
  run chown "$3" "$ROOT$1"
}

# note_parents PATH: the folder and those above it that have to be made, the highest first.
note_parents() {
  [ -d "$ROOT$1" ] && return
  note_parents "$(dirname "$1")"
  note dir "$1"
}

# note_new PATH: after its folders, because undoing goes backwards.
note_new() {
  note_parents "$(dirname "$1")"
  note new "$1"
}

# keep_original PATH NAME: before the first change of it.
keep_original() {
  if noted block "$1" "$2" || noted new "$1"; then return; fi
  if [ ! -e "$ROOT$1" ]; then
    note_new "$1"
    return
  fi
  if [ ! -e "$STATE/backup$1" ]; then
    install -d -m 0700 "$STATE" "$STATE/backup$(dirname "$1")"
    cp -p "$ROOT$1" "$STATE/backup$1.part" && mv "$STATE/backup$1.part" "$STATE/backup$1"
  fi
  note block "$1" "$2"
}

# replace_file PATH < TEXT: whole or not at all; owner and mode stay.
replace_file() {
  local path=$ROOT$1 part=$ROOT$1.edgesam-part
  mkdir -p "$(dirname "$path")" # install -d would change the mode of a folder that is there
  if [ -e "$path" ]; then cp -p "$path" "$part"; else install -m 0644 /dev/null "$part"; fi
  cat >"$part"
  sync "$part" && mv "$part" "$path"
}
