"""Published models' own code beside ours, on the same seeded weights. See docs/families.md.

    python -m edgesam_engines.parity mobilesam --upstream CHECKOUT --photos DIR --out FILE

The weights are made up, so this proves the conversion and says nothing of accuracy.
"""
