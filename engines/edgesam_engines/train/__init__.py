"""Training of the project's own small model: data, prompts, losses, loop, validation, curves.

    python -m edgesam_engines.train --config RECIPE --out FOLDER [--data ../shared/data]

The same command goes on where the last run stopped; SIGTERM saves and ends it. FOLDER then holds
`checkpoint.pt` (all that a resume needs), `before-decay.pt` (from which a run can be made longer),
`ema.safetensors` (the averaged weights, fp16), `journal.jsonl` and `curves.svg`. With
`--validate WEIGHTS` nothing is trained: the weights are measured on the recipe's validation part.

`edgesam-engines train` is the same loop on a user's own photos: `job.py` is what was asked, `own/`
reads and checks photos and masks, `distil/` learns from a larger model, `tune.py` puts it together.
"""
