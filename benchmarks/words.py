"""What a rule that knows no language can tell of preferences, from the words of the last reply or its length.

    python -m benchmarks.words FOLDER         in HH-RLHF's layout, with a training and a test split

A logistic regression on the counts of words (or of words and pairs of neighbors) in the last reply, in Bradley and
Terry's form: the log-odds that a side is preferred is the difference of the sides' scores. Held against length alone.
What a model that has read no English ranks right beyond this, it has from elsewhere.

Shapes: P pairs, W words.
"""

import argparse
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from rltk_reward_models.accuracy import length_baseline, pair_accuracy
from rltk_reward_models.pairs import ScoredPair
from torch import Tensor

from benchmarks.record import write_result
from rltk.data.preferences import Preference, load_split
from rltk.recipe.schema import Data

WORD = re.compile(r"[a-z']+|[0-9]+|[^\sa-z0-9]")
RARE = 4
"""A word counts from as many training replies on."""
PENALTIES = (0.003, 0.01, 0.03)
"""On the sum of squared weights; all are told, none is chosen."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.words", description=__doc__)
    parser.add_argument("data", help="folder of the pairs, with a training and a test split")
    args = parser.parse_args()
    data = Data(path=args.data, kind="preferences")
    train, test = (load_split(data, split).pairs for split in ("train", "test"))
    best = length_baseline([scored(pair, 0.0) for pair in test])
    baseline = {"prefers": best.prefers, "accuracy": best.accuracy.accuracy, "ci95": best.accuracy.interval}
    rules = [told(*rule) for rule in regressions(train, test)]
    for rule in rules:
        low, high, lead, least, most = (100 * number for number in (*rule["ci95"], rule["lead"], *rule["lead_ci95"]))
        accuracy = f"{rule['accuracy']:.1%} [{low:.1f}, {high:.1f}]"
        print(f"{rule['rule']:36} {accuracy}, over length {lead:+.1f} [{least:+.1f}, {most:+.1f}]")
    write_result("words", {"train": len(train), "test": len(test), "length_baseline": baseline, "rules": rules})


def regressions(train: Sequence[Preference], test: Sequence[Preference]) -> Iterator[tuple[str, list[ScoredPair]]]:
    """A rule's name, and the held-out pairs as it scores them."""
    for name, has_neighbors in (("words", False), ("words and neighbors", True)):
        words = known(train, has_neighbors)
        seen_PW, unseen_PW = (differences(pairs, words, has_neighbors) for pairs in (train, test))
        for penalty in PENALTIES:
            lead_P = torch.sparse.mm(unseen_PW, fitted(seen_PW, penalty))[:, 0]
            yield f"{name}, penalty {penalty}", list(map(scored, test, lead_P.tolist()))


def scored(pair: Preference, lead: float) -> ScoredPair:
    return ScoredPair(
        prompt=repr(pair.prompt),
        chosen=lead,
        rejected=0.0,
        chosen_length=len(pair.chosen),
        rejected_length=len(pair.rejected),
    )


def told(name: str, pairs: Sequence[ScoredPair]) -> dict[str, Any]:
    """Accuracy, and by how much it is above that of length alone on the same pairs."""
    found, lead = pair_accuracy(pairs), length_baseline(pairs).lead
    return {
        "rule": name,
        "accuracy": found.accuracy,
        "ci95": found.interval,
        "lead": lead.difference,
        "lead_ci95": lead.interval,
    }


Word = str | tuple[str, str]


def counts(reply: str, has_neighbors: bool) -> Counter[Word]:
    words = WORD.findall(reply.lower())
    return Counter([*words, *pairwise(words)] if has_neighbors else words)


def known(pairs: Sequence[Preference], has_neighbors: bool) -> dict[Word, int]:
    replies = [counts(reply, has_neighbors) for pair in pairs for reply in (pair.chosen, pair.rejected)]
    seen = Counter(word for reply in replies for word in reply)
    return {word: place for place, word in enumerate(word for word, times in seen.items() if times >= RARE)}


def differences(pairs: Sequence[Preference], words: dict[Word, int], has_neighbors: bool) -> Tensor:
    """[P, W], sparse: of log(1 + count), the chosen side's less the other's."""
    places: list[tuple[int, int]] = []
    values: list[float] = []
    for row, pair in enumerate(pairs):
        chosen, rejected = (counts(reply, has_neighbors) for reply in (pair.chosen, pair.rejected))
        for word in chosen.keys() | rejected.keys():
            value = math.log1p(chosen[word]) - math.log1p(rejected[word])
            if value and word in words:
                places.append((row, words[word]))
                values.append(value)
    return torch.sparse_coo_tensor(torch.tensor(places).T, torch.tensor(values), (len(pairs), len(words)))


def fitted(seen_PW: Tensor, penalty: float) -> Tensor:
    """[W, 1], weights of the least log-loss."""
    weights_W1 = torch.zeros(seen_PW.shape[1], 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights_W1], max_iter=200)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.softplus(-torch.sparse.mm(seen_PW, weights_W1)).mean() + penalty / 2 * (weights_W1**2).sum()
        value.backward()
        return value

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]  # a closure may return a tensor
    return weights_W1.detach()


if __name__ == "__main__":
    main()
