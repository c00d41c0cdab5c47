"""Distillation: a larger model's answers on photos without labels, learnt by PocketSAM.

`teacher.py` asks, `objects.py` chooses what about, `cache.py` keeps the answers on disk,
`samples.py` makes batches of them, `heads.py` has the losses.
"""
