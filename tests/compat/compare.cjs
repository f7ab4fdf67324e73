/*
 * compare: two runs of a suite must have the same results, but for named exceptions.
 *
 *     node compare.cjs NAME PLAIN.json NODEY.json EXCEPTIONS
 */
'use strict';

const fs = require('node:fs');

const [, , name, plainFile, nodeyFile, exceptionsFile] = process.argv;
const STATES = { passes: 'passed', failures: 'failed', pending: 'skipped' };

/* Of tests with the same title the second is "title #2". */
function read(file) {
    const results = new Map();
    const counts = {};
    const data = JSON.parse(fs.readFileSync(file, 'utf8'));
    for (const [member, state] of Object.entries(STATES)) {
        counts[state] = data[member].length;
    }
    const seen = new Map();
    for (const [member, state] of Object.entries(STATES)) {
        for (const { fullTitle, err } of data[member]) {
            const count = (seen.get(fullTitle) ?? 0) + 1;
            seen.set(fullTitle, count);
            results.set(count === 1 ? fullTitle : `${fullTitle} #${count}`, { state, why: err?.message });
        }
    }
    return { results, counts };
}

/* Lines "NAME | title | reason". */
function readExceptions() {
    const found = new Map();
    for (const line of fs.readFileSync(exceptionsFile, 'utf8').split('\n')) {
        if (line.startsWith('#') || line.trim() === '') continue;
        const [suite, title, reason] = line.split(' | ').map((part) => part.trim());
        if (!reason) throw new Error(`${exceptionsFile}: no reason is given in: ${line}`);
        if (suite === name) found.set(title, reason);
    }
    return found;
}

function show(label, { counts }) {
    console.log(`${label}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}

const plain = read(plainFile);
const nodey = read(nodeyFile);
const exceptions = readExceptions();
show('as it is     ', plain);
show('through nodey', nodey);

let excused = 0;
let different = 0;
for (const title of new Set([...plain.results.keys(), ...nodey.results.keys()])) {
    const before = plain.results.get(title)?.state ?? 'not run';
    const { state: after, why } = nodey.results.get(title) ?? { state: 'not run' };
    if (before === after) continue;
    if (exceptions.has(title)) {
        excused++;
        console.log(`excepted: ${title}: ${exceptions.get(title)}`);
        continue;
    }
    different++;
    console.log(`DIFFERENT: ${title}: ${before}, and ${after} through nodey${why ? `: ${why}` : ''}`);
}
for (const title of exceptions.keys()) {
    const [before, after] = [plain, nodey].map(({ results }) => results.get(title)?.state);
    if (before === after) console.log(`needs no exception any more: ${title}`);
}
console.log(`${name}: ${different} different, ${excused} excepted, of ${plain.results.size}`);
if (plain.results.size === 0) console.log(`${name}: no test was run at all`);
process.exit(different > 0 || plain.results.size === 0 ? 1 : 0);
