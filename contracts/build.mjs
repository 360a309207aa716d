// build.mjs: compile every contract to artifacts/<Name>.json with the pinned solc.
//
//   npm ci && npm run build      write the artifacts (they are checked in, so that building the node needs no Node.js)
//   npm run check                compile and compare: exit 1 and name what differs
//
// An artifact is a pure function of the sources and the compiler: no metadata hash, fixed settings, sorted keys.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import solc from 'solc';

const here = path.dirname(fileURLToPath(import.meta.url));
const folders = ['interfaces', 'lib', 'system', 'proof', 'examples'];
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'prague',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.deployedBytecode.immutableReferences'] } },
};

const sources = {};
for (const folder of folders) {
  for (const file of fs.readdirSync(path.join(here, folder)).filter((f) => f.endsWith('.sol')).sort()) {
    sources[`${folder}/${file}`] = { content: fs.readFileSync(path.join(here, folder, file), 'utf8') };
  }
}
// Libraries come from node_modules, at the versions that package-lock.json pins.
const library = (name) => {
  const file = path.join(here, 'node_modules', name);
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, 'utf8') } : { error: `${name} is not installed; run: npm ci` };
};
// The optimizer's other pipeline takes long and makes smaller code: for what would be over the 24,576 bytes of EIP-170.
const viaIr = ['system/Staking.sol'];

function compile(extra, chosen) {
  const output = JSON.parse(solc.compile(
    JSON.stringify({ language: 'Solidity', sources, settings: { ...settings, ...extra } }), { import: library }));
  for (const e of output.errors ?? []) if (!/EIP-1153|exceeds 24576/.test(e.message)) console.error(e.formattedMessage);
  if ((output.errors ?? []).some((e) => e.severity === 'error')) process.exit(1);
  return Object.entries(output.contracts).filter(([source]) => source in sources && chosen(source)); // without the libraries' own
}
const { '*': outputs } = settings.outputSelection;
const compiled = [
  ...compile({}, (source) => !viaIr.includes(source)),
  ...compile({ viaIR: true, outputSelection: Object.fromEntries(viaIr.map((s) => [s, outputs])) }, (source) => viaIr.includes(source)),
];

const artifacts = new Map();
for (const [source, contracts] of compiled) {
  for (const [name, c] of Object.entries(contracts)) {
    const artifact = {
      name,
      source,
      compiler: solc.version(),
      abi: c.abi,
      bytecode: '0x' + c.evm.bytecode.object,
      deployedBytecode: '0x' + c.evm.deployedBytecode.object,
    };
    artifacts.set(`${name}.json`, JSON.stringify(artifact, null, 1) + '\n');
  }
}

const folder = path.join(here, 'artifacts');
if (process.argv.includes('--check')) {
  const have = fs.readdirSync(folder).filter((f) => f.endsWith('.json'));
  const differ = [...new Set([...have, ...artifacts.keys()])].sort().filter(
    (f) => !artifacts.has(f) || !have.includes(f) || fs.readFileSync(path.join(folder, f), 'utf8') !== artifacts.get(f));
  for (const f of differ) console.error(`artifacts/${f} is not what the sources give; run: npm run build`);
  console.log(`${artifacts.size - differ.length} of ${artifacts.size} artifacts are reproduced`);
  process.exit(differ.length === 0 ? 0 : 1);
}
fs.mkdirSync(folder, { recursive: true });
for (const [file, text] of artifacts) fs.writeFileSync(path.join(folder, file), text);
console.log(`${artifacts.size} artifacts written`);
