"""A user's own photos and masks: found in the forms people have, checked, and laid out to train on.

`folder.py` and `coco.py` read, `complaints.py` counts what is wrong, `prepare.py` writes.
"""
