/* run.cjs: why a worker does not start, also when it never loads the SDK. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startWorker, script } = require('./lib/worker.js');

const PRELOADED = [process.execPath, '--require', path.join(SDK, 'run.cjs')];
const folder = path.join(path.dirname(script('')), 'startup');
fs.mkdirSync(folder);

function write(files) {
    for (const [name, text] of Object.entries(files)) {
        const file = path.join(folder, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
    }
}

function start(t, name, { env, ...options } = {}) {
    const named = { NODEY_WORKER: path.parse(name).name, ...env };
    return startWorker(t, path.join(folder, name), { command: PRELOADED, env: named, ...options });
}

write({
    'package.json': '{"dependencies":{"listed":"1"}}',
    'node_modules/half/package.json': '{"name":"half","main":"index.js"}',
    'node_modules/half/index.js': "require('deeper');",
    'dep.js': "// needs express\nconst nodey = require('nodey');\nconst express = require('express');",
    'early.js': "const _ = require('no-such-dash/fp');",
    'scoped.mjs': "import x from '@scope/pkg/sub';",
    'listed.js': "require('listed');",
    'half.js': "require('half');",
    'sub.js': "require('half/none');",
    'file.js': "require('./lib/none');",
    'ending.mjs': "import './helper';",
    'file.mjs': "import './none.mjs';",
    'typo.js': "// two helpers\nconst helper = require('./helperz');",
    'typo.mjs': "import './Dep.js';",
    'up.js': "require('./conf/settings');",
    'conf/setting.json': '{}',
    'end.js': 'function a() {\n    return 1;\n',
    'helper.js': 'module.exports = 1;',
    'bad.js': 'const a = 1;\nconst = 5;\n',
    'bad.mjs': 'const a = 1;\nconst = 5;\n',
    'deep.mjs': "import './bad.mjs';",
    'name.mjs': "import { nope } from './ok.mjs';",
    'ok.mjs': 'export const a = await 1;',
    'import.cjs': "import fs from 'node:fs';",
    'require.mjs': "const nodey = require('nodey');",
    'esm.js': "require('./ok.mjs');",
    'throws.js': "function connect() { throw new TypeError('no database'); }\nconnect();",
    'rejects.mjs': "import 'nodey'; throw new RangeError('no luck');",
    'silent.js': "console.log('hello');",
    'empty.mjs': "import nodey from 'nodey'; console.log('hello');",
    'exits.js': "require('nodey').get('/', () => 1); process.exit(0);",
});

const FAILURES = [
    // script, message, stack
    ['dep.js', /^dep needs the package "express", which is not installed: run {2}npm install express {2}in \/.*startup$/,
        /\n {4}at \/.*dep\.js:3$/],
    ['early.js', /^early needs the package "no-such-dash", .* npm install no-such-dash {2}in /, /early\.js:1$/],
    ['scoped.mjs', /^scoped needs the package "@scope\/pkg", .* npm install @scope\/pkg {2}in /, /scoped\.mjs:1$/],
    ['listed.js', /^listed needs the package "listed", .*: run {2}npm install {2}in \/.*startup$/, /./],
    ['half.js', /^half needs the package "deeper", .*: run {2}npm install {2}in \/.*startup$/, /./],
    ['sub.js', /sub\.js needs "half\/none", which the installed package "half" does not have/, /./],
    ['file.js', /file\.js:1 needs the file .*lib\/none, which is not there$/, /file\.js:1$/],
    ['file.mjs', /file\.mjs:1 needs the file .*none\.mjs, which is not there$/, /file\.mjs:1$/],
    ['typo.js', /typo\.js:2 needs the file .*helperz, which is not there: did you mean \.\/helper\.js\?$/, /typo\.js:2$/],
    ['typo.mjs', /typo\.mjs:1 needs the file .*Dep\.js, which is not there: did you mean \.\/dep\.js\?$/, /typo\.mjs:1$/],
    ['up.js', /up\.js:1 needs the file .*settings, which is not there: did you mean \.\/conf\/setting\.json\?$/, /up\.js:1$/],
    ['ending.mjs', /ending\.mjs needs .*helper, but an ES module names the whole file: helper\.js$/, /./],
    ['bad.js', /bad\.js:2: SyntaxError: Unexpected token '=' in: const = 5;$/, /bad\.js:2\nconst = 5;\n {6}\^\n/],
    ['bad.mjs', /bad\.mjs:2: SyntaxError: Unexpected token '=' in: const = 5;$/, /bad\.mjs:2\nconst = 5;\n {6}\^\n/],
    ['end.js', /end\.js:\d: SyntaxError: Unexpected end of input$/, /end\.js:\d\n/],
    ['deep.mjs', /bad\.mjs:2: SyntaxError: Unexpected token '=' in: const = 5;$/, /bad\.mjs:2\n/],
    ['name.mjs', /name\.mjs:1: SyntaxError: .*export named 'nope': look how the name is spelled/, /name\.mjs:1\n/],
    ['import.cjs', /import\.cjs:1: SyntaxError: .* this is an ES module: rename import\.cjs to import\.mjs/, /import\.cjs:1\n/],
    ['require.mjs', /require\.mjs:1: there is no require in an ES module: write {2}import nodey from 'nodey'/, /require\.mjs:1/],
    ['esm.js', /ok\.mjs is an ES module, which require\(\) cannot load here: write {2}await import/, /./],
    ['throws.js', /^TypeError: no database$/, /^TypeError: no database\n {4}at connect \(.*throws\.js:1:\d+\)\n.*throws\.js:2:1\)$/],
    ['rejects.mjs', /^RangeError: no luck$/, /rejects\.mjs:1/],
    ['silent.js', /^silent\.js registered no handler: add {2}const nodey = require\('nodey'\); {2}and {2}nodey\.get\('\/path'/, null],
    ['empty.mjs', /^empty\.mjs registered no handler: add {2}import nodey from 'nodey'; /, null],
    ['exits.js', /^exits\.js ended by itself before it was ready$/, null],
];

for (const [name, message, stack] of FAILURES) {
    test(`one frame says why ${name} does not start`, async (t) => {
        const worker = start(t, name);
        let line = await worker.line();
        if (line === 'hello') line = await worker.line();
        const frame = JSON.parse(line);
        assert.deepEqual([frame.type, frame.id, frame.code], ['error', null, 'failed_precondition']);
        assert.match(frame.message, message);
        assert.doesNotMatch(frame.message, /\n/);
        if (stack) assert.match(frame.stack, stack);
        else assert.equal(frame.stack, undefined);
        await worker.finish(1);
        assert.doesNotMatch(worker.stderr, /Error/); // or it would be logged twice
    });
}

test('TypeScript runs where Node can, and elsewhere the message says where', async (t) => {
    write({ 'typed.ts': "const nodey = require('nodey');\nconst path: string = '/a';\nnodey.get(path, () => 1);" });
    const frame = await start(t, 'typed.ts').next();
    if (process.features.typescript) assert.equal(frame.type, 'ready');
    else assert.match(frame.message, /typed\.ts: this Node \(v\d.*\) does not run TypeScript: use Node 22\.18/);
});

test('without the preload a missing package is explained as well, once the SDK is loaded', async (t) => {
    const worker = start(t, 'dep.js', { command: [process.execPath] });
    assert.match((await worker.next()).message, /^dep needs the package "express"/);
    await worker.finish(1);
});

test('by hand Node says it, and nothing is written to stdout', async (t) => {
    const worker = start(t, 'dep.js', { hand: true });
    assert.equal((await worker.ended()).code, 1);
    assert.equal(await worker.line(), null);
    assert.match(worker.stderr, /Cannot find module 'express'/);
});

test('a worker that speaks the protocol by itself is left alone', async (t) => {
    write({ 'level0.js': `
        const lines = require('node:readline').createInterface({ input: process.stdin });
        console.log('{"type":"ready"}');
        lines.on('line', (line) => console.log(JSON.stringify({ id: JSON.parse(line).id, body: 'by hand' })));
    ` });
    for (const fd of [1, 3]) {
        const worker = start(t, 'level0.js', { fd });
        await worker.ready();
        assert.deepEqual(await worker.get(1, '/'), { id: 1, body: 'by hand' });
        await worker.finish();
    }
});

test('its crash is told once, too', async (t) => {
    write({ 'crash.js': `console.log('{"type":"ready"}'); setTimeout(() => { throw new Error('late'); }, 50);` });
    const worker = start(t, 'crash.js');
    await worker.ready();
    assert.equal((await worker.next()).message, 'Error: late');
    await worker.finish(1);
    assert.equal(worker.stderr, '');
});

test('children and threads of a worker, which inherit the preload, say nothing', async (t) => {
    write({ 'parent.js': `
        const nodey = require('nodey');
        const { once } = require('node:events');
        nodey.get('/fork', async () => once(require('node:child_process').fork(__dirname + '/child.js'), 'exit').then(([code]) => code));
        nodey.get('/thread', async () => once(new (require('node:worker_threads').Worker)(__dirname + '/child.js'), 'error')
            .then(([error]) => error.message));
    `, 'child.js': "setTimeout(() => { throw new Error('child'); }, 10);" });
    const worker = start(t, 'parent.js');
    await worker.ready();
    assert.deepEqual(await worker.get(1, '/fork'), { id: 1, json: 1 });
    assert.deepEqual(await worker.get(2, '/thread'), { id: 2, body: 'child' });
    await worker.finish();
});

test('a script that survives its exceptions is not stopped by the preload', async (t) => {
    write({ 'survivor.js': `
        process.on('uncaughtException', () => console.log('survived'));
        setTimeout(() => { require('nodey').get('/', () => 1); }, 50);
        throw new Error('x');
    ` });
    const worker = start(t, 'survivor.js');
    await worker.ready();
    await worker.finish();
    assert.match(worker.stderr, /^survived$/m); // what is printed is for the log, also before the SDK is loaded
});

test('a link to nodey that is gone: nodey makes it again, npm has nothing to do with it', async (t) => {
    const bare = fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-bare-'));
    t.after(() => fs.rmSync(bare, { recursive: true }));
    for (const [name, text] of [['a.js', "require('nodey');"], ['a.mjs', "import 'nodey';"]]) {
        fs.writeFileSync(path.join(bare, name), text);
        const worker = startWorker(t, path.join(bare, name), { command: PRELOADED, env: { NODE_PATH: '' } });
        const { message } = await worker.next();
        assert.equal(message, `${path.join(bare, name)} does not find the package "nodey": ` +
            `the link ${bare}/node_modules/nodey is gone (npm install removes it); ` +
            'nodey puts it back when it starts the program again');
        await worker.finish(1);
    }
});
