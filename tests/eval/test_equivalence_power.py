"""Power against published tables, against scipy's noncentral t, and against simulation."""

from math import log, sqrt

import numpy as np
import pytest
from rltk_eval.equivalence.paired import p_equivalent, paired_mean
from rltk_eval.equivalence.power import MOST_SEEDS, Claim, chance_between, power, required_seeds
from scipy.stats import nct, t


@pytest.mark.parametrize(
    ("cv", "subjects", "expected"),
    [(0.25, 24, 0.7391155), (0.20, 20, 0.834680), (0.25, 28, 0.807439), (0.30, 40, 0.815845)],
)
def test_published_exact_power_of_tost(cv: float, subjects: int, expected: float):
    """Average bioequivalence, 2x2 crossover, true ratio 0.95, limits 0.80 to 1.25, by Owen's Q.

    Values as in the documentation of the R package PowerTOST (power.TOST, sampleN.TOST); the sample sizes 20, 28 and 40
    are those of Diletti, Hauschke and Steinijans 1991, table 1.
    """
    se = sqrt(log(cv**2 + 1) * 2 / subjects)
    bound = log(1.25)
    achieved = chance_between(-bound, bound, se=se, df=subjects - 2, difference=log(0.95), alpha=0.05)
    assert achieved == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize("difference", [-1.0, -0.4, 0.0, 0.5])
@pytest.mark.parametrize("seeds", [2, 3, 8, 30])  # beyond, scipy's far tail is nan
def test_one_sided_and_difference_power_are_noncentral_t(seeds: int, difference: float):
    df, critical, two_sided = seeds - 1, t.ppf(0.95, seeds - 1), t.ppf(0.975, seeds - 1)
    root = sqrt(seeds) / 1.5
    shown = {claim: power(claim, seeds=seeds, sd=1.5, margin=1.0, difference=difference) for claim in Claim}
    assert shown[Claim.NON_INFERIOR] == pytest.approx(nct.sf(critical, df, (difference + 1) * root), abs=1e-7)
    assert shown[Claim.INFERIOR] == pytest.approx(nct.cdf(-critical, df, (difference + 1) * root), abs=1e-7)
    different = nct.sf(two_sided, df, difference * root) + nct.cdf(-two_sided, df, difference * root)
    assert shown[Claim.DIFFERENT] == pytest.approx(different, abs=1e-7)


def test_at_the_boundary_power_is_alpha():
    for seeds in (2, 8, 50):
        assert power(Claim.NON_INFERIOR, seeds=seeds, sd=2, margin=1, difference=-1) == pytest.approx(0.05)
        assert power(Claim.INFERIOR, seeds=seeds, sd=2, margin=1, difference=-1) == pytest.approx(0.05)
        assert power(Claim.DIFFERENT, seeds=seeds, sd=2) == pytest.approx(0.05)
        assert power(Claim.EQUIVALENT, seeds=seeds, sd=2, margin=1, difference=1) <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("spread", "equivalent", "non_inferior"),
    [(0.25, 3, 3), (0.5, 4, 4), (0.75, 7, 6), (1.0, 11, 8), (1.25, 15, 12), (1.5, 21, 16), (2.0, 36, 27)],
)
def test_required_seeds_are_the_fewest(spread: float, equivalent: int, non_inferior: int):
    for claim, seeds in ((Claim.EQUIVALENT, equivalent), (Claim.NON_INFERIOR, non_inferior)):
        assert required_seeds(claim, sd=spread, margin=1) == seeds
        assert power(claim, seeds=seeds, sd=spread, margin=1) >= 0.8
        assert power(claim, seeds=seeds - 1, sd=spread, margin=1) < 0.8


def test_with_many_seeds_the_normal_formula_holds():
    """TOST at 80 % needs a standard error of margin / 2.93: z(0.95) + z(0.90) = 1.645 + 1.282."""
    seeds = required_seeds(Claim.EQUIVALENT, sd=10, margin=1)
    assert seeds == pytest.approx((10 * 2.9264) ** 2, rel=0.005)


def test_out_of_reach_is_none():
    assert required_seeds(Claim.EQUIVALENT, sd=1, margin=0.01) is None
    assert required_seeds(Claim.EQUIVALENT, sd=1, margin=1, difference=1.0) is None
    most = required_seeds(Claim.EQUIVALENT, sd=1, margin=2.9264 / sqrt(MOST_SEEDS - 50))
    assert most is not None and MOST_SEEDS - 100 < most <= MOST_SEEDS


def test_one_seed_shows_nothing():
    assert power(Claim.EQUIVALENT, seeds=1, sd=0.001, margin=1) == 0


def test_simulated_power_is_the_analytic_one():
    rng = np.random.default_rng(2)
    for seeds, sd, difference in ((3, 0.5, 0.0), (5, 0.6, 0.3), (8, 1.0, 0.0)):
        shown = [p_equivalent(paired_mean(d), 1.0) < 0.05 for d in rng.normal(difference, sd, (4000, seeds))]
        expected = power(Claim.EQUIVALENT, seeds=seeds, sd=sd, margin=1, difference=difference)
        assert np.mean(shown) == pytest.approx(expected, abs=3.5 * sqrt(expected * (1 - expected) / 4000))


def test_impossible_arguments_are_errors():
    for sd in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="sd"):
            power(Claim.EQUIVALENT, seeds=5, sd=sd, margin=1)
    with pytest.raises(ValueError, match="margin"):
        power(Claim.EQUIVALENT, seeds=5, sd=1, margin=-1)
    with pytest.raises(ValueError, match="alpha"):
        power(Claim.EQUIVALENT, seeds=5, sd=1, margin=1, alpha=0.5)
