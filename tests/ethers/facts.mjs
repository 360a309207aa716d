// facts.mjs: what the blocks of a chain with staking contained, and what its contracts answer, for tests/staking/rewards_model.py.
//
//   const facts = new Facts(provider, 'DIR/genesis.json')
//   await facts.follow()            read all blocks up to the head; often enough that their states are still kept (128 blocks)
//   await facts.check(delegators)   read all views after the newest block read
//   facts.judge('FILE')             write FILE, run the model on it, give back what it printed
//
// Presence comes from Slashing's words (slot 0 is its mapping): the lowest bit after block H says who was absent at H - 2. Everything else is what
// any user can ask for.
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { assert, at, ethers, root, SYSTEM } from './lib.mjs';

const CONTRACTS = { [SYSTEM.staking]: 'IStaking', [SYSTEM.distribution]: 'IDistribution', [SYSTEM.slashing]: 'ISlashing' };
const hex = (n) => '0x' + BigInt(n).toString(16);
const low = (address) => address.toLowerCase();

/** The consensus address of a key: the id of its validator. */
export function idOf(key) {
  return ethers.dataSlice(ethers.keccak256(ethers.encodeRlp(['0x01', key])), 0, 20);
}

/** The arguments that the model wants. */
function argumentsOf(call) {
  const plain = (value) => (Array.isArray(value) ? value.map(plain) : typeof value === 'bigint' ? value.toString() : typeof value === 'string' ? low(value) : value);
  if (call.name === 'createValidator') return [idOf(call.args[0]), ...plain([...call.args].slice(3))];
  if (call.name === 'editValidator') return plain([...call.args].slice(1));
  return plain([...call.args]);
}

export class Facts {
  constructor(provider, genesisFile) {
    this.provider = provider;
    this.next = 1;
    this.blocks = [];
    this.sets = {};
    this.checks = [];
    this.staking = at(SYSTEM.staking, 'IStaking', provider);
    this.distribution = at(SYSTEM.distribution, 'IDistribution', provider);
    this.slashing = at(SYSTEM.slashing, 'ISlashing', provider);
    this.interfaces = Object.fromEntries(Object.entries(CONTRACTS).map(([address, name]) => [address, at(address, name).interface]));
    this.readGenesis(JSON.parse(fs.readFileSync(genesisFile, 'utf8')));
  }

  readGenesis(file) {
    const accounts = [...Object.values(file.alloc), ...Object.values(file.samebit.predeploys)];
    this.supply = accounts.reduce((sum, account) => sum + BigInt(account.balance ?? 0), 0n);
  }

  async begin() {
    const set = await this.provider.send('samebit_getValidators', ['0x1']);
    this.genesis = { supply: this.supply.toString(), validators: [] };
    // The order of genesis is that of creation.
    const created = await this.staking.validators(0, 50, { blockTag: 1 });
    for (const v of created) {
      const member = set.validators.find((m) => low(m.address) === low(v.consensus));
      this.genesis.validators.push({ id: low(v.consensus), operator: low(v.operator), power: BigInt(member.power).toString(), commission: v.commissionBps.toString() });
    }
    const names = fs.readFileSync(path.join(root, 'base/types/staking_params.def'), 'utf8').matchAll(/^SB_STAKING_PARAM\(\w+, "(\w+)"/gm);
    this.params = {};
    let slot = 15;
    for (const [, name] of names) this.params[name] = BigInt(await this.provider.send('eth_getStorageAt', [SYSTEM.params, hex(slot++), '0x1'])).toString();
  }

  /** One reader at a time, whoever asks. */
  follow() {
    this.reading = (this.reading ?? Promise.resolve()).catch(() => {}).then(() => this.readUp());
    return this.reading;
  }

  async readUp() {
    const head = Number(await this.provider.send('eth_blockNumber', []));
    if (!this.genesis && head >= 1) await this.begin();
    while (this.next <= head) {
      const upTo = Math.min(head, this.next + 7);
      const some = [];
      for (let number = this.next; number <= upTo; number++) some.push(this.readSet(number));
      await Promise.all(some);
      const read = [];
      for (let number = this.next; number <= upTo; number++) read.push(this.readBlock(number));
      this.blocks.push(...(await Promise.all(read)));
      this.next = upTo + 1;
    }
    return head;
  }

  async readSet(number) {
    const set = await this.provider.send('samebit_getValidators', [hex(number)]);
    this.sets[number] = set.validators.map((m) => [low(m.address), BigInt(m.power).toString()]);
  }

  async readBlock(number) {
    const send = (method, ...params) => this.provider.send(method, params);
    const [block, receipts, light] = await Promise.all([send('eth_getBlockByNumber', hex(number), true), send('eth_getBlockReceipts', hex(number)), send('samebit_getLightBlock', hex(number))]);
    const [header, commit] = ethers.decodeRlp(light);
    const absent = await this.absent(number);
    const fees = receipts.reduce((sum, r) => sum + BigInt(r.gasUsed) * (BigInt(r.effectiveGasPrice) - BigInt(block.baseFeePerGas)), 0n);
    const calls = [];
    block.transactions.forEach((tx, i) => {
      const decoded = this.interfaces[tx.to && low(tx.to)]?.parseTransaction({ data: tx.input, value: tx.value });
      if (decoded) calls.push({ from: low(tx.from), name: decoded.name, args: argumentsOf(decoded), value: BigInt(tx.value).toString(), ok: receipts[i].status === '0x1' });
    });
    return { number, time: Number(block.timestamp), timeMs: BigInt(header[3]).toString(), proposer: low(header[12]), round: Number(commit[1] === '0x' ? 0 : commit[1]), fees: fees.toString(), absent, evidence: [], calls };
  }

  async absent(number) {
    if (number < 3) return [];
    const ids = this.sets[number - 2].map(([id]) => id);
    const slot = (id) => ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(['address', 'uint256'], [id, 0]));
    const words = await Promise.all(ids.map((id) => this.provider.send('eth_getStorageAt', [SYSTEM.slashing, slot(id), hex(number)])));
    return ids.filter((_, i) => BigInt(words[i]) & 1n);
  }

  /** All views after the newest block that follow() read. */
  async check(delegators) {
    const blockTag = this.next - 1;
    const [staking, distribution] = [this.staking, this.distribution];
    const [[bonded, unbonding, burnt], pool, accounted, minted, list] = await Promise.all([
      staking.totals({ blockTag }),
      distribution.pool({ blockTag }),
      distribution.accounted({ blockTag }),
      distribution.mintedTotal({ blockTag }),
      staking.validators(0, 50, { blockTag }),
    ]);
    const text = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, typeof v === 'bigint' ? v.toString() : v]));
    const validators = await Promise.all(list.map(async (v) => {
      const [r, commission] = await Promise.all([distribution.validatorRewards(v.operator, { blockTag }), distribution.pendingCommission(v.operator, { blockTag })]);
      return text({ operator: low(v.operator), tokens: v.tokens, shares: v.shares, jailed: v.jailed, tombstoned: v.tombstoned, slashCount: v.slashCount, commission, rewardPerShare: r.rewardPerShare, accrued: r.accrued });
    }));
    const who = [...new Set([...delegators.map(low), ...list.map((v) => low(v.operator))])];
    const delegations = [], unbondings = [], settled = {};
    await Promise.all(who.map(async (delegator) => {
      const [mine, leaving, sum] = await Promise.all([staking.delegations(delegator, 0, 50, { blockTag }), staking.unbondings(delegator, 0, 200, { blockTag }), distribution.settledRewards(delegator, { blockTag })]);
      settled[delegator] = sum.toString();
      for (const e of leaving) unbondings.push(text({ id: e.id, delegator, amount: e.amount, payable: e.payable_, height: e.height, completion: e.completion }));
      await Promise.all(mine.map(async (d) => {
        const pending = await distribution.pendingRewards(delegator, d.operator, { blockTag });
        delegations.push(text({ delegator, operator: low(d.operator), shares: d.shares, pending }));
      }));
    }));
    this.checks.push({ ...text({ bonded, unbonding, burnt, pool, accounted, minted }), block: blockTag, validators, delegations, unbondings, settled });
  }

  /** Write all facts, replay them in the model; what it printed. */
  async judge(file) {
    for (const e of await this.slashing.evidence(0, 256)) {
      this.blocks[Number(e.block_) - 1]?.evidence.push({ id: low(e.consensus), height: e.height.toString() });
    }
    const { genesis, params, blocks, sets, checks } = this;
    assert.equal((await this.distribution.genesisSupply()).toString(), genesis.supply);
    fs.writeFileSync(file, JSON.stringify({ genesis, params, blocks, sets, checks }));
    const done = spawnSync('python3', [path.join(root, 'tests/staking/rewards_model.py'), file], { encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    return done.stdout.trim();
  }
}
