#!/bin/sh
# Prints frame number and number of objects of `edgesam-run … --out socket:PATH`: read_feed.sh PATH
exec socat -u "UNIX-CONNECT:$1" - | jq --unbuffered -r \
  'select(.frame_id != null) | "\(.frame_id) \(.objects | length)"'
