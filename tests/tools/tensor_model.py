#!/usr/bin/env python3
"""An independent model of the inference engine: every operator in plain Python integers, and a writer of model files.

Written from docs/spec/numerics.md and docs/spec/model-format.md alone, so that agreement with the C reference means something. It
makes cases, each a model file of one operator (or a small chain), inputs and the outputs that the engine must give:

    tests/tools/tensor_model.py --seed 1 --cases 200 > cases.txt

    case NAME
    model HEX          the .sbm file
    input HEX          raw little-endian elements, one line an input
    output HEX         likewise
    refuse ERROR       instead of inputs and outputs: loading must fail with this error code

    real DTYPE ROUNDING ZP MULT SHIFT LO HI WORD RAW BACK      an SD59x18 word (hex), its raw element, and that element's word

    tests/tools/tensor_model.py --corpus tests/fuzz/corpus/model        seeds for the fuzzer: one model file an operator

Needs the Python 3 standard library only.
"""
import argparse
import itertools
import math
import random
import struct

I8, U8, I16, U16, I32, I64, BOOL = range(1, 8)
BYTES = {I8: 1, U8: 1, I16: 2, U16: 2, I32: 4, I64: 8, BOOL: 1}
CODES = {I8: "b", U8: "B", I16: "h", U16: "H", I32: "i", I64: "q", BOOL: "B"}
RANGE = {I8: (-128, 127), U8: (0, 255), I16: (-2**15, 2**15 - 1), U16: (0, 2**16 - 1), I32: (-2**31, 2**31 - 1),
         I64: (-2**63, 2**63 - 1), BOOL: (0, 1)}
COMPUTED, INPUT, CONST = range(3)
OPS = {name: i + 1 for i, name in enumerate(
    "GEMM CONV2D GEMM_FX CONV2D_FX ADD MUL MAX_POOL AVG_POOL TABLE INTERPOLATE CLAMP RESCALE SOFTMAX ARG_MAX SIGMOID TANH EXP RESHAPE "
    "TRANSPOSE CONCAT PAD GATHER TREE_ENSEMBLE".split())}
OPS.update({name: i + 40 for i, name in enumerate(
    "VIEW TAKE TAKE_ALONG GATHER_ND SCATTER SCATTER_ND ROW_UPDATE RESAMPLE".split())})
OPS.update(INTERPOLATE_FX=56, LN=57, SQRT=58, DIV=59, LOG_SUM_EXP=60, MASKED_SOFTMAX=61, NORM=62, BATCH_MATMUL=72)
OPS.update({name: i + 24 for i, name in enumerate(
    "COMBINE COMPARE WHERE MAP WRAP REDUCE CUM_SUM TOP_K".split())})


def count_of(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def pack(dtype, values):
    return struct.pack("<%d%s" % (len(values), CODES[dtype]), *values)


# ---- arithmetic, numerics 3 ----

def round_shr(v, s):
    return v if s == 0 else (v + (1 << (s - 1))) >> s


def clamp(v, lo, hi):
    return min(max(v, lo), hi)


def round_div(a, b):
    return (2 * a + b) // (2 * b)


# ---- functions, numerics 9 ----

EXP2 = (2147483648, -1488515590, 515789246, -118765909, 19784458, -2034029)


def exp2_neg(f):
    p = EXP2[5]
    for c in EXP2[4::-1]:
        p = c + ((p * f) >> 31)
    return p


def exp_neg(a):
    z = (a * 3098164009) >> 31
    n = z >> 26
    return 0 if n >= 32 else (exp2_neg((z & (2**26 - 1)) << 5) + ((1 << n) >> 1)) >> n


def exp_any(a, negative):
    if negative:
        return exp_neg(a)
    z = (a * 3098164009) >> 31
    n = -(-z // 2**26)
    return 2**62 if n > 31 else exp2_neg(((n << 26) - z) << 5) << n


def sigmoid(a, negative):
    e = exp_neg(a)
    return min((e << 31 if negative else 2**62) // (2**31 + e), 2**31 - 1)


def tanh(a, negative):
    e = exp_neg(min(2 * a, 2**32 - 1))
    q = min(((2**31 - e) << 31) // (2**31 + e), 2**31 - 1)
    return -q if negative else q


def to_q26(distance, mult, shift):
    return min(round_shr(distance * mult, shift), 2**32 - 1)


# ---- tensors ----

class Tensor:
    """A description with its values; values of a computed tensor are set by run()."""

    def __init__(self, kind, dtype, shape, values=None, zp=0, lo=None, hi=None, mult=1, shift=0, rounding=0):
        self.kind, self.dtype, self.shape, self.values, self.zp = kind, dtype, tuple(shape), values, zp
        self.mult, self.shift, self.rounding = mult, shift, rounding
        if kind == CONST:
            lo, hi = min(values), max(values)
        self.lo = RANGE[dtype][0] if lo is None else lo
        self.hi = RANGE[dtype][1] if hi is None else hi

    def at(self, index):
        i = 0
        for d, k in zip(self.shape, index):
            i = i * d + k
        return self.values[i]

    def real(self, index):
        return self.at(index) - self.zp

    def finish(self, v):
        return clamp(v + self.zp, self.lo, self.hi)


def indices(shape):
    return itertools.product(*(range(d) for d in shape))


# ---- operators: each gives y.values from inputs and attributes ----

def op_gemm(x, w, bias, mult, shift, y, attrs):
    n, k = w.shape
    for row in range(count_of(x.shape) // k):
        for o in range(n):
            acc = bias.values[o] + sum((x.values[row * k + i] - x.zp) * w.values[o * k + i] for i in range(k))
            assert -2**31 <= acc < 2**31
            yield y.finish(round_shr(acc * mult.values[o], shift.values[o]))


def op_gemm_fx(x, w, bias, y, attrs):
    n, k = w.shape
    for row in range(count_of(x.shape) // k):
        for o in range(n):
            acc = bias.values[o] + sum(x.values[row * k + i] * w.values[o * k + i] for i in range(k))
            yield y.finish(round_shr(acc, attrs[0]))


def conv_sums(x, w, bias, y, attrs):
    sh, sw, pt, pl, _, _, dh, dw, groups = attrs[:9]
    _, h, wd, _ = x.shape
    o_count, kh, kw, cg = w.shape
    for b, oy, ox, o in indices(y.shape):
        first = o // (o_count // groups) * cg
        acc = bias.values[o]
        for ky, kx, c in indices((kh, kw, cg)):
            iy, ix = oy * sh + ky * dh - pt, ox * sw + kx * dw - pl
            if 0 <= iy < h and 0 <= ix < wd:
                acc += x.real((b, iy, ix, first + c)) * w.at((o, ky, kx, c))
        yield o, acc


def op_conv2d(x, w, bias, mult, shift, y, attrs):
    for o, acc in conv_sums(x, w, bias, y, attrs):
        yield y.finish(round_shr(acc * mult.values[o], shift.values[o]))


def op_conv2d_fx(x, w, bias, y, attrs):
    for _, acc in conv_sums(x, w, bias, y, attrs):
        yield y.finish(round_shr(acc, attrs[9]))


def broadcast_index(index, shape):
    tail = index[len(index) - len(shape):]
    return tuple(0 if d == 1 else i for i, d in zip(tail, shape))


def op_add(a, b, y, attrs):
    for i in indices(y.shape):
        v = a.real(broadcast_index(i, a.shape)) * attrs[0] + b.real(broadcast_index(i, b.shape)) * attrs[1]
        yield y.finish(round_shr(v, attrs[2]))


def op_mul(a, b, y, attrs):
    for i in indices(y.shape):
        v = a.real(broadcast_index(i, a.shape)) * b.real(broadcast_index(i, b.shape)) * attrs[0]
        yield y.finish(round_shr(v, attrs[1]))


def windows(x, y, attrs):
    kh, kw, sh, sw, pt, pl = attrs[:6]
    for b, oy, ox, c in indices(y.shape):
        rows = [r for r in range(oy * sh - pt, oy * sh - pt + kh) if 0 <= r < x.shape[1]]
        cols = [k for k in range(ox * sw - pl, ox * sw - pl + kw) if 0 <= k < x.shape[2]]
        yield [x.at((b, r, k, c)) for r in rows for k in cols]


def op_max_pool(x, y, attrs):
    for w in windows(x, y, attrs):
        yield clamp(max(w), y.lo, y.hi)


def op_avg_pool(x, y, attrs):
    include, mult, shift = attrs[8:]
    for w in windows(x, y, attrs):
        n = attrs[0] * attrs[1] if include else len(w)
        yield y.finish(round_div(sum(v - x.zp for v in w) * mult, n << shift))


def op_table(x, table, y, attrs):
    for v in x.values:
        yield clamp(table.values[v - RANGE[x.dtype][0]], y.lo, y.hi)


def op_interpolate(x, table, y, attrs):
    for v in x.values:
        i, w = divmod(v + 32768, 128)
        yield clamp((table.values[i] * (128 - w) + table.values[i + 1] * w + 64) >> 7, y.lo, y.hi)


def op_clamp(x, y, attrs):
    return (clamp(v, y.lo, y.hi) for v in x.values)


def op_rescale(x, y, attrs):
    return (y.finish(round_shr((v - x.zp) * attrs[0], attrs[1])) for v in x.values)


def op_softmax(x, y, attrs):
    n = x.shape[-1]
    for r in range(0, len(x.values), n):
        row = x.values[r:r + n]
        e = [exp_neg(to_q26(max(row) - v, attrs[0], attrs[1])) for v in row]
        for v in e:
            yield clamp(min((v * 65536 + sum(e) // 2) // sum(e), 65535), y.lo, y.hi)


def lines(x, axis):
    """The places of x's shape without the axis, each with the elements along it."""
    for i in indices(x.shape[:axis] + x.shape[axis + 1:]):
        yield i, [x.at(i[:axis] + (k,) + i[axis:]) for k in range(x.shape[axis])]


def op_arg_max(x, y, attrs):
    axis, last, smallest = attrs
    for _, row in lines(x, axis):
        best = min(row) if smallest else max(row)
        yield len(row) - 1 - row[::-1].index(best) if last else row.index(best)


def op_function(fn):
    def op(x, y, attrs):
        for v in x.values:
            v -= x.zp
            yield y.finish(round_shr(fn(to_q26(abs(v), attrs[0], attrs[1]), v < 0), attrs[2]))
    return op


def op_reshape(x, y, attrs):
    return x.values


def op_transpose(x, y, attrs):
    for i in indices(y.shape):
        place = [0] * len(i)
        for k, p in enumerate(attrs[:len(i)]):
            place[p] = i[k]
        yield x.at(place)


def op_concat(*args):
    *xs, y, attrs = args
    axis = attrs[0]
    for i in indices(y.shape):
        k = i[axis]
        for x in xs:
            if k < x.shape[axis]:
                yield x.at(i[:axis] + (k,) + i[axis + 1:])
                break
            k -= x.shape[axis]


def op_pad(x, y, attrs):
    for i in indices(y.shape):
        place = [k - b for k, b in zip(i, attrs[:6])]
        inside = all(0 <= k < d for k, d in zip(place, x.shape))
        yield x.at(place) if inside else attrs[12]


def op_gather(x, table, y, attrs):
    row = count_of(table.shape[1:])
    for v in x.values:
        yield from table.values[v * row:(v + 1) * row]


def op_view(x, y, attrs):
    for i in indices(y.shape):
        yield x.values[attrs[0] + sum(k * s for k, s in zip(i, attrs[1:]))]


def op_take(x, index, y, attrs):
    axis, rank = attrs[0], len(index.shape)
    for i in indices(y.shape):
        k = index.at(i[axis:axis + rank])
        yield x.at(i[:axis] + (k + (x.shape[axis] if k < 0 else 0),) + i[axis + rank:])


def op_take_along(x, index, y, attrs):
    axis = attrs[0]
    for i in indices(y.shape):
        k = index.at(i)
        yield x.at(i[:axis] + (k + (x.shape[axis] if k < 0 else 0),) + i[axis + 1:])


def place_of(x, index, first, batch=0):
    """The coordinates that the list of indices at `first` names, after the batch dimensions."""
    ks = [index.at(first + (k,)) for k in range(index.shape[-1])]
    return first[:batch] + tuple(k + (d if k < 0 else 0) for k, d in zip(ks, x.shape[batch:]))


def op_gather_nd(x, index, y, attrs):
    lists = len(index.shape) - 1
    for i in indices(y.shape):
        yield x.at(place_of(x, index, i[:lists], attrs[0]) + i[lists:])


def combine(y, old, update, mode, shift):
    if mode == 0:
        return update
    a, b = old - y.zp, update - y.zp
    return y.finish([None, a + b, round_shr(a * b, shift), max(a, b), min(a, b)][mode])


def scatter(x, places, y, mode, shift):
    out = dict(zip(indices(x.shape), x.values))
    for place, update in places:
        out[place] = combine(y, out[place], update, mode, shift)
    return [out[i] for i in indices(x.shape)]


def op_scatter(x, index, updates, y, attrs):
    axis, mode, shift = attrs
    def places():
        for i in indices(index.shape):
            k = index.at(i)
            yield i[:axis] + (k + (x.shape[axis] if k < 0 else 0),) + i[axis + 1:], updates.at(i)
    return scatter(x, places(), y, mode, shift)


def op_scatter_nd(x, index, updates, y, attrs):
    lists = len(index.shape) - 1
    places = ((place_of(x, index, i[:lists]) + i[lists:], updates.at(i)) for i in indices(updates.shape))
    return scatter(x, places, y, *attrs)


def op_row_update(x, index, updates, y, attrs):
    axis, size = attrs[0], x.shape[attrs[0]]
    places = ((i[:axis] + ((index.values[i[0]] + i[axis]) % size,) + i[axis + 1:], updates.at(i)) for i in indices(updates.shape))
    return scatter(x, places, y, 0, 0)


def op_resample(x, index, weight, y, attrs):
    axis, shift = attrs
    for i in indices(y.shape):
        acc = 0
        for t in range(weight.shape[1]):
            acc += weight.at((i[axis], t)) * x.real(i[:axis] + (index.at((i[axis], t)),) + i[axis + 1:])
        yield y.finish(round_shr(acc, shift))


def op_tree(x, roots, tree_class, feature, threshold, child, leaf, base, y, attrs):
    features, width = x.shape[1], leaf.shape[1]
    for b in range(x.shape[0]):
        sums = list(base.values)
        for root, first in zip(roots.values, tree_class.values):
            node = root
            while feature.values[node] >= 0:
                yes = x.values[b * features + feature.values[node]] <= threshold.values[node]
                node = child.values[2 * node + (0 if yes else 1)]
            row = child.values[2 * node]
            for j in range(width):
                sums[first + j] += leaf.values[row * width + j]
        yield from (clamp(s, y.lo, y.hi) for s in sums)


def op_interpolate_fx(x, table, y, attrs):
    first, step, slope_lo, slope_hi, slope_shift, out_shift = attrs
    last = (table.shape[0] << step) - 1
    for v in x.values:
        v -= x.zp + first
        d = clamp(v, 0, last)
        c = table.values[4 * (d >> step):][:4]
        t = (d % (1 << step) << 24) >> step
        p = c[0] + ((c[1] + ((c[2] + (c[3] * t >> 24)) * t >> 24)) * t >> 24)
        p += (v - d) * (slope_lo if v < d else slope_hi) >> slope_shift
        yield y.finish(round_shr(p, out_shift))


def ln(v):
    """ln v in Q31."""
    e = v.bit_length() - 1
    c, one = (v << 31) >> e, 2**31
    if c > 3037000500:
        one, e = 2 * one, e + 1
    t = ((c - one) << 31) // (c + one)
    square, total = t * t >> 31, 238609294
    for k in (306783378, 429496730, 715827883, 2147483648):
        total = k + (total * square >> 31)
    return e * 1488522236 + 2 * (t * total >> 31)


def op_ln(x, y, attrs):
    return (y.finish(round_shr(ln(max(v - x.zp, 1)) * attrs[0] + attrs[1], attrs[2])) for v in x.values)


def op_sqrt(x, y, attrs):
    return (y.finish(math.isqrt(round_shr(max(v - x.zp, 0) * attrs[0], attrs[1]))) for v in x.values)


def op_div(a, b, y, attrs):
    mult, shift, least, rounding = attrs
    for i in indices(y.shape):
        n, d = a.real(broadcast_index(i, a.shape)) * mult, b.real(broadcast_index(i, b.shape))
        n, d = (-n if d < 0 else n), max(abs(d), least) << shift
        q = [round_div(n, d), abs(n) // d * (-1 if n < 0 else 1), n // d][rounding]
        yield y.finish(q)


def op_log_sum_exp(x, y, attrs):
    mult, shift, mult_max, mult_ln, out_shift = attrs
    n = x.shape[-1]
    for r in range(0, len(x.values), n):
        row = x.values[r:r + n]
        total = sum(exp_neg(to_q26(max(row) - v, mult, shift)) for v in row)
        part = max(ln(total) - 31 * 1488522236, 0)
        yield y.finish(round_shr((max(row) - x.zp) * mult_max + part * mult_ln, out_shift))


def op_masked_softmax(*args):
    x, *masks, y, attrs = args
    mult, shift, causal, offset = attrs
    for start in indices(x.shape[:-1]):
        row = [(x.at(start + (j,)), not causal or j <= start[-1] + offset) for j in range(x.shape[-1])]
        for mask in masks:
            row = [(v, on and mask.at(broadcast_index(start + (j,), mask.shape))) for j, (v, on) in enumerate(row)]
        top = max((v for v, on in row if on), default=0)
        e = [exp_neg(to_q26(top - v, mult, shift)) if on else 0 for v, on in row]
        for v in e:
            yield clamp(min((v * 65536 + sum(e) // 2) // max(sum(e), 1), 65535), y.lo, y.hi)


def op_norm(x, w, b, y, attrs):
    centre, eps, eps_shift, shift = attrs
    n = x.shape[-1]
    g = 30 - ((n - 1).bit_length() + 1) // 2
    for r in range(0, len(x.values), n):
        row = [v - x.zp for v in x.values[r:r + n]]
        s = sum(row) if centre else 0
        v = max(n * sum(k * k for k in row) - s * s + (eps << eps_shift), 1)
        half = (v.bit_length() + 1) // 2
        inverse = 2**61 // math.isqrt(v << 62 >> 2 * half)
        for i, k in enumerate(row):
            d, up = n * k - s, g - half
            u = d << up if up >= 0 else round_shr(d, -up)
            yield y.finish(round_shr(round_shr(u * inverse, 30) * w.values[i] + b.values[i], shift))


def op_batch_matmul(a, b, y, attrs):
    transposed, pre, mult, shift = attrs
    k_count = a.shape[-1]
    for i in indices(y.shape):
        total = 0
        for k in range(k_count):
            at = broadcast_index(i[:-2], a.shape[:-2]) if len(a.shape) > 2 else ()
            bt = broadcast_index(i[:-2], b.shape[:-2]) if len(b.shape) > 2 else ()
            total += a.real(at + (i[-2], k)) * b.real(bt + ((i[-1], k) if transposed else (k, i[-1])))
        yield y.finish(round_shr(round_shr(total, pre) * mult, shift))


def wrapped(v, dtype):
    lo, hi = RANGE[dtype]
    return (v - lo) % (hi - lo + 1) + lo


def cut_quotient(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def shifted(a, b, dtype, left):
    bits = 8 * BYTES[dtype]
    a, b = a % 2**bits, b % 2**bits
    return 0 if b > 63 else a << b if left else a >> b


COMBINE = [
    lambda a, b, t: a + b, lambda a, b, t: a - b, lambda a, b, t: a * b,
    lambda a, b, t: cut_quotient(a, b) if b else 0, lambda a, b, t: a % b if b else 0,
    lambda a, b, t: a - b * cut_quotient(a, b) if b else 0,
    lambda a, b, t: a & b, lambda a, b, t: a | b, lambda a, b, t: a ^ b,
    lambda a, b, t: shifted(a, b, t, True), lambda a, b, t: shifted(a, b, t, False),
    lambda a, b, t: max(a, b), lambda a, b, t: min(a, b)]
COMPARE = [lambda a, b: a == b, lambda a, b: a != b, lambda a, b: a < b, lambda a, b: a <= b]


def op_combine(a, b, y, attrs):
    for i in indices(y.shape):
        yield wrapped(COMBINE[attrs[0]](a.at(broadcast_index(i, a.shape)), b.at(broadcast_index(i, b.shape)), y.dtype), y.dtype)


def op_compare(a, b, y, attrs):
    for i in indices(y.shape):
        yield int(COMPARE[attrs[0]](a.at(broadcast_index(i, a.shape)), b.at(broadcast_index(i, b.shape))))


def op_where(flag, a, b, y, attrs):
    for i in indices(y.shape):
        pick = a if flag.at(broadcast_index(i, flag.shape)) else b
        yield pick.at(broadcast_index(i, pick.shape))


def half_even(v, s):
    q, r = divmod(v, 1 << s)
    return q + (2 * r > 1 << s or (2 * r == 1 << s and q % 2))


MAP = [lambda v, s: abs(v), lambda v, s: -v, lambda v, s: (v > 0) - (v < 0), lambda v, s: v >> s, lambda v, s: -(-v >> s),
       half_even, lambda v, s: v >> s if v >= 0 else -(-v >> s)]


def op_map(x, y, attrs):
    return (y.finish(MAP[attrs[0]](v - x.zp, attrs[1])) for v in x.values)


def op_wrap(x, y, attrs):
    return (wrapped(v, y.dtype) for v in x.values)


def op_reduce(x, y, attrs):
    kind, axis, pre, mult, divisor, shift = attrs
    for _, row in lines(x, axis):
        v = [e - x.zp for e in row]
        if kind >= 3:
            yield y.finish(max(v) if kind == 3 else min(v))
            continue
        total = sum([v, [abs(e) for e in v], [round_shr(e, pre)**2 for e in v]][kind])
        yield y.finish(round_div(total * mult, divisor << shift))


def op_cum_sum(x, y, attrs):
    axis, exclusive, reverse = attrs
    sums = {}
    for i, row in lines(x, axis):
        v = [e - x.zp for e in row]
        for k in range(len(v)):
            part = v[k + exclusive:] if reverse else v[:k + 1 - exclusive]
            sums[i[:axis] + (k,) + i[axis:]] = sum(part)
    return (y.finish(sums[i]) for i in indices(x.shape))


def op_top_k(x, y, attrs):
    k, smallest, want_indices = attrs
    for _, row in lines(x, len(x.shape) - 1):
        order = sorted(range(len(row)), key=lambda i: (row[i] if smallest else -row[i], i))
        yield from (i if want_indices else row[i] for i in order[:k])


RUN = {"GEMM": op_gemm, "CONV2D": op_conv2d, "GEMM_FX": op_gemm_fx, "CONV2D_FX": op_conv2d_fx, "ADD": op_add, "MUL": op_mul,
       "MAX_POOL": op_max_pool, "AVG_POOL": op_avg_pool, "TABLE": op_table, "INTERPOLATE": op_interpolate, "CLAMP": op_clamp,
       "RESCALE": op_rescale, "SOFTMAX": op_softmax, "ARG_MAX": op_arg_max, "SIGMOID": op_function(sigmoid),
       "TANH": op_function(tanh), "EXP": op_function(exp_any), "RESHAPE": op_reshape, "TRANSPOSE": op_transpose,
       "CONCAT": op_concat, "PAD": op_pad, "GATHER": op_gather, "TREE_ENSEMBLE": op_tree, "VIEW": op_view, "TAKE": op_take,
       "TAKE_ALONG": op_take_along, "GATHER_ND": op_gather_nd, "SCATTER": op_scatter, "SCATTER_ND": op_scatter_nd,
       "ROW_UPDATE": op_row_update, "RESAMPLE": op_resample,
       "COMBINE": op_combine, "COMPARE": op_compare, "WHERE": op_where, "MAP": op_map, "WRAP": op_wrap, "REDUCE": op_reduce,
       "CUM_SUM": op_cum_sum, "TOP_K": op_top_k}


RUN.update(INTERPOLATE_FX=op_interpolate_fx, LN=op_ln, SQRT=op_sqrt, DIV=op_div, LOG_SUM_EXP=op_log_sum_exp,
           MASKED_SOFTMAX=op_masked_softmax, NORM=op_norm, BATCH_MATMUL=op_batch_matmul)


# ---- model files, model-format.md ----

class Model:
    def __init__(self, name):
        self.name, self.tensors, self.nodes, self.outputs = name, [], [], []

    def add(self, tensor):
        self.tensors.append(tensor)
        return tensor

    def node(self, op, inputs, y, attrs=()):
        self.nodes.append((op, inputs, y, list(attrs)))
        y.values = list(RUN[op](*inputs, y, list(attrs)))
        return y

    def encode(self):
        place = {id(t): i for i, t in enumerate(self.tensors)}
        tensors = b""
        for t in self.tensors:
            dims = list(t.shape) + [0] * (6 - len(t.shape))
            tensors += struct.pack("<BBBBi6IIBxxxqq", t.kind, t.dtype, len(t.shape), t.rounding, t.zp, *dims, t.mult, t.shift, t.lo, t.hi)
        outputs = b"".join(struct.pack("<I", place[id(t)]) for t in self.outputs)
        outputs += b"\0" * (-(64 + len(tensors) + len(outputs)) % 8)
        nodes = b""
        for op, inputs, y, attrs in self.nodes:
            n = struct.pack("<HHBBHI", OPS[op], 1, len(inputs), len(attrs), 0, place[id(y)])
            n += b"".join(struct.pack("<I", place[id(t)]) for t in inputs)
            nodes += n + b"\0" * (-len(n) % 8) + struct.pack("<%dq" % len(attrs), *attrs)
        names = [self.name] + ["t%d" % i for i in range(len(self.tensors))] + ["n%d" % i for i in range(len(self.nodes))]
        strings = b"".join(bytes([len(s)]) + s.encode() for s in names)
        head_bytes = 64 + len(tensors) + len(outputs) + len(nodes) + len(strings)
        data = b""
        for t in self.tensors:
            if t.kind == CONST:
                raw = pack(t.dtype, t.values)
                data += raw + b"\0" * (-len(raw) % 64)
        padding = b"\0" * (-head_bytes % 64)
        total = head_bytes + len(padding) + len(data)
        header = b"\x89SBM\r\n\x1a\n" + struct.pack("<8I", 1, total, len(self.tensors), len(self.outputs), len(self.nodes), len(nodes),
                                                     len(strings), len(data)) + b"\0" * 24
        return header + tensors + outputs + nodes + strings + padding + data

    def write(self, refuse=None):
        print("case", self.name)
        print("model", self.encode().hex())
        if refuse:
            print("refuse", refuse)
            return
        for t in self.tensors:
            if t.kind == INPUT:
                print("input", pack(t.dtype, t.values).hex())
        for t in self.outputs:
            print("output", pack(t.dtype, t.values).hex())


# ---- random cases ----

class Maker:
    def __init__(self, rng, name):
        self.rng, self.m = rng, Model(name)

    def dim(self, top=5):
        return self.rng.choice([1, 1, 2, 3, top, self.rng.randint(1, top)])

    def shape(self, rank, top=5):
        return [self.dim(top) for _ in range(rank)]

    def values(self, lo, hi, n):
        """At the edges, near zero, of every magnitude, or uniform."""
        style = self.rng.randrange(5)
        if style == 0:
            return [self.rng.choice([lo, hi]) for _ in range(n)]
        if style == 1:
            return [clamp(self.rng.randint(-3, 3), lo, hi) for _ in range(n)]
        if style == 2:
            top = max(abs(lo), hi).bit_length()
            return [clamp(self.rng.choice([-1, 1]) * self.rng.randrange(2**self.rng.randint(0, top)), lo, hi) for _ in range(n)]
        return [self.rng.randint(lo, hi) for _ in range(n)]

    def zero_point(self, dtype):
        lo, hi = RANGE[dtype]
        return self.rng.choice([lo, hi, 0, self.rng.randint(lo, hi)]) if dtype in (I8, U8) else 0

    def input(self, dtype, shape, lo=None, hi=None, zp=None):
        zp = self.zero_point(dtype) if zp is None else zp
        t = Tensor(INPUT, dtype, shape, zp=zp, lo=lo, hi=hi)
        t.values = self.values(t.lo, t.hi, count_of(shape))
        return self.m.add(t)

    def const(self, dtype, shape, values):
        return self.m.add(Tensor(CONST, dtype, shape, values))

    def output(self, dtype, shape, op, inputs, attrs=(), zp=None, clamped=True):
        zp = self.zero_point(dtype) if zp is None else zp
        lo, hi = RANGE[dtype]
        if clamped and self.rng.randrange(3) == 0:
            lo, hi = sorted([self.rng.randint(lo, hi), self.rng.randint(lo, hi)])
        y = self.m.add(Tensor(COMPUTED, dtype, shape, zp=zp, lo=lo, hi=hi))
        self.m.node(op, inputs, y, attrs)
        self.m.outputs.append(y)
        return y

    def linear_constants(self, n, k, w_shape):
        r = self.rng
        acc_bits = 22
        return [self.const(I8, w_shape, self.values(-127, 127, n * k)),
                self.const(I32, [n], [r.randint(-2**acc_bits, 2**acc_bits) for _ in range(n)]),
                self.const(I32, [n], [r.choice([2**30, 2**31 - 1, r.randint(2**30, 2**31 - 1)]) for _ in range(n)]),
                self.const(U8, [n], [r.choice([1, 62, r.randint(30, 45)]) for _ in range(n)])]

    def fx_constants(self, n, k, w_shape):
        r = self.rng
        return [self.const(I32, w_shape, self.values(-2**24, 2**24, n * k)),
                self.const(I64, [n], [r.randint(-2**50, 2**50) for _ in range(n)])]

    def conv_geometry(self):
        r = self.rng
        while True:
            kh, kw, sh, sw, dh, dw = (r.randint(1, 3) for _ in range(6))
            eh, ew = (kh - 1) * dh + 1, (kw - 1) * dw + 1
            pt, pb = r.randrange(eh), r.randrange(eh)
            pl, pr = r.randrange(ew), r.randrange(ew)
            h, w = self.dim(7), self.dim(7)
            if h + pt + pb >= eh and w + pl + pr >= ew:
                out = ((h + pt + pb - eh) // sh + 1, (w + pl + pr - ew) // sw + 1)
                return (h, w), (kh, kw), [sh, sw, pt, pl, pb, pr, dh, dw], out

    def pool_geometry(self):
        while True:
            image, kernel, a, out = self.conv_geometry()
            if a[6] == a[7] == 1:
                return image, list(kernel) + a[:6], out


def case_gemm(k):
    r = k.rng
    n, depth = k.dim(20), k.dim(20)
    x = k.input(r.choice([I8, U8, I16]), k.shape(r.randrange(3)) + [depth])
    k.output(r.choice([I8, U8, I16, I32]), x.shape[:-1] + (n,), "GEMM", [x] + k.linear_constants(n, depth, [n, depth]))


def case_gemm_fx(k):
    r = k.rng
    n, depth = k.dim(9), k.dim(9)
    x = k.input(I32, k.shape(r.randrange(3)) + [depth], -2**30, 2**30)
    k.output(I32, x.shape[:-1] + (n,), "GEMM_FX", [x] + k.fx_constants(n, depth, [n, depth]), [r.choice([0, 16, r.randint(1, 62)])])


def conv_case(k, dtype, constants, op, out_dtypes, more):
    r = k.rng
    groups, cg, og = r.choice([1, 1, 2, 3]), r.choice([1, 2, 3]), r.choice([1, 2, 5])
    (h, w), (kh, kw), attrs, out = k.conv_geometry()
    b = r.choice([1, 1, 2])
    lo_hi = (-2**30, 2**30) if dtype == I32 else (None, None)
    x = k.input(dtype, [b, h, w, groups * cg], *lo_hi)
    o = groups * og
    cs = constants(o, kh * kw * cg, [o, kh, kw, cg])
    k.output(r.choice(out_dtypes), [b, out[0], out[1], o], op, [x] + cs, attrs + [groups] + more)


def case_conv2d(k):
    conv_case(k, k.rng.choice([I8, U8, I16]), k.linear_constants, "CONV2D", [I8, U8, I16, I32], [])


def case_conv2d_fx(k):
    conv_case(k, I32, k.fx_constants, "CONV2D_FX", [I32], [k.rng.choice([0, 16, k.rng.randint(1, 62)])])


def broadcast_shapes(k, count):
    """Shapes of `count` operands, and the one that they broadcast to."""
    r = k.rng
    full = k.shape(r.randint(0, 4), 6)
    shapes = []
    for _ in range(count):
        s = [d if r.randrange(3) else 1 for d in full]
        shapes.append(s[r.choice([0, 0, r.randint(0, len(s))]):])
    if r.randrange(3) == 0:
        shapes = [full] * count
    pad = [[1] * (len(full) - len(s)) + s for s in shapes]
    out = [max(dims) for dims in zip(*pad)]
    rank = max(len(s) for s in shapes)
    return shapes, out[len(out) - rank:]


def binary_inputs(k):
    r = k.rng
    shapes, out = broadcast_shapes(k, 2)
    types = [I8, U8, I16, U16, I32]
    return k.input(r.choice(types), shapes[0]), k.input(r.choice(types), shapes[1]), out


def case_add(k):
    r = k.rng
    a, b, out = binary_inputs(k)
    m = lambda: r.choice([1, -1, 2**30, -2**30, r.randint(-2**15, 2**15)])
    k.output(r.choice([I8, U8, I16, I32]), out, "ADD", [a, b], [m(), m(), r.choice([0, 62, r.randint(0, 30)])])


def case_mul(k):
    r = k.rng
    a, b, out = binary_inputs(k)
    wide = I32 in (a.dtype, b.dtype)
    mult = r.choice([1, -1]) if wide else r.choice([1, 2**29, -2**29, r.randint(-2**20, 2**20)])
    k.output(r.choice([I8, U8, I16, I32]), out, "MUL", [a, b], [mult, r.choice([0, 61, r.randint(0, 40)])])


def case_max_pool(k):
    (h, w), attrs, out = k.pool_geometry()
    b, c = k.dim(2), k.dim(4)
    x = k.input(k.rng.choice([I8, U8, I16, I32]), [b, h, w, c])
    k.output(x.dtype, [b, out[0], out[1], c], "MAX_POOL", [x], attrs, zp=x.zp)


def case_avg_pool(k):
    r = k.rng
    (h, w), attrs, out = k.pool_geometry()
    b, c = k.dim(2), k.dim(4)
    x = k.input(r.choice([I8, U8, I16, I32]), [b, h, w, c])
    mult, shift = (1, 0) if r.randrange(2) else (r.randint(1, 2**25), r.randint(0, 31))
    k.output(r.choice([I8, I16, I32]), [b, out[0], out[1], c], "AVG_POOL", [x], attrs + [r.randrange(2), mult, shift])


def case_table(k):
    r = k.rng
    x = k.input(r.choice([I8, U8]), k.shape(r.randrange(4)))
    dtype = r.choice([I8, U8, I16, U16, I32])
    table = k.const(dtype, [256], [r.randint(*RANGE[dtype]) for _ in range(256)])
    k.output(dtype, x.shape, "TABLE", [x, table])


def case_interpolate(k):
    x = k.input(I16, k.shape(k.rng.randrange(4)))
    table = k.const(I16, [513], [k.rng.randint(*RANGE[I16]) for _ in range(513)])
    k.output(I16, x.shape, "INTERPOLATE", [x, table])


def case_clamp(k):
    x = k.input(k.rng.choice(list(BYTES)), k.shape(k.rng.randrange(4)))
    k.output(x.dtype, x.shape, "CLAMP", [x], zp=x.zp)


def case_rescale(k):
    r = k.rng
    dtype = r.choice([I8, U8, I16, U16, I32, I64])
    limit = (-2**40, 2**40) if dtype == I64 else (None, None)
    x = k.input(dtype, k.shape(r.randrange(4)), *limit)
    mult = r.randint(1, 2**21) if dtype == I64 else r.choice([1, 2**30, r.randint(1, 2**30)])
    k.output(r.choice([I8, U8, I16, U16, I32, I64]), x.shape, "RESCALE", [x], [mult, r.choice([0, 61, r.randint(0, 40)])])


def q26_attrs(r, dtype):
    """Mostly arguments up to a few units, where the functions bend; now and then anything."""
    if r.randrange(4) == 0:
        return [r.choice([1, 2**26, 2**31 - 1, r.randint(1, 2**31 - 1)]), r.choice([0, 62, r.randint(0, 40)])]
    up = r.randint(25, 31) - 8 * BYTES[dtype]
    return [r.randint(2**up, 2**(up + 1)), 0] if up >= 0 else [r.randint(2**10, 2**11), 10 - up]


def case_softmax(k):
    x = k.input(k.rng.choice([I8, I16, I32]), k.shape(k.rng.randint(1, 3), 12))
    k.output(U16, x.shape, "SOFTMAX", [x], q26_attrs(k.rng, x.dtype))


def without(shape, axis):
    return list(shape[:axis]) + list(shape[axis + 1:])


def case_arg_max(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randint(1, 4), 6))
    axis = r.randrange(len(x.shape))
    k.output(I32, without(x.shape, axis), "ARG_MAX", [x], [axis, r.randrange(2), r.randrange(2)], clamped=False)


def case_function(k):
    r = k.rng
    x = k.input(r.choice([I8, I16, I32]), k.shape(r.randrange(3), 12) + [r.choice([1, 40])])
    k.output(r.choice([I16, I32]), x.shape, r.choice(["SIGMOID", "TANH", "EXP"]), [x], q26_attrs(r, x.dtype) + [r.choice([0, 15, 16, r.randint(0, 31)])])


def case_reshape(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randint(1, 4)))
    n = count_of(x.shape)
    k.output(x.dtype, r.choice([[n], [1, n], [n, 1], x.shape[::-1]]), "RESHAPE", [x], zp=x.zp, clamped=False)


def case_transpose(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randint(0, 6), 3))
    perm = list(range(len(x.shape)))
    r.shuffle(perm)
    k.output(x.dtype, [x.shape[p] for p in perm], "TRANSPOSE", [x], perm + [0] * (6 - len(perm)), zp=x.zp, clamped=False)


def case_concat(k):
    r = k.rng
    shape = k.shape(r.randint(1, 4))
    axis, dtype = r.randrange(len(shape)), r.choice(list(BYTES))
    zp = k.zero_point(dtype)
    xs = [k.input(dtype, shape[:axis] + [k.dim()] + shape[axis + 1:], zp=zp) for _ in range(r.randint(1, 4))]
    out = shape[:axis] + [sum(x.shape[axis] for x in xs)] + shape[axis + 1:]
    k.output(dtype, out, "CONCAT", xs, [axis], zp=zp, clamped=False)


def case_pad(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randrange(5), 3))
    before = [r.randrange(3) for _ in x.shape]
    after = [r.randrange(3) for _ in x.shape]
    fill = [0] * (6 - len(x.shape))
    out = [b + d + a for b, d, a in zip(before, x.shape, after)]
    k.output(x.dtype, out, "PAD", [x], before + fill + after + fill + [r.randint(*RANGE[x.dtype])], zp=x.zp, clamped=False)


def case_gather(k):
    r = k.rng
    table_shape = k.shape(r.randint(1, 3))
    dtype = r.choice(list(BYTES))
    table = k.const(dtype, table_shape, k.values(*RANGE[dtype], count_of(table_shape)))
    x = k.input(r.choice([U8, U16, I32]), k.shape(r.randrange(3)), 0, table_shape[0] - 1, zp=0)
    k.output(dtype, list(x.shape) + table_shape[1:], "GATHER", [x, table], zp=0, clamped=False)


def case_tree(k):
    r = k.rng
    rows, features, classes = k.dim(4), k.dim(5), k.dim(4)
    width = r.randint(1, classes)
    roots, tree_class, feature, threshold, child, leaf = [], [], [], [], [], []
    x = k.input(r.choice([I8, I16, I32, I64]), [rows, features], zp=0)
    for _ in range(r.randint(1, 6)):
        root = len(feature)
        roots.append(root)
        tree_class.append(r.randint(0, classes - width))
        waiting = [None]  # slots of `child` that the next nodes fill, breadth first
        while waiting:
            slot = waiting.pop(0)
            node = len(feature)
            if slot is not None:
                child[slot] = node
            if node - root < r.randrange(12):
                feature.append(r.randrange(features))
                threshold.append(r.choice([r.choice(x.values), r.randint(x.lo, x.hi)]))
                child += [0, 0]
                waiting += [2 * node, 2 * node + 1]
            else:
                feature.append(-1)
                threshold.append(0)
                child += [len(leaf) // width, 0]
                leaf += [r.randint(-2**40, 2**40) for _ in range(width)]
    n = len(feature)
    k.output(I64, [rows, classes], "TREE_ENSEMBLE", [
        x, k.const(I32, [len(roots)], roots), k.const(I32, [len(roots)], tree_class), k.const(I32, [n], feature),
        k.const(I64 if x.dtype == I64 else r.choice([I32, I64]), [n], threshold), k.const(I32, [n, 2], child), k.const(I64, [len(leaf) // width, width], leaf),
        k.const(I64, [classes], [r.randint(-2**40, 2**40) for _ in range(classes)])])


def case_view(k):
    """Any strides that stay inside x: each takes a part of the room that is left on its side of the offset."""
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randint(1, 3), 7))
    out = k.shape(r.randint(0, 6), 3)
    n = count_of(x.shape)
    offset = r.randrange(n)
    below, above, strides = offset, n - 1 - offset, []
    for d in out:
        room = r.choice([-below, above])
        s = 0 if d == 1 else r.choice([0, 1 if room >= d - 1 else 0, int(room / (d - 1))])
        strides.append(s)
        below += min(0, (d - 1) * s)
        above -= max(0, (d - 1) * s)
    k.output(x.dtype, out, "VIEW", [x], [offset] + strides + [0] * (6 - len(out)), zp=x.zp, clamped=False)


def index_of(k, shape, size):
    """Indices as an input or a constant, with negative ones or without."""
    lo = k.rng.choice([0, -size])
    if k.rng.randrange(2):
        return k.input(I32, shape, lo, size - 1, zp=0)
    return k.const(I32, shape, [k.rng.randint(lo, size - 1) for _ in range(count_of(shape))])


def case_take(k):
    r = k.rng
    shape = k.shape(r.randint(1, 4))
    axis = r.randrange(len(shape))
    x = k.input(r.choice(list(BYTES)), shape)
    index = index_of(k, k.shape(r.randint(0, 3), 4), shape[axis])
    out = shape[:axis] + list(index.shape) + shape[axis + 1:]
    k.output(x.dtype, out, "TAKE", [x, index], [axis], zp=x.zp, clamped=False)


def along(k):
    """A shape, an axis, and an index shape that fits."""
    shape = k.shape(k.rng.randint(1, 4))
    axis = k.rng.randrange(len(shape))
    return shape, axis, [k.dim(4) if i == axis else k.rng.randint(1, d) for i, d in enumerate(shape)]


def case_take_along(k):
    shape, axis, index_shape = along(k)
    x = k.input(k.rng.choice(list(BYTES)), shape)
    index = index_of(k, index_shape, shape[axis])
    k.output(x.dtype, index_shape, "TAKE_ALONG", [x, index], [axis], zp=x.zp, clamped=False)


def case_gather_nd(k):
    r = k.rng
    shape = k.shape(r.randint(1, 4))
    batch = r.randrange(min(len(shape), 2))
    depth = r.randint(1, len(shape) - batch)
    x = k.input(r.choice(list(BYTES)), shape)
    lists = shape[:batch] + k.shape(r.randint(0, 2), 3)
    index = index_of(k, lists + [depth], min(shape[batch:batch + depth]))
    k.output(x.dtype, lists + shape[batch + depth:], "GATHER_ND", [x, index], [batch], zp=x.zp, clamped=False)


def scatter_operands(k, shape, updates_shape):
    """x, updates, mode and shift; the output's range holds x."""
    r = k.rng
    mode = r.randrange(5)
    dtype = r.choice(list(BYTES) if mode == 0 else [I8, U8, I16, U16, I32])
    x = k.input(dtype, shape)
    return x, k.input(dtype, updates_shape, zp=x.zp), mode, r.choice([0, 3, r.randint(0, 40)]) if mode == 2 else 0


def case_scatter(k):
    shape, axis, index_shape = along(k)
    x, updates, mode, shift = scatter_operands(k, shape, index_shape)
    index = index_of(k, index_shape, shape[axis])
    k.output(x.dtype, shape, "SCATTER", [x, index, updates], [axis, mode, shift], zp=x.zp, clamped=False)


def case_scatter_nd(k):
    r = k.rng
    shape = k.shape(r.randint(1, 4))
    depth = r.randint(1, len(shape))
    lists = k.shape(r.randint(0, 2), 3)
    x, updates, mode, shift = scatter_operands(k, shape, lists + shape[depth:])
    index = index_of(k, lists + [depth], min(shape[:depth]))
    k.output(x.dtype, shape, "SCATTER_ND", [x, index, updates], [mode, shift], zp=x.zp, clamped=False)


def case_row_update(k):
    r = k.rng
    shape = k.shape(r.randint(2, 4))
    axis = r.randint(1, len(shape) - 1)
    rows = r.randint(1, shape[axis])
    x = k.input(r.choice(list(BYTES)), shape)
    updates = k.input(x.dtype, shape[:axis] + [rows] + shape[axis + 1:], zp=x.zp)
    circular = r.randrange(2)
    index = k.input(I32, shape[:1], 0, shape[axis] - (1 if circular else rows), zp=0)
    k.output(x.dtype, shape, "ROW_UPDATE", [x, index, updates], [axis, circular], zp=x.zp, clamped=False)


def case_resample(k):
    r = k.rng
    shape = k.shape(r.randint(1, 4))
    axis = r.randrange(len(shape))
    x = k.input(r.choice([I8, U8, I16, I32]), shape)
    n, taps = r.randint(1, 6), r.randint(1, 4)
    index = k.const(I32, [n, taps], [r.randrange(shape[axis]) for _ in range(n * taps)])
    weight = k.const(I32, [n, taps], k.values(-2**26, 2**26, n * taps))
    k.output(r.choice([I8, U8, I16, I32]), shape[:axis] + [n] + shape[axis + 1:], "RESAMPLE", [x, index, weight], [axis, r.choice([0, 24, r.randint(0, 40)])])


def case_combine(k):
    r = k.rng
    shapes, out = broadcast_shapes(k, 2)
    dtype, kind = r.choice([I8, U8, I16, U16, I32, I64]), r.randrange(len(COMBINE))
    zp = k.zero_point(dtype) if kind >= 11 else 0
    a, b = (k.input(dtype, s, zp=zp) for s in shapes)
    k.output(dtype, out, "COMBINE", [a, b], [kind], zp=zp, clamped=False)


def case_compare(k):
    r = k.rng
    shapes, out = broadcast_shapes(k, 2)
    dtype = r.choice(list(BYTES))
    zp = k.zero_point(dtype)
    a, b = (k.input(dtype, s, zp=zp) for s in shapes)
    k.output(r.choice([U8, BOOL]), out, "COMPARE", [a, b], [r.randrange(4)], zp=0, clamped=False)


def case_where(k):
    r = k.rng
    shapes, out = broadcast_shapes(k, 3)
    dtype = r.choice(list(BYTES))
    zp = k.zero_point(dtype)
    flag = k.input(r.choice([U8, BOOL]), shapes[0], zp=0)
    k.output(dtype, out, "WHERE", [flag] + [k.input(dtype, s, zp=zp) for s in shapes[1:]], zp=zp, clamped=False)


def case_map(k):
    r = k.rng
    dtype = r.choice([I8, U8, I16, U16, I32, I64])
    limit = (-2**50, 2**50) if dtype == I64 else (None, None)
    x = k.input(dtype, k.shape(r.randrange(4)), *limit)
    k.output(dtype, x.shape, "MAP", [x], [r.randrange(len(MAP)), r.choice([0, 1, 62, r.randint(0, min(62, 8 * BYTES[dtype] - 1))])])


def case_wrap(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randrange(4)), zp=0)
    k.output(r.choice([I8, U8, I16, U16, I32, I64]), x.shape, "WRAP", [x], zp=0, clamped=False)


def case_reduce(k):
    r = k.rng
    kind = r.randrange(5)
    dtype = r.choice([I8, U8, I16, U16, I32] + [I64] * (kind != 2))
    limit = (-2**36, 2**36) if dtype == I64 else (None, None)
    x = k.input(dtype, k.shape(r.randint(1, 4), 6), *limit)
    axis = r.randrange(len(x.shape))
    out = without(x.shape, axis)
    if kind >= 3:
        k.output(dtype, out, "REDUCE", [x], [kind, axis, 0, 1, 1, 0], zp=x.zp)
        return
    pre = r.randint(8, 31) if dtype == I32 else r.randint(0, 9)
    divisor = r.choice([1, 1, x.shape[axis], r.randint(1, 2**24)])
    mult = r.choice([1, r.randint(1, 2**8)])
    k.output(r.choice([I8, U8, I16, U16, I32, I64]), out, "REDUCE", [x],
             [kind, axis, pre if kind == 2 else 0, mult, divisor, r.choice([0, r.randint(0, 36)])])


def case_cum_sum(k):
    r = k.rng
    dtype = r.choice([I8, U8, I16, U16, I32, I64])
    limit = (-2**50, 2**50) if dtype == I64 else (None, None)
    x = k.input(dtype, k.shape(r.randint(1, 4), 6), *limit)
    axis = r.randrange(len(x.shape))
    k.output(r.choice([I8, I16, I32, I64]), x.shape, "CUM_SUM", [x], [axis, r.randrange(2), r.randrange(2)])


def case_top_k(k):
    r = k.rng
    x = k.input(r.choice(list(BYTES)), k.shape(r.randint(1, 3), 12))
    n, want_indices = r.randint(1, x.shape[-1]), r.randrange(2)
    k.output(I32 if want_indices else x.dtype, x.shape[:-1] + (n,), "TOP_K", [x], [n, r.randrange(2), want_indices],
             zp=0 if want_indices else x.zp, clamped=False)


def case_chain(k):
    """Quantise, convolve, add, pool, flatten, classify: many tensors alive in turn."""
    r = k.rng
    x = k.input(I32, [1, 6, 6, 2], -2**20, 2**20)
    m = k.m

    def step(dtype, shape, op, inputs, attrs=(), zp=0):
        y = m.add(Tensor(COMPUTED, dtype, shape, zp=zp))
        return m.node(op, inputs, y, attrs)

    q = step(I8, [1, 6, 6, 2], "RESCALE", [x], [1, 13], zp=-3)
    c = step(I8, [1, 6, 6, 4], "CONV2D", [q] + k.linear_constants(4, 18, [4, 3, 3, 2]), [1, 1, 1, 1, 1, 1, 1, 1, 1], zp=5)
    d = step(I8, [1, 6, 6, 4], "CONV2D", [c] + k.linear_constants(4, 9, [4, 3, 3, 1]), [1, 1, 1, 1, 1, 1, 1, 1, 4], zp=7)
    s = step(I8, [1, 6, 6, 4], "ADD", [c, d], [r.randint(1, 2**15), r.randint(1, 2**15), 15], zp=-1)
    p = step(I8, [1, 3, 3, 4], "MAX_POOL", [s], [2, 2, 2, 2, 0, 0, 0, 0], zp=-1)
    f = step(I8, [1, 36], "RESHAPE", [p], zp=-1)
    g = step(I32, [1, 5], "GEMM", [f] + k.linear_constants(5, 36, [5, 36]))
    prob = step(U16, [1, 5], "SOFTMAX", [g], [2**10, 0])
    best = step(I32, [1], "ARG_MAX", [g], [1, 0, 0])
    m.outputs += [best, prob, g]


NARROW = [I8, U8, I16, I32]


def case_interpolate_fx(k):
    r = k.rng
    x = k.input(r.choice([I8, U8, I16, U16, I32]), k.shape(r.randrange(4)))
    pieces = r.randint(1, 9)
    table = k.const(I32, [pieces, 4], k.values(*RANGE[I32], 4 * pieces))
    step = r.choice([0, 31, r.randint(0, 31), r.randint(0, 8 * BYTES[x.dtype] - 4)])
    slope = lambda: r.choice([0, 2**29, -2**29, r.randint(-2**20, 2**20)])
    k.output(r.choice(NARROW), x.shape, "INTERPOLATE_FX", [x, table], [
        r.choice([RANGE[x.dtype][0], r.randint(*RANGE[x.dtype])]), step, slope(), slope(), r.randint(0, 62), r.randint(0, 31)])


def case_ln(k):
    r = k.rng
    x = k.input(r.choice([I8, U8, I16, U16, I32]), k.shape(r.randrange(4), 9))
    mult = r.choice([1, r.randint(1, 2**24)])
    k.output(r.choice(NARROW), x.shape, "LN", [x], [mult, r.randint(-2**40, 2**40), r.randint(0, 40)])


def case_sqrt(k):
    r = k.rng
    x = k.input(r.choice([I8, U8, I16, U16, I32]), k.shape(r.randrange(4), 9))
    up = 62 - 8 * BYTES[x.dtype] - 1
    k.output(r.choice(NARROW), x.shape, "SQRT", [x], [r.choice([1, 2**up, r.randint(1, 2**up)]), r.choice([0, r.randint(0, 40)])])


def case_div(k):
    r = k.rng
    a, b, out = binary_inputs(k)
    wide = max(BYTES[a.dtype], BYTES[b.dtype]) > 2
    mult, shift = r.randint(1, 2**24), r.randint(0, 24)
    least = r.choice([1, 1, 3, 2**31 - 1 if not wide or shift < 24 else 5])
    k.output(r.choice(NARROW), out, "DIV", [a, b], [mult, shift, least, r.randrange(3)])


def case_log_sum_exp(k):
    r = k.rng
    x = k.input(r.choice([I8, I16, I32]), k.shape(r.randint(1, 3), 12))
    k.output(r.choice([I16, I32]), x.shape[:-1], "LOG_SUM_EXP", [x],
             q26_attrs(r, x.dtype) + [r.choice([1, 2**28, r.randint(1, 2**20)]), r.choice([1, r.randint(1, 2**20)]), r.randint(0, 40)])


def case_masked_softmax(k):
    r = k.rng
    x = k.input(r.choice([I8, I16, I32]), k.shape(r.randint(2, 4), 6))
    inputs = [x]
    if r.randrange(3):
        inputs.append(k.input(r.choice([U8, BOOL]), [r.choice([1, d]) for d in x.shape[r.randrange(len(x.shape)):]], zp=0))
        inputs[1].values = [min(v, 1) for v in inputs[1].values]
    k.output(U16, x.shape, "MASKED_SOFTMAX", inputs, q26_attrs(r, x.dtype) + [r.randrange(2), r.randint(-4, 4)])


def case_norm(k):
    r = k.rng
    x = k.input(r.choice(NARROW), k.shape(r.randrange(3)) + [r.choice([1, 2, 7, 33])])
    n = x.shape[-1]
    w = k.const(I32, [n], k.values(-2**30, 2**30, n))
    b = k.const(I64, [n], k.values(-2**60, 2**60, n))
    eps = r.choice([(0, 0), (1, 0), (2**62, 40), (r.randint(0, 2**40), r.randint(0, 10))])
    k.output(r.choice(NARROW), x.shape, "NORM", [x, w, b], [r.randrange(2), *eps, r.choice([62, 31, r.randint(20, 62)])])


def case_batch_matmul(k):
    r = k.rng
    types = r.choice([[I8, U8], [I8, I16], [I16, I16], [I8, U8, I16, U16, I32]])
    limit = lambda t: (-2**28, 2**28) if t == I32 else (None, None)
    m, n, inner, transposed = k.dim(), k.dim(), r.choice([1, 2, 5, 19]), r.randrange(2)
    lead = k.shape(r.randrange(4), 3)
    shapes = []
    for last in ([m, inner], [n, inner] if transposed else [inner, n]):
        shapes.append([r.choice([d, d, 1]) for d in lead][r.choice([0, 0, len(lead)]):] + last)
    ta, tb = r.choice(types), r.choice(types)
    a, b = k.input(ta, shapes[0], *limit(ta)), k.input(tb, shapes[1], *limit(tb))
    pad = [[1] * (max(len(a.shape), len(b.shape)) - len(t.shape)) + list(t.shape) for t in (a, b)]
    out = [max(p, q) for p, q in zip(pad[0][:-2], pad[1][:-2])] + [m, n]
    magnitude = {I8: 8, U8: 8, I16: 15, U16: 16, I32: 28}
    total = magnitude[ta] + magnitude[tb] + 5
    pre = r.choice([0, max(0, total - 40), r.randint(0, 8)])
    mult = r.randint(1, 2**min(30, 61 - total + pre))
    k.output(r.choice(NARROW), out, "BATCH_MATMUL", [a, b], [transposed, pre, mult, r.choice([0, r.randint(0, 40)])])


CASES = [case_gemm, case_gemm_fx, case_conv2d, case_conv2d_fx, case_add, case_mul, case_max_pool, case_avg_pool, case_table,
         case_interpolate, case_clamp, case_rescale, case_softmax, case_arg_max, case_function, case_reshape, case_transpose,
         case_concat, case_pad, case_gather, case_tree, case_chain, case_view, case_take, case_take_along, case_gather_nd, case_scatter,
         case_scatter_nd, case_row_update, case_resample]
CASES += [case_interpolate_fx, case_ln, case_sqrt, case_div, case_log_sum_exp, case_masked_softmax, case_norm, case_batch_matmul]
CASES += [case_combine, case_compare, case_where, case_map, case_wrap, case_reduce, case_cum_sum, case_top_k]


# ---- real numbers, numerics 2.2 ----

def input_from_real(x, rounding, zp, mult, shift, lo, hi):
    unit = mult * 10**18
    raw = (x << shift) // unit if rounding else ((x << (shift + 1)) + unit) // (2 * unit)
    return clamp(raw + zp, lo, hi)


def output_to_real(raw, zp, mult, shift):
    return (((raw - zp) * mult * 10**18 << 1) + (1 << shift)) >> (shift + 1)


def write_real(r):
    dtype = r.choice(list(BYTES))
    lo, hi = sorted([r.randint(*RANGE[dtype]), r.randint(*RANGE[dtype])]) if r.randrange(2) else RANGE[dtype]
    zp = r.randint(*RANGE[dtype]) if dtype in (I8, U8) else 0
    mult = r.choice([1, 2**31 - 1, r.randint(1, 2**31 - 1), r.randint(2**30, 2**31 - 1)])
    shift = r.choice([0, 16, 62, r.randint(0, 62), r.randint(30, 45)])
    rounding = r.randrange(2)
    near = output_to_real(r.randint(lo, hi), zp, mult, shift) + r.choice([0, 1, -1, r.randint(-10**18, 10**18)])
    half = (2 * r.randint(lo, hi) + 1) * mult * 10**18 // 2**(shift + 1)
    anywhere = r.choice([-1, 1]) * r.randrange(2**r.randint(0, 255))
    x = clamp(r.choice([near, near, half, half + 1, half - 1, anywhere, -2**255, 2**255 - 1]), -2**255, 2**255 - 1)
    raw = input_from_real(x, rounding, zp, mult, shift, lo, hi)
    back = output_to_real(raw, zp, mult, shift)
    print("real", dtype, rounding, zp, mult, shift, lo, hi, "%064x %d %064x" % (x % 2**256, raw, back % 2**256))


# ---- cases that must be refused: one step over the bound, beside one step inside it ----

def write_bounds():
    def gemm(name, k, bias, refuse):
        m = Model(name)
        x = m.add(Tensor(INPUT, I16, [1, k], [0] * k))
        w = m.add(Tensor(CONST, I8, [1, k], [-127] * k))
        b = m.add(Tensor(CONST, I32, [1], [bias]))
        mult = m.add(Tensor(CONST, I32, [1], [2**30]))
        shift = m.add(Tensor(CONST, U8, [1], [40]))
        y = m.add(Tensor(COMPUTED, I32, [1, 1]))
        m.node("GEMM", [x, w, b, mult, shift], y)
        m.outputs.append(y)
        m.write(refuse)

    room = 2**31 - 1 - 516 * 127 * 32768
    gemm("bound_gemm_inside", 516, room, None)
    gemm("bound_gemm_over_by_one", 516, room + 1, "RANGE")

    def mul(name, mult, refuse):
        m = Model(name)
        a = m.add(Tensor(INPUT, I32, [1], [-2**31]))
        y = m.add(Tensor(COMPUTED, I32, [1]))
        m.node("MUL", [a, a], y, [mult, 0])
        m.outputs.append(y)
        m.write(refuse)

    mul("bound_mul_inside", 1, None)
    mul("bound_mul_over", 2, "RANGE")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=len(CASES))
    parser.add_argument("--corpus", help="write the model files into this folder instead")
    args = parser.parse_args()
    for i in range(args.cases):
        make = CASES[i % len(CASES)]
        name = "%s_%d_%d" % (make.__name__[5:], args.seed, i)
        maker = Maker(random.Random("%d:%d" % (args.seed, i)), name)
        make(maker)
        if args.corpus:
            with open("%s/%s.sbm" % (args.corpus, name), "wb") as out:
                out.write(maker.m.encode())
        else:
            maker.m.write()
    if args.corpus:
        return
    write_bounds()
    rng = random.Random(args.seed)
    for _ in range(args.cases):
        write_real(rng)


if __name__ == "__main__":
    main()
