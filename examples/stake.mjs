// stake.mjs: staking with plain ethers, without any tool of the node: what `samebit stake` and `samebit validator` do (docs/staking.md).
//
//   npm install ethers@6
//   export RPC=http://127.0.0.1:8545 KEY=0x...
//   node examples/stake.mjs list
//   node examples/stake.mjs delegate OPERATOR 12.5          undelegate OPERATOR 5          claim          withdraw
//   node examples/stake.mjs create SEED 1000 NAME           SEED: of keys/validator.json
import crypto from 'node:crypto';
import fs from 'node:fs';
import { ethers } from 'ethers';

const abi = (name) => JSON.parse(fs.readFileSync(new URL(`../contracts/artifacts/${name}.json`, import.meta.url))).abi;
const provider = new ethers.JsonRpcProvider(process.env.RPC ?? 'http://127.0.0.1:8545');
const wallet = process.env.KEY ? new ethers.Wallet(process.env.KEY, provider) : undefined;
const staking = new ethers.Contract('0x0000000000000000000000000000000000005b12', abi('IStaking'), wallet ?? provider);
const distribution = new ethers.Contract('0x0000000000000000000000000000000000005b13', abi('IDistribution'), wallet ?? provider);
const coins = ethers.formatEther;

async function send(method, ...args) {
  const receipt = await (await method(...args)).wait();
  console.log(`block ${receipt.blockNumber}, transaction ${receipt.hash}`);
}

// The least shares that are worth an amount, at most those that the account has.
async function sharesOf(operator, amount) {
  const [v, mine] = await Promise.all([staking.validator(operator), staking.delegation(wallet.address, operator)]);
  const shares = (ethers.parseEther(amount) * v.shares + v.tokens - 1n) / v.tokens;
  return shares < mine.shares ? shares : mine.shares;
}

const commands = {
  async list() {
    for (const v of await staking.validators(0, 100)) {
      const state = v.tombstoned ? 'tombstoned' : v.jailed ? 'jailed' : v.active ? 'active' : v.listed ? 'candidate' : 'waiting';
      console.log(`${v.operator}  ${state.padEnd(10)}  power ${v.power}  commission ${Number(v.commissionBps) / 100} %  ${v.description.moniker}`);
    }
  },
  delegate: (operator, amount) => send(staking.delegate, operator, { value: ethers.parseEther(amount) }),
  undelegate: async (operator, amount) => send(staking.undelegate, operator, await sharesOf(operator, amount)),
  redelegate: async (from, to, amount) => send(staking.redelegate, from, to, await sharesOf(from, amount)),
  cancel: (id) => send(staking.cancelUnbonding, id),
  withdraw: () => send(staking.withdrawUnbonded, 100),
  async claim() {
    const mine = await staking.delegations(wallet.address, 0, 100);
    await send(distribution.claimRewards, mine.map((d) => d.operator));
  },
  async info(account = wallet.address) {
    for (const d of await staking.delegations(account, 0, 100)) {
      console.log(`${d.operator}  ${coins(d.tokens)} coins, earned ${coins(await distribution.pendingRewards(account, d.operator))}`);
    }
    for (const u of await staking.unbondings(account, 0, 100)) {
      console.log(`unbonding ${u.id}: ${coins(u.payable_)} coins on ${new Date(Number(u.completion) * 1000).toISOString()}`);
    }
  },
  // The proof of possession: an Ed25519 signature by the consensus key over proofMessage(operator).
  async create(seed, stake, moniker) {
    const der = Buffer.from('302e020100300506032b657004220420' + seed.replace(/^0x/, ''), 'hex');
    const key = crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const publicKey = Buffer.from(crypto.createPublicKey(key).export({ format: 'jwk' }).x, 'base64url');
    const proof = crypto.sign(null, ethers.getBytes(await staking.proofMessage(wallet.address)), key);
    // commission 10 %, never over 20 %, at most 1 % a day; at least one coin of one's own
    await send(staking.createValidator, publicKey, proof, { moniker, website: '', contact: '', details: '' }, 1000, 2000, 100, ethers.parseEther('1'), { value: ethers.parseEther(stake) });
  },
};

const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, name ?? '')) {
  console.error(`usage: node stake.mjs ${Object.keys(commands).join('|')} ...`);
  process.exit(2);
}
try {
  await commands[name](...args);
} catch (error) {
  // Errors of the contracts have names.
  const refusal = error.data ? (staking.interface.parseError(error.data) ?? distribution.interface.parseError(error.data)) : null;
  console.error(`error: ${refusal ? `${refusal.name}(${refusal.args.join(', ')})` : (error.shortMessage ?? error.message)}`);
  process.exit(1);
}
