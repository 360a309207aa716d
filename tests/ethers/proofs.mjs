// proofs.mjs: inferences of one chain, proven to contracts that know only its headers: on a chain with the Ed25519 precompile
// (LightClient) and on any EVM chain (CheckpointVerifier, with signatures that the Checkpoints contract collected).
import crypto from 'node:crypto';
import path from 'node:path';
import { SYSTEM, assert, at, deploy, ethers, finish, flips, mined, refused, root, run, scratch, start, test } from './lib.mjs';

const HISTORY = '0x0000F90827F1C53a10cb7A02335B175320002935';
const INTERVAL = 4n;
const DAY_MS = 86_400_000n;
const { keccak256, toBeHex, encodeRlp, decodeRlp, ZeroHash } = ethers;
const hex = (n) => ethers.toQuantity(n);
const rlpInt = (n) => (BigInt(n) === 0n ? '0x' : toBeHex(n));

// ---- a chain with inferences

const samebit = await start('dev', '--staking', `checkpointInterval=${INTERVAL}`);
const provider = samebit.provider;
const owner = samebit.wallet(0);
const folder = scratch();
const model = path.join(folder, 'digits.sbm');
run('model', 'import', path.join(root, 'examples/models/digits_cnn.onnx'), '--calibrate', path.join(root, 'examples/models/digits_cnn_rows.npz'), '--output', model);
const deployed = run('model', 'deploy', model, '--rpc', samebit.url, '--key', samebit.keys[0], '--silent');
const modelId = deployed.match(/^id: (0x[0-9a-f]{64})/m)[1];
const reader = await deploy(owner, 'DigitReader', modelId);

const image = (seed) => ethers.hexlify(Uint8Array.from({ length: 64 }, (_, i) => (i * 7 + seed * 13) % 17));
const receipts = [];
for (let i = 0; i < 6; i++) receipts.push(await mined(reader.read(image(i))));
const genesisHash = (await provider.getBlock(0)).hash;
const chainId = (await provider.getNetwork()).chainId;

// ---- what a proof holds, in the contracts' forms

const lightBlock = async (height) => decodeRlp(await provider.send('samebit_getLightBlock', [hex(height)]));
const proofOf = (receipt, index = 0) => provider.send('samebit_getInferenceProof', [receipt.hash, hex(index)]);
const recordOf = (p) => ({
  txHash: p.record.transactionHash, index: Number(p.record.index), caller: p.record.caller,
  modelId: p.record.modelId, inputHash: p.record.inputHash, outputHash: p.record.outputHash,
});
const pathOf = (p) => ({ index: Number(p.path.index), count: Number(p.path.count), siblings: p.path.siblings });
const setOf = (list) => list.map(([, key, power]) => ({ key, power: BigInt(power) }));
const entriesOf = (commit) => commit[3].map(([flag, signature]) => {
  const s = signature === '0x' ? ZeroHash + ZeroHash.slice(2) : signature;
  return { flag: flag === '0x' ? 0 : Number(flag), r: ethers.dataSlice(s, 0, 32), s: ethers.dataSlice(s, 32, 64) };
});
const parts = async (height) => {
  const [header, commit, set, next] = await lightBlock(height);
  return {
    header: encodeRlp(header), round: commit[1] === '0x' ? 0 : Number(commit[1]),
    set: setOf(set), next: setOf(next), entries: entriesOf(commit),
  };
};

await test('records_tell_what_the_contract_asked', async () => {
  for (const receipt of receipts) {
    const p = await proofOf(receipt);
    assert.equal(p.record.transactionHash, receipt.hash);
    assert.equal(ethers.getAddress(p.record.caller), await reader.getAddress());
    assert.equal(p.record.modelId, modelId);
    assert.equal(keccak256(p.input), p.record.inputHash);
    assert.equal(keccak256(p.output), p.record.outputHash);
  }
});

// ---- the light client as a contract

const first = await parts(1);
const client = await deploy(owner, 'LightClient', genesisHash, DAY_MS, first.header);

await test('light_client_follows_and_proves_every_inference', async () => {
  for (const receipt of receipts) {
    const b = await parts(receipt.blockNumber);
    const p = await proofOf(receipt);
    await refused(client.verifyInference(b.header, recordOf(p), pathOf(p)), client, 'Unknown');
    await mined(client.update(b.header, b.round, b.set, b.entries, first.next, [0]));
    assert.equal(await client.height(), BigInt(receipt.blockNumber));
    assert.equal(await client.verifyInference(b.header, recordOf(p), pathOf(p)), BigInt(receipt.blockNumber));
  }
});

await test('light_client_goes_backwards_by_the_hash', async () => {
  const b = await parts(receipts[1].blockNumber);
  const below = await parts(receipts[1].blockNumber - 1);
  const other = await parts(receipts[1].blockNumber - 2);
  await refused(client.updateBackwards.staticCall(b.header, other.header), client, 'BadHeight');
  await mined(client.updateBackwards(b.header, below.header));
  assert.equal(await client.trusted(keccak256(below.header)), BigInt(receipts[1].blockNumber - 1));
});

await test('light_client_refuses_every_changed_bit', async () => {
  const height = await provider.getBlockNumber();
  const b = await parts(height);
  const fails = (promise) => promise.then(() => assert.fail('a changed bit was accepted'), (e) => assert.equal(e.code, 'CALL_EXCEPTION'));
  const update = (x) => client.update.staticCall(x.header, x.round, x.set, x.entries, first.next, [0]);
  await update(b);
  for (const header of flips(b.header, 160)) await fails(update({ ...b, header }));
  for (const r of flips(b.entries[0].r, 32)) await fails(update({ ...b, entries: [{ ...b.entries[0], r }] }));
  for (const s of flips(b.entries[0].s, 32)) await fails(update({ ...b, entries: [{ ...b.entries[0], s }] }));
  await fails(update({ ...b, round: b.round + 1 }));
  await fails(update({ ...b, set: [{ ...b.set[0], power: b.set[0].power + 1n }] }));
  await fails(update({ ...b, entries: [{ ...b.entries[0], flag: 2 }] }));
  await fails(update({ ...b, entries: [] }));

  const p = await proofOf(receipts[0]);
  const { header } = await parts(receipts[0].blockNumber);
  const record = recordOf(p);
  for (const field of ['txHash', 'caller', 'modelId', 'inputHash', 'outputHash']) {
    for (const changed of flips(record[field], 24)) await fails(client.verifyInference(header, { ...record, [field]: changed }, pathOf(p)));
  }
  await fails(client.verifyInference(header, { ...record, index: 1 }, pathOf(p)));
  await fails(client.verifyInference(header, record, { ...pathOf(p), count: 2 }));
  await fails(client.verifyInference(header, record, { index: 1, count: 2, siblings: [ZeroHash] }));
});

// A header and a commit of a hundred validators, made here: what the contract needs of them, and no chain.
await test('light_client_checks_a_commit_of_100_validators', async () => {
  const keys = Array.from({ length: 100 }, () => crypto.generateKeyPairSync('ed25519'));
  const raw = (key) => '0x' + key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
  const set = keys.map((k, i) => ({ key: raw(k.publicKey), power: BigInt(1000 - i) }));
  const encoded = set.map((v) => ['0x01', v.key, rlpInt(v.power)]);
  const places = set.map((_, i) => i);
  const setHash = keccak256(encodeRlp(encoded));
  const now = BigInt((await provider.getBlock('latest')).timestamp) * 1000n;
  const head = (height, timeMs) => encodeRlp([
    '0x01', rlpInt(chainId), rlpInt(height), rlpInt(timeMs), ZeroHash, setHash, setHash, ZeroHash, ZeroHash, ZeroHash, ZeroHash, ZeroHash,
    '0x' + '11'.repeat(20), '0x', ZeroHash]);
  const c = await deploy(owner, 'LightClient', genesisHash, DAY_MS, head(1, now - 5000n));
  const header = head(1000, now - 1000n);
  const message = ethers.getBytes(encodeRlp([
    ethers.hexlify(ethers.toUtf8Bytes('samebit/vote')), rlpInt(chainId), genesisHash, '0x02', rlpInt(1000), '0x', keccak256(header), '0x']));
  const entries = keys.map((k) => {
    const s = crypto.sign(null, message, k.privateKey);
    return { flag: 1, r: ethers.hexlify(s.subarray(0, 32)), s: ethers.hexlify(s.subarray(32)) };
  });
  const receipt = await mined(c.update(header, 0, set, entries, set, places, { gasLimit: 16_000_000 }));
  console.log(`   a commit of 100 validators costs ${receipt.gasUsed} gas in a contract, skipping`);
  assert.equal(await c.height(), 1000n);
  const short = entries.map((e, i) => (i < 60 ? { ...e, flag: 0 } : e));
  await refused(c.update.staticCall(head(1001, now - 500n), 0, set, short, set, places, { gasLimit: 16_000_000 }), c, 'BadSignature');
});

// ---- another chain, without anything of ours

const other = await start('dev', '--no-staking', '--chain-id', '31337');
const there = other.wallet(0);
const checkpoints = at(SYSTEM.checkpoints, 'ICheckpoints', owner);
const signer = samebit.wallet(5);
const checkpointOf = async (height) => ({
  genesisHash, height, blockHash: (await provider.getBlock(height)).hash,
  setHash: await checkpoints.signersHash({ blockTag: height }),
});
const plain = ({ signers, totalPower }) => ({ signers: signers.map(({ account, power }) => ({ account, power })), totalPower });
const nextCheckpoint = async () => {
  const head = BigInt(await provider.getBlockNumber());
  const height = (head / INTERVAL + 1n) * INTERVAL;
  while (BigInt(await provider.getBlockNumber()) <= height) await mined(owner.sendTransaction({ to: owner.address, value: 1n }));
  return Number(height);
};

await test('validators_register_signers_with_a_proof', async () => {
  const digest = await checkpoints.signerDigest(owner.address);
  const proof = signer.signingKey.sign(digest).serialized;
  const stranger = at(SYSTEM.checkpoints, 'ICheckpoints', samebit.wallet(1));
  await refused(stranger.setSigner.staticCall(signer.address, proof), at(SYSTEM.staking, 'IStaking', owner), 'UnknownValidator');
  await refused(checkpoints.setSigner.staticCall(samebit.wallet(6).address, proof), checkpoints, 'BadProof');
  await mined(checkpoints.setSigner(signer.address, proof));
  assert.equal(await checkpoints.signerOf(owner.address), signer.address);
  const set = await checkpoints.signers();
  assert.equal(set.signers.length, 1);
  assert.equal(set.signers[0].power, set.totalPower);
});

const TIMESTAMP = 11; // field of an Ethereum header
const withField = (header, i, value) => encodeRlp(decodeRlp(header).with(i, value));
const rawHeader = (height) => provider.send('debug_getRawHeader', [hex(height)]);
const c0 = await nextCheckpoint();
const verifierSince = async (height, trustingPeriod) =>
  deploy(there, 'CheckpointVerifier', chainId, genesisHash, await rawHeader(height), (await checkpointOf(height)).setHash, trustingPeriod);
const verifier = await verifierSince(c0, 86_400);
const later = [];
for (let i = 0; i < 3; i++) later.push(await mined(reader.read(image(20 + i))));
const c1 = await nextCheckpoint();
const checkpoint = await checkpointOf(c1);
const set = plain(await checkpoints.signers({ blockTag: c0 }));
let collected;

await test('signatures_are_collected_as_events', async () => {
  const domain = { name: 'Samebit checkpoints', version: '1', chainId, verifyingContract: SYSTEM.checkpoints };
  const types = { Checkpoint: [{ name: 'genesisHash', type: 'bytes32' }, { name: 'height', type: 'uint64' }, { name: 'blockHash', type: 'bytes32' }, { name: 'setHash', type: 'bytes32' }] };
  assert.equal(await checkpoints.digest(c1, checkpoint.setHash), ethers.TypedDataEncoder.hash(domain, types, checkpoint));
  const signature = await signer.signTypedData(domain, types, checkpoint);
  await refused(checkpoints.sign.staticCall(c1 - 1, checkpoint.setHash, signature), checkpoints, 'NoCheckpoint');
  await refused(checkpoints.sign.staticCall(c1, ZeroHash, signature), checkpoints, 'UnknownSigner');
  await mined(checkpoints.sign(c1, checkpoint.setHash, signature));
  await refused(checkpoints.sign.staticCall(c1, checkpoint.setHash, signature), checkpoints, 'AlreadySigned');
  const [event] = await checkpoints.queryFilter(checkpoints.filters.Signed(c1));
  assert.equal(event.args.signer, signer.address);
  collected = event.args.signature;
});

await test('command_registers_signs_and_shows', async () => {
  const asks = ['--rpc', samebit.url, '--json'];
  const fresh = ethers.Wallet.createRandom();
  await mined(owner.sendTransaction({ to: fresh.address, value: ethers.parseEther('1') }));
  const registered = JSON.parse(run('checkpoint', 'register', '--signer-key', fresh.privateKey, '--key', samebit.keys[0], ...asks));
  assert.equal(registered.events[0].event, 'SignerChanged');
  const height = await nextCheckpoint();
  run('checkpoint', 'sign', '--key', fresh.privateKey, ...asks);
  const shown = JSON.parse(run('checkpoint', 'show', '--height', String(height), ...asks));
  assert.equal(shown.height, height);
  assert.equal(shown.signatures.length, 1);
  const digest = await checkpoints.digest(height, shown.setHash);
  assert.equal(ethers.recoverAddress(digest, shown.signatures[0].signature), fresh.address);
  assert.throws(() => run('checkpoint', 'sign', '--key', fresh.privateKey, '--height', String(height), ...asks), /has signed this checkpoint already/);
  assert.throws(() => run('checkpoint', 'sign', '--key', samebit.keys[3], ...asks), /signs for no validator/);
  assert.throws(() => run('checkpoint', 'sign', '--key', fresh.privateKey, '--height', String(height + 1), ...asks), /is no checkpoint/);
});

await test('other_chain_takes_a_signed_checkpoint', async () => {
  await mined(there.sendTransaction({ to: there.address })); // so that its clock is past the checkpoint's
  const header = await rawHeader(c1);
  const update = (c, s, who, sigs) => [c.header ?? header, c.setHash, s, who, sigs];
  await refused(verifier.update.staticCall(...update(checkpoint, set, [], [])), verifier, 'NoQuorum');
  await refused(verifier.update.staticCall(...update(checkpoint, { ...set, totalPower: set.totalPower + 1n }, [0], [collected])), verifier, 'WrongSet');
  await refused(verifier.update.staticCall(...update({ ...checkpoint, header: await rawHeader(c1 + 1) }, set, [0], [collected])), verifier, 'BadSignature');
  await refused(verifier.update.staticCall(...update({ ...checkpoint, setHash: ZeroHash }, set, [0], [collected])), verifier, 'BadSignature');
  await refused(verifier.update.staticCall(...update({ ...checkpoint, header: await rawHeader(c0) }, set, [0], [collected])), verifier, 'BadHeight');
  await refused(verifier.update.staticCall(...update(checkpoint, set, [0, 0], [collected, collected])), verifier, 'BadSignature');
  const late = withField(header, TIMESTAMP, rlpInt((await there.provider.getBlock('latest')).timestamp + 3600));
  await refused(verifier.update.staticCall(...update({ ...checkpoint, header: late }, set, [0], [collected])), verifier, 'BadTime');
  const receipt = await mined(verifier.update(...update(checkpoint, set, [0], [collected])));
  console.log(`   a checkpoint with one signature costs ${receipt.gasUsed} gas`);
  assert.equal(await verifier.height(), BigInt(c1));
  assert.equal(await verifier.time(), BigInt((await provider.getBlock(c1)).timestamp));
});

const foreignProof = async (receipt, checkpointHeight) => {
  const next = receipt.blockNumber + 1;
  const slot = toBeHex(next % 8191, 32);
  const state = await provider.send('eth_getProof', [HISTORY, [slot], hex(checkpointHeight)]);
  const p = await proofOf(receipt);
  return {
    checkpointHeader: await rawHeader(checkpointHeight), accountProof: state.accountProof, storageProof: state.storageProof[0].proof,
    nextHeader: await rawHeader(next), consensusHeader: (await parts(receipt.blockNumber)).header, record: recordOf(p), path: pathOf(p),
  };
};

await test('other_chain_proves_every_inference_before_the_checkpoint', async () => {
  for (const receipt of [...receipts, ...later]) {
    const proof = await foreignProof(receipt, c1);
    assert.equal(await verifier.verifyInference(proof), BigInt(receipt.blockNumber));
  }
  const proof = await foreignProof(later[0], c1);
  console.log(`   an inference below a checkpoint costs ${await verifier.verifyInference.estimateGas(proof)} gas`);
});

await test('other_chain_refuses_every_changed_bit', async () => {
  const proof = await foreignProof(later[0], c1);
  const fails = (p) => verifier.verifyInference(p).then(() => assert.fail('a changed bit was accepted'), (e) => assert.equal(e.code, 'CALL_EXCEPTION'));
  for (const field of ['checkpointHeader', 'nextHeader', 'consensusHeader']) {
    for (const changed of flips(proof[field], 24)) await fails({ ...proof, [field]: changed });
  }
  for (const field of ['accountProof', 'storageProof']) {
    for (let i = 0; i < proof[field].length; i++) {
      for (const changed of flips(proof[field][i], 8)) await fails({ ...proof, [field]: proof[field].with(i, changed) });
    }
    await fails({ ...proof, [field]: proof[field].slice(0, -1) });
  }
  for (const field of ['txHash', 'caller', 'modelId', 'inputHash', 'outputHash']) {
    for (const changed of flips(proof.record[field], 8)) await fails({ ...proof, record: { ...proof.record, [field]: changed } });
  }
  const elsewhere = await foreignProof(later[1], c1);
  await fails({ ...proof, consensusHeader: elsewhere.consensusHeader });
  await fails({ ...proof, nextHeader: elsewhere.nextHeader });
});

// The period counts from the checkpoint's own time: who is deployed with an old checkpoint, or brings one, gains no time.
await test('other_chain_trusts_a_checkpoint_from_its_own_time_on', async () => {
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await mined(there.sendTransaction({ to: there.address }));
  const tired = await verifierSince(c0, 1);
  await refused(tired.update.staticCall(await rawHeader(c1), checkpoint.setHash, set, [0], [collected]), tired, 'Expired');
});

await finish();
