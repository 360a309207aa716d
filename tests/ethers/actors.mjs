// actors.mjs: accounts that live with staking: keys, proofs, transactions without waiting, random actions.
import crypto from 'node:crypto';
import { at, ethers, SYSTEM } from './lib.mjs';

const PKCS8 = '302e020100300506032b657004220420'; // an ed25519 seed follows
const GAS = 2_000_000n;
const TIP_MAX = 3_000_000_000n;

export const coins = ethers.parseEther;

/** Numbers that a seed gives again: mulberry32. */
export function chance(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    unit: next,
    below: (n) => Math.floor(next() * n),
    pick: (list) => list[Math.floor(next() * list.length)],
    /** An amount up to `most`, down to the last wei. */
    upTo: (most) => (most * BigInt(Math.floor(next() * 2 ** 48))) / 2n ** 48n,
  };
}

/** An ed25519 key of a validator: from its seed (hex), or a new one. */
export function validatorKey(seed = crypto.randomBytes(32).toString('hex')) {
  const key = crypto.createPrivateKey({ key: Buffer.from(PKCS8 + seed.replace(/^0x/, ''), 'hex'), format: 'der', type: 'pkcs8' });
  const publicKey = '0x' + Buffer.from(crypto.createPublicKey(key).export({ format: 'jwk' }).x, 'base64url').toString('hex');
  return { publicKey, sign: (message) => '0x' + crypto.sign(null, Buffer.from(ethers.getBytes(message)), key).toString('hex') };
}

/** An account that sends without asking for gas or nonce, so that many can act in one block. */
export class Actor {
  constructor(key, provider) {
    this.wallet = new ethers.Wallet(key, provider);
    this.address = this.wallet.address;
    this.provider = provider;
    this.staking = at(SYSTEM.staking, 'IStaking', this.wallet);
    this.distribution = at(SYSTEM.distribution, 'IDistribution', this.wallet);
    this.slashing = at(SYSTEM.slashing, 'ISlashing', this.wallet);
  }

  /** Submit and give the hash; tip is wei a gas. */
  async send(contract, name, args, value = 0n, tip = 1n) {
    this.nonce ??= await this.provider.getTransactionCount(this.address, 'pending');
    this.chainId ??= (await this.provider.getNetwork()).chainId;
    const tx = { type: 2, chainId: this.chainId, nonce: this.nonce++, to: contract.target, value, data: contract.interface.encodeFunctionData(name, args), gasLimit: GAS, maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: tip };
    return this.provider.send('eth_sendRawTransaction', [await this.wallet.signTransaction(tx)]);
  }

  /** Submit and wait until it is in a block: the receipt, whatever its status. */
  async do(contract, name, args = [], value = 0n) {
    const hash = await this.send(contract, name, args, value);
    return receipt(this.provider, hash);
  }

  async create(key, stake, bps = [1000, 2000, 100]) {
    const proof = key.sign(await this.staking.proofMessage(this.address));
    return this.do(this.staking, 'createValidator', [key.publicKey, proof, ['m', '', '', ''], ...bps, coins('1')], stake);
  }
}

export async function receipt(provider, hash, patienceMs = 30000) {
  for (const begun = Date.now(); Date.now() - begun < patienceMs; ) {
    const found = await provider.send('eth_getTransactionReceipt', [hash]);
    if (found) return { ...found, ok: found.status === '0x1', number: Number(found.blockNumber) };
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  const pool = await provider.send('txpool_inspect', []);
  throw new Error(`transaction ${hash} is in no block; the pool has ${JSON.stringify(pool)}`);
}

/** One random action of one of the actors, submitted: its hash. Some are meant to be refused. */
export async function randomAction(rng, actors, operators, biggest = coins('5')) {
  const actor = rng.pick(actors);
  let [v, w] = [rng.pick(operators), rng.pick(operators)];
  const tip = BigInt(Math.floor(rng.unit() * Number(TIP_MAX)));
  const { staking, distribution } = actor;
  const send = (contract, name, args, value = 0n) => actor.send(contract, name, args, value, tip);
  const part = async () => {
    const mine = await staking.delegations(actor.address, 0, 50);
    const { operator, shares } = mine.length && rng.below(12) ? rng.pick([...mine]) : await staking.delegation(actor.address, v);
    v = operator;
    return rng.below(8) === 0 ? shares : rng.upTo(shares) + (rng.below(12) === 0 ? shares : 0n);
  };
  switch (rng.below(12)) {
    case 0: case 1: case 2: case 3:
      return send(staking, 'delegate', [v], rng.upTo(biggest) + 1n);
    case 4: case 5:
      return part().then((shares) => send(staking, 'undelegate', [v, shares]));
    case 6: case 7:
      return part().then((shares) => send(staking, 'redelegate', [v, w, shares]));
    case 8: {
      const mine = await staking.unbondings(actor.address, 0, 100);
      return mine.length && rng.below(2) ? send(staking, 'cancelUnbonding', [rng.pick([...mine]).id]) : send(staking, 'withdrawUnbonded', [200]);
    }
    case 9:
      return send(distribution, 'claimRewards', [operators.filter(() => rng.below(2))]);
    case 10:
      return send(staking, 'settle', [rng.pick(actors).address, v]);
    default:
      return send(distribution, 'claimCommission', []);
  }
}
