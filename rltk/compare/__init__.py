"""`rltk compare`: what an arm costs against full fine-tuning, from runs on seeds that are paired.

arms.py         the arms of a recipe, as recipes that differ in their overlay and in nothing else
centre.py       the learning rate that sweeps are centred on
plan.py         a comparison: its folder, its runs, and what it was begun with
outcomes.py     what became of a run, read from its folder alone
measures.py     what a run scored on each item, by the comparison's metric
tuning.py       phase 1: which learning rates are tried, and which is best
margin.py       phase 2: margin and learning rates, fixed before a confirmation run begins
survey.py       phase 3 and all of it: what is there, what is missing
conclusion.py   comparison.json, from run folders alone
optima.py       where the best learning rates lie, and how they stand to the reference's
costs.py        seconds, tokens and memory of the arms
crew.py         worker.py   processes that make the runs
cluster.py      the same on a Ray cluster
runner.py       what is started when, and what stops it
estimate.py     how long runs will take
watch.py        tables.py   what a person sees

`rltk findings`: what the literature says of LoRA and full fine-tuning, and its measurement here.

findings/       the catalogue, a file a subject
experiments/    findings that a function measures by itself
readings/       findings that are read from a comparison: wanted.py finds it, evidence.py reads it, reread.py dates it

Nothing here imports torch but the worker and the experiments.
"""
