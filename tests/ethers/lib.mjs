// lib.mjs: what the tests that drive real nodes with ethers share: nodes, contracts, counting.
//
//   await test('name', async () => { ... })      one case; counts, prints ok or FAIL
//   finish()                                     the last line: N passed, M failed, K skipped; the exit status
//
// Nodes listen on ports that the system chose, on loopback; each ends with the test.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ethers } from 'ethers';

export { assert, ethers };
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const samebit = path.join(root, 'build/samebit');

let passed = 0;
let failed = 0;
let skipped = 0;
const nodes = [];
const folders = [];

export async function test(name, run) {
  const begun = Date.now();
  try {
    await run();
    passed++;
    console.log(`ok ${name} # ${Date.now() - begun} ms`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${path.basename(process.argv[1])}::${name} ${process.env.DEBUG ? error.stack : error.shortMessage ?? error.message}`);
  }
}

export function skip(name, why) {
  skipped++;
  console.log(`skip ${name}: ${why}`);
}

export async function finish() {
  for (const node of nodes) await node.stop();
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

/** A folder of this test's own; removed at its end. */
export function scratch() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'samebit-test-'));
  folders.push(folder);
  return folder;
}

/** Run a command of the program and give back what it printed. */
export function run(...args) {
  return execFileSync(samebit, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 });
}

/** Start a node (`dev`, `run` ...) and wait until it listens. */
export async function start(command, ...args) {
  return launch(command, '--port', '0', ...args);
}

/** Start the program with these arguments alone, and wait until it listens. */
export async function launch(...args) {
  const child = spawn(samebit, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const node = { child, stop: async () => (child.exitCode === null && child.kill('SIGINT'), ended) };
  nodes.push(node);
  await new Promise((resolve, reject) => {
    const read = (data) => {
      log += data;
      if (/Listening on (http:\S+)/.test(log)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    ended.then(() => reject(new Error(`the node ended: ${log.slice(-2000)}`)));
  });
  node.url = log.match(/Listening on (http:\S+)/)[1];
  node.keys = [...log.matchAll(/Private key \d+: (0x[0-9a-f]{64})/g)].map((m) => m[1]);
  // Answers are never remembered: a test asks for what is so now.
  node.provider = new ethers.JsonRpcProvider(node.url, undefined, { cacheTimeout: -1, staticNetwork: true, pollingInterval: 50 });
  node.wallet = (i) => new ethers.Wallet(node.keys[i], node.provider);
  node.log = () => log;
  return node;
}

/** The checked-in artifact of a contract. */
export function artifact(name) {
  return JSON.parse(fs.readFileSync(path.join(root, `contracts/artifacts/${name}.json`), 'utf8'));
}

export async function deploy(wallet, name, ...args) {
  const a = artifact(name);
  const contract = await new ethers.ContractFactory(a.abi, a.bytecode, wallet).deploy(...args);
  await contract.waitForDeployment();
  return contract;
}

/** A contract by its interface's artifact. */
export function at(address, name, runner) {
  return new ethers.Contract(address, artifact(name).abi, runner);
}

export const SYSTEM = {
  params: '0x0000000000000000000000000000000000005b10',
  staking: '0x0000000000000000000000000000000000005b12',
  distribution: '0x0000000000000000000000000000000000005b13',
  slashing: '0x0000000000000000000000000000000000005b14',
  checkpoints: '0x0000000000000000000000000000000000005b15',
};

/** Submit, wait, and give the receipt back. */
export async function mined(transaction) {
  return (await transaction).wait();
}

/** That a call or transaction is refused with this custom error. */
export async function refused(promise, contract, errorName) {
  const error = await promise.then(() => null, (e) => e);
  assert.ok(error, `${errorName} expected, but it went through`);
  const data = error.data ?? error.info?.error?.data;
  const parsed = data && contract.interface.parseError(data);
  assert.equal(parsed?.name ?? error.shortMessage ?? error.message, errorName);
}

/** Every change of one bit in some bytes: at most `most` of them, evenly spread. */
export function* flips(hex, most = Infinity) {
  const bytes = ethers.getBytes(hex);
  const step = Math.max(1, Math.ceil((bytes.length * 8) / most));
  for (let bit = 0; bit < bytes.length * 8; bit += step) {
    const changed = Uint8Array.from(bytes);
    changed[bit >> 3] ^= 1 << (bit & 7);
    yield ethers.hexlify(changed);
  }
}
