"""The exercise of notebook 05 that compares two networks which have read the same digits: McNemar's exact test."""

import math

import torch

from snn_helpers.exercises.core import NotYet, call, close, exercise, number, recognise

WHOLE_TENSORS = "Are b and c tensors? Theirs are 64-bit whole numbers; `.item()` makes Python's of them, without end."


@exercise(
    "05.5",
    "only digits that one of them reads rightly and the other does not say anything. Count b and c, one for each way.",
    "if the two were equally good, each of the n = b + c would be a coin toss. How likely is min(b, c) or fewer heads?",
    "min(1, 2 * sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n)",
)
def mcnemar(answer):
    generator = torch.Generator().manual_seed(6)
    for digits, right, other in (211, 0.9, 0.8), (503, 0.95, 0.95), (401, 0.7, 0.6), (97, 0.9, None), (59, 0.5, 0.9):
        labels = torch.randint(0, 10, (digits,), generator=generator)
        first = _answers(labels, right, generator)
        second = first.clone() if other is None else _answers(labels, other, generator)
        b = ((first == labels) & (second != labels)).sum().item()
        c = ((first != labels) & (second == labels)).sum().item()
        wanted = _two_sided(b, c)
        try:
            got = call(answer, labels=labels, first_answers=first, second_answers=second)
        except NotYet as reason:
            overflow = "OverflowError" in str(reason) or "too large for a float" in str(reason)
            raise NotYet(f"{reason} {WHOLE_TENSORS}" if overflow else str(reason)) from None
        case = f"{digits} digits, b = {b}, c = {c}"
        got, n, gap = number(got, f"the p-value for {case}"), max(1, b + c), abs(b - c)
        right = [(answers == labels).sum().item() for answers in (first, second)]
        slips = {
            "the sum begins with k = 0.": 2 * (_tail(min(b, c), b + c) - 0.5 ** (b + c)),
            "this is one side of it; the gap could have gone the other way as well, so times 2.": wanted / 2,
            "this counts every digit with two different answers; where both are wrong, neither is better.": (
                _two_sided(min(b, c), (first != second).sum().item() - min(b, c))
            ),
            f"the n here is all {digits} digits; only the {b + c} that one of them reads and the other does not are "
            "coin tosses.": _two_sided(min(b, c), digits - min(b, c)),
            "this is the chi-squared statistic, not a probability. Wanted is the exact sum.": gap**2 / n,
            "this is the chi-squared statistic (corrected for continuity), not a probability. Wanted is the exact "
            "sum.": max(0, gap - 1) ** 2 / n,
            "this is the chi-squared approximation; wanted is the exact sum.": math.erfc(gap / math.sqrt(2 * n)),
            "this is the chi-squared approximation (corrected for continuity); wanted is the exact sum.": (
                math.erfc(max(0, gap - 1) / math.sqrt(2 * n))
            ),
            "the sum goes up to min(b, c), that included.": 2 * _tail(min(b, c) - 1, b + c),
            "this is the chance of exactly this split; wanted is that of this one and of all less even ones.": (
                math.comb(b + c, b) / 2 ** (b + c)
            ),
            "this is twice the chance of exactly this split; the less even ones belong to the sum as well.": (
                2 * math.comb(b + c, b) / 2 ** (b + c)
            ),
            "b and c are not all that each gets right: digits that both get right say nothing.": (_two_sided(*right)),
            "b and c are not all that each gets wrong: digits that both get wrong say nothing.": (
                _two_sided(*(digits - count for count in right))
            ),
            "the sum goes up to the smaller of b and c, not to the larger.": 2 * _tail(max(b, c), b + c),
            "a p of 1 says that nothing speaks for either. Does the sum go up to the smaller of b and c, and does a "
            "digit count only if one of the two alone is right?": 1.0,
            "this is 1 - p.": 1 - wanted,
            "each of the 2**n ways to toss is equally likely: divide the sum by 2**n.": (
                2 * _tail(min(b, c), b + c) * 2 ** (b + c)
            ),
            "this compares two accuracies as if each had its own digits; here both saw the same ones.": _unpaired(
                *right, digits
            ),
        }
        if got == 0 and b + c:
            raise NotYet(f"{case}: a p of 0. {WHOLE_TENSORS}")
        if b == c and got > 1:
            raise NotYet(f"{case}: a probability of {got:.4g}. Where b = c the middle counts twice; cut it off at 1.")
        recognise(got, wanted, slips, what=case, tolerance=1e-3)
        if not 0 <= got <= 1:
            raise NotYet(f"{case}: {got:.4g} is no probability, which lies between 0 and 1.")
        # a logarithm of factorials in 32 bits is good to three digits
        close(got, wanted, what=f"the p-value for {case}", tolerance=1e-3)
    return "no distribution table, only coin tosses; and it used that both read the same digits."


def _answers(labels, right, generator):
    wrong = torch.rand(len(labels), generator=generator) >= right
    return torch.where(wrong, (labels + torch.randint(1, 10, labels.shape, generator=generator)) % 10, labels)


def _two_sided(b, c):
    return min(1.0, 2 * _tail(min(b, c), b + c))


def _unpaired(one, other, digits):
    """The p-value of the z-test for two shares of different digits."""
    share = (one + other) / (2 * digits)
    return math.erfc(abs(one - other) / digits / math.sqrt(2 * share * (1 - share) / digits) / math.sqrt(2))


def _tail(most, tosses):
    return sum(math.comb(tosses, k) for k in range(most + 1)) / 2**tosses
