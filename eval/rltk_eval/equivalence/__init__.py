"""Is one arm as good as another? Paired scores in, a verdict with its evidence out. Needs numpy and scipy.

scores.py      scores by seed and item, and two arms paired by both
paired.py      t tests and t intervals over seeds; TOST
bootstrap.py   intervals for new seeds and new items at once
assay.py       the margin, and what proves that a loss would be seen
verdict.py     the rules: `decide`
families.py    several arms at once
report.py      a decision as a sentence and as JSON
power.py       how many seeds it takes
aggregate.py   interquartile mean, probability of improvement
optimum.py     the best learning rate of a sweep
curves.py      area under learning curves, and a band for their difference
"""
