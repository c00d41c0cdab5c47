"""`edgesam-doctor`: what this machine has, what it lacks, and the next step.

A check is a small function in `checks/` and a row in `table.py`. It gets a `Patient`, gives
`Finding`s, and knows nothing of the others; `examine.py` sees that none crashes or hangs the rest.
"""
