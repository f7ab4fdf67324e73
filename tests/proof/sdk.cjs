// As worker.py, by the SDK: a group of its own, whose outputs go with the ack.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const nodey = require('nodey');

const journal = fs.openSync(path.join(process.env.PROOF_FOLDER, 'journal'), 'a');
const note = (...words) => fs.writeSync(journal, `\n${words.join(' ')} .\n`);

nodey.on('fact.sdk', async (event) => {
    note('D', 'node', event.seq, event.id, event.key || '-', event.attempt, process.pid, Date.now(), '-');
    if (event.data.id !== event.id) note('X', 'node', event.seq, 'has other data');
    await nodey.publish('out.node', { of: event.id, group: 'node' });
    note('S', 'node', event.seq, event.id, 'ack', process.pid);
}, { group: 'node', from: 'first', max: 8, attempts: 5, backoff: [20] });
