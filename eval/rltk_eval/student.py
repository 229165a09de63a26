"""Student's t distribution, by which the mean of few independent values is judged. Needs scipy once it is called."""

from math import nan


def t_quantile(probability: float, df: float) -> float:
    """Below which this much of the distribution lies; nan without degrees of freedom."""
    # Only now: grading, which shares `metrics` with what calls this, needs neither numpy nor scipy.
    from scipy.special import stdtrit

    return float(stdtrit(df, probability)) if df > 0 else nan


def t_two_sided_p(statistic: float, df: float) -> float:
    """Chance of a t at least this far from zero, on either side; nan without degrees of freedom."""
    from scipy.special import stdtr

    return 2 * float(stdtr(df, -abs(statistic))) if df > 0 else nan
