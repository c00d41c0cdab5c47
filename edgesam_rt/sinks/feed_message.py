"""Results as messages that any language can read: a line of JSON, then bytes. docs/outputs.md."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np

from edgesam_rt.records import MaskSet, Result
from edgesam_rt.sinks.rows import Row, to_row

FEED = 1  # changes when old readers could not read it any more
_OBJECT = struct.Struct("!5i")  # id, left, top, right, bottom; network byte order


@dataclass(frozen=True)
class Message:
    """What is the same for every reader of a feed.

    Attributes:
        rest: the line after its first keys, with its end.
        payload: what follows the line.
    """

    rest: bytes
    payload: bytes = b""

    def to_bytes(self, lost: int) -> bytes:
        """Return the message for a reader that lost so many results before it."""
        first = f'{{"feed":{FEED},"payload":{len(self.payload)},"lost":{lost},'
        return first.encode("ascii") + self.rest + self.payload


def hello(masks: str) -> Message:
    """Return the first message, which is about no result."""
    return Message(_rest({"hello": "edgesam_rt", "masks": masks}))


def message_of(result: Result, masks: str) -> Message:
    """Return a result's message.

    Args:
        result: what to say.
        masks: "rle" in the line, "bits" behind it, "boxes" for none.
    """
    row = to_row(result, with_rle=masks == "rle")
    payload = bits_of(result.object_ids, result.masks) if masks == "bits" else b""
    return Message(_rest(row), payload)


def bits_of(object_ids: tuple[int, ...], masks: MaskSet) -> bytes:
    """Return every mask as id and box (five int32, network order) and a bitmap of the box.

    Rows lie from the top; each begins with a byte of its own, the leftmost pixel in the highest
    bit.
    """
    parts = []
    boxes = masks.boxes_xyxy.astype(int).tolist()
    for object_id, box, mask in zip(object_ids, boxes, masks.each_mask(), strict=True):
        left, top, right, bottom = box
        bits = np.packbits(mask[top:bottom, left:right], axis=1)
        parts += [_OBJECT.pack(object_id, *box), bits.tobytes()]
    return b"".join(parts)


def _rest(row: Row) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode("ascii")[1:] + b"\n"
