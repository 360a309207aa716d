// stake.mjs: a life of validators and delegators on a network of four, through a stock wallet library alone.
//
//     node0 node1 node2 node3    the network             node4      bonds, proposes, is stopped, jailed, let out
//                   |
//                 twin           node3's key once more, with a journal of its own: the two sign different blocks when it is their turn
//
// Delegators act at random all along; at the end tests/staking/rewards_model.py replays every block and has to come to the same stakes, slashes,
// rewards and validator sets, to the last unit. SAMEBIT_SEED chooses the actions.
import fs from 'node:fs';
import path from 'node:path';
import { assert, ethers, finish, launch, run, scratch, start, test } from './lib.mjs';
import { Actor, chance, coins, randomAction, receipt, validatorKey } from './actors.mjs';
import { Facts, idOf } from './facts.mjs';

const UNBONDING = 35; // seconds
const WINDOW = 20; // heights, a quarter of which is enough: a restart does not end in jail
const JAIL = 4; // seconds
const PATIENCE_MS = 90000;
const folder = path.join(scratch(), 'net');
const hex = (n) => '0x' + BigInt(n).toString(16);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Look again until it is so. */
async function until(what, look, patienceMs = PATIENCE_MS) {
  for (const begun = Date.now(); Date.now() - begun < patienceMs; await pause(60)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`not so after ${patienceMs} ms: ${what}`);
}

const net = await launch(
  'localnet', '--base-port', '0', '--block-time', '0.25', '--datadir', folder,
  '--staking', `unbondingSeconds=${UNBONDING}`, '--staking', `signedWindow=${WINDOW}`, '--staking', 'signedMinBps=2500', '--staking', `downtimeJailSeconds=${JAIL}`, '--staking', 'entriesMax=32',
);
const nodes = [...net.log().matchAll(/Node (\d+): +(http:\S+) +peers (\S+)/g)].map((m) => ({ dir: path.join(folder, `node${m[1]}`), url: m[2], peer: m[3] }));
const peers = nodes.map((n) => `${run('node-id', '--datadir', n.dir).trim()}@${n.peer}`).join(',');
const p2p = ['--p2p-host', '127.0.0.1', '--p2p-port', '0', '--persistent-peers', peers, '--no-pex', '--p2p-allow-local', '--p2p-per-ip-max', '50', '--p2p-per-subnet-max', '50'];
const provider = new ethers.JsonRpcProvider(nodes[0].url, undefined, { cacheTimeout: -1, staticNetwork: true, pollingInterval: 50 });
const facts = new Facts(provider, path.join(nodes[0].dir, 'genesis.json'));
const rng = chance(Number(process.env.SAMEBIT_SEED ?? 1));
const owners = nodes.map((n) => new Actor(fs.readFileSync(path.join(n.dir, 'keys/operator.key'), 'utf8').trim(), provider));
const people = net.keys.map((key) => new Actor(key, provider));
const [fifth, alice, bob, carol, dora, erin, ...crowd] = people; // the crowd acts at random
const operators = [...owners.map((a) => a.address), fifth.address];
const victim = owners[3];

const height = () => provider.send('eth_blockNumber', []).then(Number);
const set = async (number) => new Map((await provider.send('samebit_getValidators', [hex(number)])).validators.map((m) => [m.operator.toLowerCase(), Number(m.power)]));
const powerOf = async (actor, number) => (await set(number)).get(actor.address.toLowerCase());
const views = () => alice.staking;

/** End a node that `samebit localnet` started. */
async function stopChild(index) {
  const children = fs.readFileSync(`/proc/${net.child.pid}/task/${net.child.pid}/children`, 'utf8').trim().split(' ');
  const pid = children.find((child) => fs.readFileSync(`/proc/${child}/cmdline`, 'utf8').includes(`${nodes[index].dir}\0`));
  process.kill(Number(pid), 'SIGTERM');
  await until(`node${index} has ended`, () => !fs.existsSync(`/proc/${pid}/exe`), 30000);
}

/** What goes on behind: all blocks are read, the crowd acts, now and then all views are noted. */
let living = true;
let acts = [];
const life = (async () => {
  for (let seen = 0; living; await pause(100)) {
    const head = await facts.follow();
    if (acts.length && head > seen) await randomAction(rng, crowd, acts);
    if (Math.floor(head / 40) > Math.floor(seen / 40)) await facts.check(people.map((p) => p.address));
    seen = head;
  }
})();

await test('a fifth validator bonds, counts two blocks later and proposes within the bound', async () => {
  await until('the first block', async () => (await height()) >= 2);
  const dir = path.join(folder, 'late');
  run('init', '--datadir', dir, '--genesis', path.join(nodes[0].dir, 'genesis.json'));
  nodes[4] = { dir, node: await start('run', '--datadir', dir, ...p2p) };
  await until('the fifth node has caught up', async () => Number(await nodes[4].node.provider.send('eth_blockNumber', [])) >= (await height()) - 1);
  const key = validatorKey(JSON.parse(fs.readFileSync(path.join(dir, 'keys/validator.json'))).seed);
  const proof = key.sign(await views().proofMessage(fifth.address));
  assert.equal(run('validator-key', 'prove', '--datadir', dir, '--operator', fifth.address).trim(), `--consensus-key ${key.publicKey} --proof ${proof}`);
  const done = await fifth.do(fifth.staking, 'createValidator', [key.publicKey, proof, ['late', '', '', ''], 1000, 2000, 100, coins('1')], coins('1000'));
  assert.ok(done.ok);
  await until('two blocks', async () => (await height()) >= done.number + 2);
  assert.equal(await powerOf(fifth, done.number + 1), undefined);
  assert.equal(await powerOf(fifth, done.number + 2), 1000);
  const total = [...(await set(done.number + 2)).values()].reduce((a, b) => a + b);
  let bound = done.number + 2 + Math.ceil((17 * total) / (8 * 1000));
  const first = await until('its first block', async () => {
    await facts.follow();
    return facts.blocks.find((b) => b.proposer === idOf(key.publicKey));
  });
  // On a machine that is too busy its turn may pass: a later round then decides the block.
  bound += operators.length * facts.blocks.filter((b) => b.round > 0 && b.number > done.number && b.number < first.number).length;
  assert.ok(first.number <= bound, `first proposal in block ${first.number}, the bound is ${bound}`);
  console.log(`  bonded in block ${done.number}, proposed block ${first.number} (bound ${bound})`);
  acts = operators;
});

await test('delegations move power two blocks later', async () => {
  const before = await powerOf(owners[1], (await height()) + 1);
  const done = await alice.do(alice.staking, 'delegate', [owners[1].address], coins('70'));
  assert.ok(done.ok);
  await until('two blocks', async () => (await height()) >= done.number + 2);
  const [then, now] = [await powerOf(owners[1], done.number + 1), await powerOf(owners[1], done.number + 2)];
  assert.ok(then < before + 40 && now >= then + 60, `${before}, ${then}, then ${now}`); // the crowd moves some coins, too
});

let leaving;
await test('undelegated coins are not paid a second early', async () => {
  const begun = await alice.do(alice.staking, 'undelegate', [owners[1].address, coins('30')]);
  assert.ok(begun.ok);
  [leaving] = await views().unbondings(alice.address, 0, 10);
  assert.equal(Number(leaving.completion), Number((await provider.getBlock(begun.number)).timestamp) + UNBONDING);
  assert.ok(!(await alice.do(alice.staking, 'withdrawUnbonded', [10])).ok);
});

await test('a stopped validator is jailed and slashed, waits, and is let out', async () => {
  const before = await views().validator(fifth.address);
  await nodes[4].node.stop();
  const jailed = await until('the fifth is jailed', async () => {
    const v = await views().validator(fifth.address);
    return v.jailed && v;
  });
  assert.equal(Number(jailed.slashCount), Number(before.slashCount) + 1);
  assert.ok(jailed.tokens < before.tokens + coins('30') && !jailed.listed);
  const at = await height();
  await until('it is out of the set', async () => (await powerOf(fifth, (await height()) + 1)) === undefined);
  const info = await provider.send('samebit_getSigningInfo', [fifth.address]);
  assert.equal(info.jailed, true);
  const early = await fifth.slashing.unjail.staticCall({ blockTag: at }).catch((e) => e);
  assert.equal(fifth.slashing.interface.parseError(early.data)?.name, 'StillJailed');
  nodes[4].node = await start('run', '--datadir', nodes[4].dir, ...p2p);
  await until('the time in jail is over', async () => (await provider.getBlock('latest')).timestamp >= Number(jailed.jailedUntil));
  assert.ok((await fifth.do(fifth.slashing, 'unjail')).ok);
  const out = await height();
  await until('it is back', async () => (await powerOf(fifth, (await height()) + 1)) > 900);
  assert.ok((await height()) <= out + 4);
});

let offence;
await test('one key in two places signs twice: slashed, tombstoned, its delegators with it', async () => {
  for (const d of [bob, carol, erin]) assert.ok((await d.do(d.staking, 'delegate', [victim.address], coins('60'))).ok);
  assert.ok((await dora.do(dora.staking, 'delegate', [victim.address], coins('10'))).ok);
  const before = await views().validator(victim.address);
  // A coin leaves the validator in every block, by redelegation and by undelegation: some before the offence, some between it and its punishment.
  const leave = async () => {
    await bob.send(bob.staking, 'redelegate', [victim.address, owners[2].address, coins('1')]);
    await carol.send(carol.staking, 'undelegate', [victim.address, coins('1')]);
    // Both ways, one after the other: what leaves the second validator still bears what the first did.
    await erin.send(erin.staking, 'redelegate', [victim.address, owners[2].address, coins('1')]);
    await erin.send(erin.staking, 'undelegate', [owners[2].address, coins('1')]);
    const at = await height();
    await until('another block', async () => (await height()) > at, 3000).catch(() => {});
  };
  for (let i = 0; i < 3; i++) await leave();
  // Two of five are away, so that the chain stands still while the victim becomes two: neither misses what the other signs.
  await nodes[4].node.stop();
  await stopChild(2);
  await stopChild(3);
  const twin = path.join(folder, 'twin');
  fs.cpSync(nodes[3].dir, twin, { recursive: true });
  fs.rmSync(path.join(twin, 'keys/node.json'));
  const both = await Promise.all([start('run', '--datadir', nodes[3].dir, ...p2p), start('run', '--datadir', twin, ...p2p)]);
  for (const node of both) await until('the two have peers', async () => Number(await node.provider.send('net_peerCount', [])) >= 2);
  await start('run', '--datadir', nodes[2].dir, ...p2p);
  nodes[4].node = await start('run', '--datadir', nodes[4].dir, ...p2p);
  for (let i = 0; i < 25 && !(await views().validator(victim.address)).tombstoned; i++) await leave();
  const v = await until('the victim is tombstoned', async () => {
    const now = await views().validator(victim.address);
    return now.tombstoned && now;
  });
  const [last] = (await views().slashes(victim.address, 0, 50)).slice(-1);
  const [evidence] = await alice.slashing.evidence(0, 10);
  offence = { height: Number(last.height), block: Number(last.block_), time: Number(last.time), before };
  assert.equal(ethers.getAddress(evidence.consensus), v.consensus);
  assert.equal(Number(last.bps), 500);
  assert.ok(v.jailed && !v.listed && v.tokens < before.tokens);
  const d = await views().delegation(dora.address, victim.address);
  assert.equal(d.tokens, (d.shares * v.tokens) / v.shares);
  assert.ok(d.tokens <= coins('9.5') && d.tokens > coins('9'), `dora has ${d.tokens}`);
  await until('out of the set', async () => (await powerOf(victim, (await height()) + 1)) === undefined);
  for (const node of both) await node.stop();
  assert.ok(!(await victim.do(victim.slashing, 'unjail')).ok);
  console.log(`  offence at height ${offence.height}, punished in block ${offence.block}`);
});

await test('what left after the offence is slashed all the same, what left before is not', async () => {
  assert.ok(offence, 'there was no offence');
  const isLate = (entry) => Number(entry.height) + 1 >= offence.height;
  const between = (entry) => isLate(entry) && Number(entry.height) <= offence.block;
  const exits = [...(await views().unbondings(carol.address, 0, 50))];
  const moves = [...(await views().redelegations(bob.address, owners[2].address))];
  // What left after the punishment had lost its part before, with the pool.
  for (const e of exits) assert.equal(e.payable_, between(e) ? (e.amount * 9500n) / 10000n : e.amount, `unbonding of block ${e.height}`);
  for (const m of moves) assert.equal(m.shares < coins('0.96'), isLate(m), `redelegation of block ${m.height} kept ${m.shares}`);
  const caught = [exits.filter(between).length, moves.filter(between).length];
  assert.ok(caught[0] > 0 && caught[1] > 0, `nothing left between the offence and its punishment: ${caught}`);
  assert.ok(moves.some((m) => !isLate(m)), 'nothing left before the offence');
  assert.ok((await alice.do(alice.staking, 'settle', [bob.address, owners[2].address])).ok); // anyone may
  const twice = (await views().unbondings(erin.address, 0, 100)).filter((e) => e.origin === victim.address);
  assert.ok(twice.some((e) => e.payable_ === (e.amount * 9500n) / 10000n) && twice.some((e) => e.payable_ === e.amount));
  const kept = await views().delegation(bob.address, owners[2].address);
  assert.equal(kept.shares, moves.reduce((sum, m) => sum + m.shares, 0n));
  console.log(`  ${caught[0]} unbondings and ${caught[1]} redelegations of ${exits.length} and ${moves.length} were too late to escape`);
});

await test('unbonding pays out at its second', async () => {
  const due = Number(leaving.completion);
  const paid = await until('it is complete', async () => {
    const head = await provider.getBlock('latest');
    const answer = await alice.staking.withdrawUnbonded.staticCall(10, { blockTag: head.number }).then((v) => v, () => null);
    assert.equal(answer !== null, head.timestamp >= due, `block ${head.number} of second ${head.timestamp}, due ${due}`);
    return answer;
  });
  assert.equal(paid, leaving.payable_);
  const before = await provider.getBalance(alice.address);
  const done = await alice.do(alice.staking, 'withdrawUnbonded', [10]);
  assert.ok(done.ok);
  const fee = BigInt(done.gasUsed) * BigInt(done.effectiveGasPrice);
  assert.equal((await provider.getBalance(alice.address)) - before, paid - fee);
  assert.ok((await provider.getBlock(done.number)).timestamp >= due);
  // Those that were slashed on their way out: what is left of them is paid, the rest is burnt.
  for (const who of [carol, erin]) {
    const list = [...(await views().unbondings(who.address, 0, 100))];
    const last = Math.max(...list.map((e) => Number(e.completion)));
    await until('all unbondings are complete', async () => (await provider.getBlock('latest')).timestamp >= last);
    const answer = await who.staking.withdrawUnbonded.staticCall(100);
    assert.equal(answer, list.reduce((sum, e) => sum + e.payable_, 0n));
    assert.ok((await who.do(who.staking, 'withdrawUnbonded', [100])).ok);
  }
});

await test('the model comes to the same stakes, slashes, rewards and sets', async () => {
  acts = [];
  await pause(600);
  living = false;
  await life;
  await facts.follow();
  await facts.check(people.map((p) => p.address));
  console.log(await facts.judge(process.env.FACTS ?? path.join(folder, 'facts.json')));
});

living = false;
await life.catch(() => {});
await finish();
