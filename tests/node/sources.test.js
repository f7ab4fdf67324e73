/* ready.files: what is watched for changes. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startWorker, script } = require('./lib/worker.js');
const { follow } = require(path.join(SDK, 'lib/sources.cjs'));

const folder = path.join(path.dirname(script('')), 'sources');

function write(files) {
    for (const [name, text] of Object.entries(files)) {
        const file = path.join(folder, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
    }
}

async function filesOf(t, name) {
    const worker = startWorker(t, path.join(folder, name));
    const { files } = await worker.ready();
    await worker.finish();
    return files.map((file) => path.relative(folder, file)).sort();
}

write({
    'node_modules/pack/index.js': 'module.exports = 1;',
    'common.js': "const nodey = require('nodey'); require('pack'); require('./lib/a'); nodey.get('/', () => 1);",
    'lib/a.js': "require('./data.json'); require('node:fs');",
    'lib/data.json': '{}',
    'module.mjs': `
        import nodey from 'nodey';
        import pack from 'pack';
        import { b } from "./lib/b.mjs";
        export * from './lib/c.mjs?x#y';
        import './lib/../lib/side.mjs'; // import './lib/never-there.mjs'
        const late = () => import('./lib/late.mjs');
        nodey.get('/', () => [b, late]);
    `,
    'lib/b.mjs': "import { createRequire } from 'node:module';\nexport const b = createRequire(import.meta.url)('./data.json');",
    'lib/c.mjs': "import { b } from './b.mjs';\nexport { b as c };\nimport '../module.mjs';",
    'lib/side.mjs': '',
    'lib/late.mjs': "import './later.mjs';",
    'lib/later.mjs': '',
    'lazy.js': `
        const nodey = require('nodey');
        nodey.get('/', () => { require('./lib/' + 'a'); return 'loaded'; });
    `,
});

test('of CommonJS all that was loaded, but for packages and the SDK', async (t) => {
    assert.deepEqual(await filesOf(t, 'common.js'), ['common.js', 'lib/a.js', 'lib/data.json']);
});

test('of ES modules all that is imported, also by names and later', async (t) => {
    assert.deepEqual(await filesOf(t, 'module.mjs'), ['lib/b.mjs', 'lib/c.mjs', 'lib/data.json', 'lib/late.mjs',
        'lib/later.mjs', 'lib/side.mjs', 'module.mjs']);
});

test('a script that is a link counts as both files', async (t) => {
    fs.symlinkSync('common.js', path.join(folder, 'link.js'));
    assert.ok((await filesOf(t, 'link.js')).join().startsWith('common.js,lib/a.js,lib/data.json,link.js'));
});

for (const name of ['NODEY_DEV', 'NODEY_WATCH']) {
    test(`with ${name} what is loaded later is declared by another ready`, async (t) => {
        const worker = startWorker(t, path.join(folder, 'lazy.js'), { env: { [name]: '1' } });
        assert.equal((await worker.ready()).files.length, 1);
        worker.send({ id: 1, method: 'GET', path: '/' });
        assert.equal((await worker.next()).body, 'loaded');
        const { files } = await worker.ready();
        assert.deepEqual(files.map((file) => path.basename(file)), ['lazy.js', 'a.js', 'data.json']);
        await worker.finish();
    });
}

test('otherwise it is not', async (t) => {
    const worker = startWorker(t, path.join(folder, 'lazy.js'));
    await worker.ready();
    await worker.get(1, '/');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await worker.finish();
});

test('a thousand files are not all followed, and a huge one is not read', () => {
    const many = Array.from({ length: 1000 }, (_, at) => `many${at}.mjs`);
    write(Object.fromEntries(many.map((name) => [name, ''])));
    write({ 'all.mjs': many.map((name) => `import './${name}';`).join('\n') });
    const files = new Set([path.join(folder, 'all.mjs')]);
    follow(files);
    assert.equal(files.size, 500);
    write({ 'huge.mjs': `import './ok.mjs';${' '.repeat(2 ** 20)}`, 'ok.mjs': '' });
    const huge = new Set([path.join(folder, 'huge.mjs')]);
    follow(huge);
    assert.equal(huge.size, 1);
});
