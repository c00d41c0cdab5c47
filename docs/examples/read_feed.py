"""Prints the results of `edgesam-run … --out socket:PATH`: python read_feed.py PATH."""

import json
import socket
import sys

line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
with line.makefile("rb") as feed:
    for text in feed:
        result = json.loads(text)
        payload = feed.read(result["payload"])  # empty, unless the feed has masks=bits
        if "frame_id" in result:
            print(result["frame_id"], [item["box_xyxy"] for item in result["objects"]], flush=True)
