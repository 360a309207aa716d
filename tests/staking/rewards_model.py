#!/usr/bin/env python3
"""rewards_model.py: staking, rewards and slashing once more, in plain integers, written from docs/spec/staking.md alone.

    rewards_model.py FACTS.json      what a chain's blocks contained, and what its contracts answered; compares to the last unit

FACTS.json (made by tests/ethers/facts.mjs): amounts are decimal strings, addresses lower-case.
    genesis   supply, validators: [{id, operator, power, commission}]
    params    numbers of staking_params.def
    blocks    from 1 on: number, time, timeMs, proposer, fees, absent: [id], evidence: [{id, height}], calls: [{from, name, args, value, time, ok}]
    sets      {height: [[id, power], ...]}       as samebit_getValidators gave them
    checks    [{block, ...}]                      views after that block; see check()

Prints a line per mismatch, then "N passed, M failed, 0 skipped"; status 0 only if M = 0. Section numbers are those of the specification."""
import copy
import json
import sys

COIN = 10**18
BONDED_MAX = (2**63 - 1) // 8 * COIN
YEAR_MS = 31536000000
FOR_EVER = 2**64


class Refused(Exception):
    """A call that changes nothing."""


def need(condition, why):
    if not condition:
        raise Refused(why)


def less(amount, bps):
    return amount * (10000 - bps) // 10000


class Validator:
    def __init__(self, id_, operator):
        self.id, self.operator = id_, operator
        self.tokens = self.shares = 0
        self.commission_bps = self.commission_max = self.commission_change = self.commission_at = 0
        self.self_min = 0
        self.jailed = self.tombstoned = False
        self.jailed_until = 0
        self.records = []  # (height of the offence, block, time, bps)
        self.word = 0
        self.accrued = self.commission = self.per_share = 0

    def worth(self, shares):
        return shares * self.tokens // self.shares if shares else 0

    @property
    def power(self):
        return self.tokens // COIN


class Left:
    """Stake that left a validator: where from, when, and which slashes it may still have to bear."""

    def __init__(self, validator, height, completion, slash_from):
        self.validator, self.height, self.completion, self.slash_from = validator, height, completion, slash_from

    def bear(self, amount):
        records = self.validator.records[self.slash_from :]
        chosen = records[:4]
        if self.validator.tombstoned and len(records) > 4:
            chosen.append(records[-1])
        for height, _, time, bps in chosen:
            if height <= self.height + 1 and time < self.completion:
                amount = less(amount, bps)
        return amount


class Transit:
    def __init__(self, left, shares):
        self.left, self.shares = left, shares


class Exit:
    def __init__(self, number, delegator, left, amount, origin):
        self.number, self.delegator, self.left, self.amount, self.origin = number, delegator, left, amount, origin

    def worth(self):
        amount = self.left.bear(self.amount)
        return self.origin.bear(amount) if self.origin else amount


class Chain:
    def __init__(self, genesis, params):
        self.params = params
        self.validators = {}  # id -> Validator
        self.by_operator = {}
        self.keys = set()
        self.shares = {}  # (delegator, id) -> shares
        self.transits = {}  # (delegator, id) -> [Transit]
        self.exits = {}
        self.exit_count = 0
        self.bonded = self.unbonding = self.burnt = 0
        self.candidates = []  # [id, power], the list
        self.lingers = None
        self.returned = None
        self.sets = {}
        self.supply = int(genesis["supply"])
        self.pool = self.accounted = self.minted = 0
        self.settled, self.paid = {}, {}
        self.first_ms = self.last_ms = None
        self.height = self.now = 0
        self.paid_out = 0
        for entry in genesis["validators"]:
            v = self.new_validator(entry["id"], entry["operator"])
            v.commission_bps, v.commission_max, v.commission_change = int(entry["commission"]), 10000, 100
            v.self_min = COIN
            self.put(v, v.operator, int(entry["power"]) * COIN)
            self.update(v)
        self.sets[1] = self.sets[2] = self.best()

    # ---- names

    def new_validator(self, id_, operator):
        v = Validator(id_, operator)
        self.validators[id_] = self.by_operator[operator] = v
        return v

    def of(self, operator):
        need(operator in self.by_operator, "unknown validator")
        return self.by_operator[operator]

    def has(self, delegator, v):
        return self.shares.get((delegator, v.id), 0)

    def open_transits(self, delegator, v):
        return self.transits.setdefault((delegator, v.id), [])

    def own(self, v):
        return v.worth(self.has(v.operator, v))

    def least_own(self, v):
        return max(v.self_min, self.params["selfStakeMinCoins"] * COIN)

    # ---- 3: pools

    def put(self, v, delegator, amount):
        need(amount > 0, "nothing")
        need(not v.tombstoned, "tombstoned")
        need(not (v.tokens == 0 < v.shares) and v.shares // 256 <= v.tokens, "worn")
        need(self.bonded + amount <= BONDED_MAX, "limit")
        self.sync(v, delegator)
        shares = amount if v.shares == 0 else amount * v.shares // v.tokens
        need(shares > 0, "nothing")
        v.tokens += amount
        v.shares += shares
        self.shares[delegator, v.id] = self.has(delegator, v) + shares
        self.bonded += amount
        return shares

    def take(self, v, delegator, shares, synced=False):
        if not synced:
            self.sync(v, delegator)
        amount = v.worth(shares)
        v.tokens -= amount
        v.shares -= shares
        self.shares[delegator, v.id] = self.has(delegator, v) - shares
        self.bonded -= amount
        return amount

    # ---- 4: leaving

    def open_exit(self, v, delegator, amount, origin):
        if amount == 0:
            return 0
        self.exit_count += 1
        left = Left(v, self.height, self.now + self.params["unbondingSeconds"], len(v.records))
        self.exits[self.exit_count] = Exit(self.exit_count, delegator, left, amount, origin)
        self.unbonding += amount
        return amount

    def undelegate(self, sender, operator, shares):
        v = self.of(operator)
        need(shares > 0, "nothing")
        self.settle_at(v, sender)
        need(self.has(sender, v) >= shares, "not enough")
        transits = self.open_transits(sender, v)
        free = self.has(sender, v) - sum(t.shares for t in transits)
        self.sync(v, sender)
        first = min(free, shares)
        gone = self.open_exit(v, sender, self.take(v, sender, first, True), None) if first else 0
        rest = shares - first
        while rest:
            t = transits[0]
            part = min(rest, t.shares)
            gone += self.open_exit(v, sender, self.take(v, sender, part, True), t.left)
            t.shares -= part
            rest -= part
            if t.shares == 0:
                transits.pop(0)
        need(gone > 0, "nothing")
        mine = sum(1 for e in self.exits.values() if e.delegator == sender and e.left.validator is v)
        need(mine <= self.params["entriesMax"], "too many")
        self.update(v)

    def redelegate(self, sender, operator, to, shares):
        need(operator != to, "same")
        v, w = self.of(operator), self.of(to)
        need(shares > 0, "nothing")
        self.settle_at(v, sender)
        need(self.has(sender, v) >= shares, "not enough")
        need(shares <= self.has(sender, v) - sum(t.shares for t in self.open_transits(sender, v)), "in transit")
        amount = self.take(v, sender, shares)
        need(amount > 0, "nothing")
        self.settle_at(w, sender)
        got = self.put(w, sender, amount)
        left = Left(v, self.height, self.now + self.params["unbondingSeconds"], len(v.records))
        self.open_transits(sender, w).append(Transit(left, got))
        need(len(self.open_transits(sender, w)) <= self.params["entriesMax"], "too many")
        self.update(w)
        self.update(v)

    def withdrawUnbonded(self, sender, most):
        complete = [e for e in self.exits.values() if e.delegator == sender and e.left.completion <= self.now]
        need(complete, "nothing complete")
        assert len(complete) <= most, "which are ended first is not specified"
        for e in complete:
            worth = e.worth()
            del self.exits[e.number]
            self.unbonding -= e.amount
            self.burnt += e.amount - worth
            self.paid_out += worth

    def cancelUnbonding(self, sender, number):
        e = self.exits.get(number)
        need(e is not None and e.delegator == sender, "unknown")
        need(self.now < e.left.completion, "complete")
        v = e.left.validator
        self.settle_at(v, sender)
        worth = e.worth()
        need(worth > 0, "nothing")
        del self.exits[number]
        self.unbonding -= e.amount
        self.burnt += e.amount - worth
        got = self.put(v, sender, worth)
        if e.origin and e.origin.completion > self.now:
            o = e.origin
            left = Left(o.validator, o.height, o.completion, len(o.validator.records))
            self.open_transits(sender, v).append(Transit(left, got))
            need(len(self.open_transits(sender, v)) <= self.params["entriesMax"], "too many")
        self.update(v)

    # ---- 5: slashes

    def punish(self, v, bps, height):
        cut = v.tokens - less(v.tokens, bps)
        v.tokens -= cut
        self.bonded -= cut
        self.burnt += cut
        v.records.append((height, self.height, self.now, bps))
        self.update(v)

    def settle_at(self, v, delegator):
        kept = []
        for t in self.open_transits(delegator, v):
            left = t.left.bear(t.shares)
            if left < t.shares:
                self.burnt += self.take(v, delegator, t.shares - left)
            if left and t.left.completion > self.now:
                t.shares = left
                t.left.slash_from = len(t.left.validator.records)
                kept.append(t)
        self.transits[delegator, v.id] = kept

    def settle(self, _sender, delegator, operator):
        v = self.of(operator)
        self.settle_at(v, delegator)
        self.update(v)

    # ---- 6: rewards

    def mint(self, time_ms):
        if self.first_ms is None:
            self.first_ms = self.last_ms = time_ms
            return 0
        floor = self.params["inflationFloorBps"] * 10**14
        rate = self.params["inflationBps"] * 10**14
        for _ in range(min((time_ms - self.first_ms) // YEAR_MS, 200)):
            if rate <= floor:
                break
            rate = rate * (10000 - self.params["inflationDecayBps"]) // 10000
        rate = max(rate, floor)
        minted = min(self.supply, 2**110) * rate * min(time_ms - self.last_ms, 60000) // (COIN * YEAR_MS)
        self.last_ms = time_ms
        return minted

    def distribute(self, time_ms, proposer, votes, fees):
        minted = self.mint(time_ms)
        self.minted += minted
        pot = fees + minted
        self.accounted += pot
        if not votes:
            self.pool += pot
            return
        bonus = pot * self.params["proposerShareBps"] // 10000
        self.validators[proposer].accrued += bonus
        rest = pot - bonus
        total = sum(power for _, power, _ in votes)
        spent = 0
        for id_, power, present in votes:
            if present:
                part = rest * power // total
                self.validators[id_].accrued += part
                spent += part
        self.pool += rest - spent

    def fold(self, v):
        a = v.accrued
        if a == 0:
            return
        own = a * v.commission_bps // 10000
        left = a - own
        v.commission += own
        if v.shares < COIN:
            self.pool += left
            v.accrued = 0
            return
        step = left * 2**96 // v.shares
        v.per_share += step
        v.accrued = left - -(-step * v.shares // 2**96)

    def sync(self, v, delegator):
        self.fold(v)
        paid = self.paid.get((delegator, v.id), 0)
        earned = self.has(delegator, v) * (v.per_share - paid) // 2**96
        self.settled[delegator] = self.settled.get(delegator, 0) + earned
        self.paid[delegator, v.id] = v.per_share

    def claimRewards(self, sender, operators):
        for operator in operators:
            self.sync(self.of(operator), sender)
        amount = self.settled.get(sender, 0)
        need(amount > 0, "nothing")
        self.settled[sender] = 0
        self.accounted -= amount

    def claimCommission(self, sender):
        v = self.of(sender)
        self.fold(v)
        need(v.commission > 0, "nothing")
        self.accounted -= v.commission
        v.commission = 0

    def pending(self, v, delegator):
        kept = v.commission, v.per_share, v.accrued, self.pool
        self.fold(v)
        earned = self.has(delegator, v) * (v.per_share - self.paid.get((delegator, v.id), 0)) // 2**96
        commission = v.commission
        v.commission, v.per_share, v.accrued, self.pool = kept
        return earned, commission

    # ---- 3 and 7: validators

    def createValidator(self, sender, value, id_, commission, commission_max, change, self_min):
        need(id_ not in self.validators and sender not in self.by_operator, "taken")
        need(commission <= commission_max <= 10000, "commission")
        need(value >= max(self_min, self.params["selfStakeMinCoins"] * COIN), "self stake")
        v = self.new_validator(id_, sender)
        v.commission_bps, v.commission_max, v.commission_change, v.commission_at = commission, commission_max, change, self.now
        v.self_min = self_min
        self.put(v, sender, value)
        self.update(v)

    def editValidator(self, sender, commission, self_min):
        v = self.of(sender)
        need(self_min >= v.self_min, "lowered")
        if commission != v.commission_bps:
            need(self.now - v.commission_at >= 86400, "lately")
            need(commission <= v.commission_max, "commission")
            need(abs(commission - v.commission_bps) <= v.commission_change, "change")
            self.sync(v, sender)
            v.commission_bps, v.commission_at = commission, self.now
        if self_min != v.self_min:
            need(self.own(v) >= self_min, "self stake")
            v.self_min = self_min
        self.update(v)

    def unjail(self, sender):
        v = self.of(sender)
        need(v.jailed and not v.tombstoned and self.now >= v.jailed_until, "jail")
        self.settle_at(v, sender)
        need(self.own(v) >= self.least_own(v), "self stake")
        v.jailed = False
        v.word = 1
        self.update(v)

    def delegate(self, sender, value, operator):
        v = self.of(operator)
        self.settle_at(v, sender)
        self.put(v, sender, value)
        self.update(v)

    def enter(self, _sender, operator):
        v = self.of(operator)
        need(not v.jailed and self.place(v) is None, "jailed or listed")
        self.update(v)
        need(self.place(v) is not None, "too weak")

    def judge(self, votes, evidence):
        window = self.params["signedWindow"]
        missed_max = window * (10000 - self.params["signedMinBps"]) // 10000
        for id_, _, present in votes:
            v = self.validators[id_]
            old = v.word if v.word > 0 else 1
            v.word = (old << 1) % 2**256 | (0 if present else 1) | (old & 2**255)
            if not present and v.word >= 2**window and bin(v.word % 2**window).count("1") > missed_max:
                v.word = 1
                if not v.jailed:
                    v.jailed, v.jailed_until = True, self.now + self.params["downtimeJailSeconds"]
                    self.punish(v, self.params["slashDowntimeBps"], self.height - 2)
        for piece in evidence:
            v = self.validators.get(piece["id"])
            if v is None or v.tombstoned:
                continue
            v.jailed, v.tombstoned, v.jailed_until = True, True, FOR_EVER
            self.punish(v, self.params["slashDoubleSignBps"], int(piece["height"]))

    # ---- 8: the active set

    def place(self, v):
        return next((i for i, entry in enumerate(self.candidates) if entry[0] == v.id), None)

    def able(self, v):
        return not v.jailed and v.power >= 1 and self.own(v) >= self.least_own(v)

    def remove(self, at):
        self.candidates[at] = self.candidates[-1]
        self.candidates.pop()

    def update(self, v):
        at = self.place(v)
        if at is not None and self.able(v):
            self.candidates[at][1] = v.power
            if self.lingers == v.id:
                self.lingers = None
        elif at is not None and len(self.candidates) > 1:
            self.remove(at)
        elif at is not None:
            self.candidates[at][1] = max(1, v.power)
            self.lingers = v.id
        elif self.able(v):
            if len(self.candidates) < 256:
                self.candidates.append([v.id, v.power])
            else:
                weakest = min(range(256), key=lambda i: (self.candidates[i][1], -int(self.candidates[i][0], 16)))
                if self.candidates[weakest][1] >= v.power:
                    return
                self.candidates[weakest] = [v.id, v.power]
            if self.lingers is not None:
                self.remove(next(i for i, entry in enumerate(self.candidates) if entry[0] == self.lingers))
                self.lingers = None

    def best(self):
        ordered = sorted(self.candidates, key=lambda entry: (-entry[1], int(entry[0], 16)))
        return [tuple(entry) for entry in ordered[: self.params["validatorsMax"]]]

    # ---- blocks

    def call(self, call):
        name, args = call["name"], [int(a) if isinstance(a, str) and a.isdecimal() else a for a in call["args"]]
        payable = name in ("createValidator", "delegate")
        getattr(self, name)(call["from"], *([int(call["value"])] if payable else []), *args)

    def end(self, block):
        voters = self.sets[self.height - 2] if self.height >= 3 else []
        absent = set(block["absent"])
        votes = [(id_, power, id_ not in absent) for id_, power in voters]
        self.distribute(int(block["timeMs"]), block["proposer"], votes, int(block["fees"]))
        self.judge(votes, block["evidence"])
        best = self.best()
        self.sets[self.height + 2] = best
        self.returned = best


class Comparison:
    def __init__(self):
        self.passed = self.failed = 0

    def same(self, what, ours, theirs):
        if ours == theirs:
            self.passed += 1
            return
        self.failed += 1
        if self.failed <= 20:
            print(f"FAIL rewards_model.py::{what} model {ours} chain {theirs}")


def check(chain, facts, result):
    """The chain's views after a block."""
    at = f"block {facts['block']}"
    for key, ours in (
        ("bonded", chain.bonded),
        ("unbonding", chain.unbonding),
        ("burnt", chain.burnt),
        ("pool", chain.pool),
        ("accounted", chain.accounted),
        ("minted", chain.minted),
    ):
        result.same(f"{at}: {key}", ours, int(facts[key]))
    for theirs in facts["validators"]:
        v = chain.by_operator[theirs["operator"]]
        who = f"{at}: {v.operator}"
        result.same(f"{who} tokens", v.tokens, int(theirs["tokens"]))
        result.same(f"{who} shares", v.shares, int(theirs["shares"]))
        result.same(f"{who} jailed, tombstoned", [v.jailed, v.tombstoned], [theirs["jailed"], theirs["tombstoned"]])
        result.same(f"{who} slashes", len(v.records), int(theirs["slashCount"]))
        result.same(f"{who} commission", chain.pending(v, v.operator)[1], int(theirs["commission"]))
        result.same(f"{who} perShare", v.per_share, int(theirs["rewardPerShare"]))
        result.same(f"{who} accrued", v.accrued, int(theirs["accrued"]))
    for theirs in facts["delegations"]:
        v = chain.by_operator[theirs["operator"]]
        who = f"{at}: {theirs['delegator']} at {v.operator}"
        # The view counts slashes of redelegated shares that are not settled yet.
        due = sum(t.shares - t.left.bear(t.shares) for t in chain.open_transits(theirs["delegator"], v))
        result.same(f"{who} shares", chain.has(theirs["delegator"], v) - due, int(theirs["shares"]))
        result.same(f"{who} pending", chain.pending(v, theirs["delegator"])[0], int(theirs["pending"]))
    for delegator, amount in facts["settled"].items():
        result.same(f"{at}: {delegator} settled", chain.settled.get(delegator, 0), int(amount))
    for theirs in facts["unbondings"]:
        e = chain.exits.get(int(theirs["id"]))
        result.same(f"{at}: unbonding {theirs['id']} exists", e is not None, True)
        if e is not None:
            ours = [e.delegator, e.amount, e.worth(), e.left.height, e.left.completion]
            result.same(
                f"{at}: unbonding {theirs['id']}",
                ours,
                [theirs["delegator"], int(theirs["amount"]), int(theirs["payable"]), int(theirs["height"]), int(theirs["completion"])],
            )


def main():
    with open(sys.argv[1], encoding="utf8") as file:
        facts = json.load(file)
    params = {name: int(value) for name, value in facts["params"].items()}
    chain = Chain(facts["genesis"], params)
    checks = {}
    for entry in facts["checks"]:
        checks.setdefault(entry["block"], []).append(entry)
    result = Comparison()
    calls = refused = 0
    for block in facts["blocks"]:
        chain.height, chain.now = block["number"], block["time"]
        for call in block["calls"]:
            calls += 1
            refused += not call["ok"]
            on = chain if call["ok"] else copy.deepcopy(chain)  # what is refused changes nothing
            try:
                on.call(call)
                answer = "done"
            except Refused as why:
                answer = f"refused: {why}"
            what = f"block {chain.height}: {call['name']} {call['args']} by {call['from']}"
            result.same(what, answer.split(':')[0], "done" if call["ok"] else "refused")
        chain.end(block)
        for entry in checks.get(chain.height, []):
            check(chain, entry, result)
    for height, members in facts["sets"].items():
        if int(height) in chain.sets:
            ours = [[id_, power] for id_, power in chain.sets[int(height)]]
            result.same(f"set of {height}", ours, [[id_, int(power)] for id_, power in members])
    print(f"{len(facts['blocks'])} blocks, {calls} calls ({refused} refused), {len(facts['checks'])} checks of all views, {len(chain.validators)} validators")
    print(f"{result.passed} passed, {result.failed} failed, 0 skipped")
    return 0 if result.failed == 0 and result.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
