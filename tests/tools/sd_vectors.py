"""Vectors for base/num/sd59x18: arguments and correctly rounded results, from Python's decimal module at 90 digits.

    sd_vectors.py > tests/vectors/sd59x18.txt        lines: function x y result ("range" outside the domain)
"""
import decimal
import math
import random
from decimal import Decimal

decimal.getcontext().prec = 90
decimal.getcontext().Emax = 10**6
ONE = 10**18
LIMIT = 2**255


def half_up(value: Decimal) -> int:
    return int((value * ONE + Decimal("0.5")).to_integral_value(decimal.ROUND_FLOOR))


def exact_ratio(n: int, d: int) -> int:
    return (2 * n + d) // (2 * d) if d > 0 else exact_ratio(-n, -d)


def exp(x):
    return Decimal(x).scaleb(-18).exp()


def evaluate(name, x, y):
    r = Decimal(x).scaleb(-18)
    ln2 = Decimal(2).ln()
    if name == "mul":
        return exact_ratio(x * y, ONE)
    if name == "div":
        return None if y == 0 else exact_ratio(x * ONE, y)
    if name == "sqrt":
        if x < 0 or x >= 2**195:
            return None
        return math.isqrt(x * ONE)
    if name == "exp":
        return None if x >= 136 * ONE else half_up(exp(x)) if x > -42 * ONE else 0
    if name == "exp2":
        return None if x >= 196 * ONE else half_up((r * ln2).exp()) if x > -61 * ONE else 0
    if name == "ln":
        return None if x <= 0 else half_up(r.ln())
    if name == "log2":
        return None if x <= 0 else half_up(r.ln() / ln2)
    if name == "pow":
        if y == 0:
            return ONE
        if x == 0 and y > 0:
            return 0
        if x <= 0 or abs(y) >= 2**127:
            return None
        e = r.ln() / ln2 * Decimal(y).scaleb(-18)
        return None if e >= 196 else 0 if e < -70 else half_up((e * ln2).exp())
    if name == "sigmoid":
        return half_up(1 / (1 + (-r).exp())) if abs(r) < 100 else ONE if r > 0 else 0
    if name == "tanh":
        if abs(r) > 100:
            return ONE if r > 0 else -ONE
        e = (-2 * abs(r)).exp()
        value = half_up((1 - e) / (1 + e))
        return value if r >= 0 else -value
    raise ValueError(name)


def main():
    rng = random.Random(5)
    edges = [0, 1, -1, 2, ONE - 1, ONE, ONE + 1, -ONE, ONE // 2, -ONE // 2, 3 * ONE, -7 * ONE, 41 * ONE, -41 * ONE, 42 * ONE,
             -42 * ONE, 135 * ONE, 135305999368893231589, 136 * ONE, 195 * ONE, 196 * ONE, 2**127, 2**195 - 1, 2**195,
             LIMIT - 1, -LIMIT]
    unary = ["sqrt", "exp", "exp2", "ln", "log2", "sigmoid", "tanh"]
    for name in unary:
        points = edges + [rng.randint(-10, 10) * ONE + rng.randint(-ONE, ONE) for _ in range(25)]
        points += [rng.randint(0, 2 ** rng.randint(1, 255) - 1) for _ in range(25)]
        for x in points:
            show(name, x, 0)
    for name in ("mul", "div", "pow"):
        for _ in range(90):
            x = rng.choice(edges + [rng.randint(-(2 ** rng.randint(2, 254)), 2 ** rng.randint(2, 254)) for _ in range(30)])
            y = rng.choice(edges + [rng.randint(-(2 ** rng.randint(2, 254)), 2 ** rng.randint(2, 254)) for _ in range(30)])
            if name == "pow" and rng.random() < 0.7:
                x, y = rng.randint(1, 50 * ONE), rng.randint(-20 * ONE, 20 * ONE)
            show(name, x, y)


def show(name, x, y):
    value = evaluate(name, x, y)
    if value is not None and not -LIMIT <= value < LIMIT:
        value = None
    print(name, x, y, "range" if value is None else value)


main()
