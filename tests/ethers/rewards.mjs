// rewards.mjs: random actions of delegators and operators on a chain of instant blocks; an independent model replays its blocks and has to
// come to the same rewards, stakes and unbondings, to the last unit.
//
//   SAMEBIT_BLOCKS   how many (1000)        SAMEBIT_SEED   which actions (1)
import path from 'node:path';
import { finish, scratch, start, test } from './lib.mjs';
import { Actor, chance, coins, randomAction, receipt, validatorKey } from './actors.mjs';
import { Facts } from './facts.mjs';

const BLOCKS = Number(process.env.SAMEBIT_BLOCKS ?? 1000);
const SEED = Number(process.env.SAMEBIT_SEED ?? 1);

await test(`rewards of ${BLOCKS} blocks of random actions match the model (SAMEBIT_SEED=${SEED})`, async () => {
  const folder = path.join(scratch(), 'chain');
  // One validator decides alone; the others are candidates too weak for the set, whom stake comes to and leaves all the same.
  const node = await start('dev', '--datadir', folder, '--staking', 'validatorsMax=1', '--staking', 'unbondingSeconds=4');
  const facts = new Facts(node.provider, path.join(folder, 'genesis.json'));
  const rng = chance(SEED);
  const actors = node.keys.map((key) => new Actor(key, node.provider));
  const operators = [actors[0].address];
  const mine = async (hash) => facts.follow(await receipt(node.provider, hash));
  await mine(await actors[5].send(actors[5].staking, 'delegate', [actors[0].address], coins('3')));
  for (const actor of actors.slice(1, 4)) {
    await actor.create(validatorKey(), coins('20'));
    operators.push(actor.address);
  }
  await actors[0].do(actors[0].staking, 'editValidator', [['dev', '', '', ''], 70, coins('2')]);
  const who = actors.map((actor) => actor.address);
  let head = 0;
  let checked = 0;
  while (head < BLOCKS) {
    const several = 1 + (rng.below(4) === 0 ? rng.below(3) : 0);
    const hashes = [];
    for (let i = 0; i < several; i++) hashes.push(await randomAction(rng, actors.slice(1), operators)); // the only validator stays
    await receipt(node.provider, hashes.at(-1));
    if (head - checked >= 50) {
      head = await facts.follow();
      await facts.check(who);
      checked = head;
    } else {
      head++;
    }
  }
  await facts.follow();
  await facts.check(who);
  console.log(await facts.judge(process.env.FACTS ?? path.join(folder, 'facts.json')));
});

await finish();
