"""Self-training: masks that our own model makes of photos nobody labelled, for the next training.

    python -m edgesam_engines.train.pseudo label --rules RULES --teacher WEIGHTS --out FOLDER
    python -m edgesam_engines.train.pseudo measure --rules RULES --teacher WEIGHTS --config RECIPE
    python -m edgesam_engines.train.pseudo sheet --labels FOLDER/SOURCE --out PNG

A small detector proposes boxes; the teacher, an earlier PocketSAM, answers each of them several
times: mirrored and not, with the box as it is and moved a little. The mean of the answers is the
mask, and how well they agree tells whether to keep it (`measure` says what that is worth, on
photos whose true masks are known). `label` writes folders of the form of `masks/SOURCE/`; a recipe
takes them with `extra_roots = ["FOLDER"]` in its section `[data]`.
"""
