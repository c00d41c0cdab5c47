# The parts of this folder, in the order in which they build on each other.
# shellcheck shell=bash

_lib=$(dirname "${BASH_SOURCE[0]}")
for _part in common plan journal files system governor power service undo; do
  # shellcheck source=/dev/null
  . "$_lib/$_part.sh"
done
