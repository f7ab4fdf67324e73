/* nodey.serve({ fetch }): apps that take a Request and return a Response. */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startSource } = require('./lib/worker.js');

async function serve(t, body) {
    const worker = startSource(t, `const nodey = require('nodey'); nodey.serve({ async fetch(request, info, context) { ${body} } });`);
    await worker.ready();
    return worker;
}

function request(id, path, more) {
    return { id, method: 'GET', path, headers: { host: 'example.com' }, ip: '192.0.2.1', ...more };
}

test('a request goes in and a response comes out', async (t) => {
    const worker = await serve(t, `
        const headers = new Headers([['x-a', '1'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['content-type', 'application/json']]);
        const { method, url } = request;
        const seen = { method, url, accept: request.headers.get('accept'), body: await request.text(), ip: info.ip };
        return new Response(JSON.stringify(seen), { status: 201, statusText: 'Well', headers });
    `);
    const { headers, body, status, reason } = await worker.call(request(1, '/a', {
        method: 'POST', query: 'b=1', scheme: 'https', body: 'ä', headers: { host: 'example.com', accept: ['x', 'y'] } }));
    assert.deepEqual(JSON.parse(body), { method: 'POST', url: 'https://example.com/a?b=1', accept: 'x, y', body: 'ä', ip: '192.0.2.1' });
    assert.deepEqual([status, reason], [201, 'Well']);
    assert.deepEqual(headers, { 'x-a': '1', 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
    await worker.finish();
});

test('bytes, nothing, and a HEAD', async (t) => {
    const worker = await serve(t, `
        if (request.url.endsWith('none')) return new Response(null, { status: 204 });
        return new Response(new Uint8Array([0, 255]));
    `);
    assert.deepEqual(await worker.call(request(1, '/')), { id: 1, headers: { 'content-type': [] }, body64: 'AP8=' });
    assert.equal((await worker.call(request(2, '/none'))).status, 204);
    assert.equal((await worker.call(request(3, '/', { method: 'HEAD' }))).body64, undefined);
    await worker.finish();
});

test('bodies stream both ways, within the credit', async (t) => {
    const worker = await serve(t, `
        let size = 0;
        const count = new TransformStream({ transform(bytes, out) { size += bytes.length; out.enqueue(bytes); } });
        return new Response(request.body.pipeThrough(count), { headers: { 'content-type': 'application/octet-stream' } });
    `);
    const piece = { type: 'chunk', id: 1, body64: Buffer.alloc(65536, 1).toString('base64') };
    worker.send({ type: 'hello', limits: { window: 65536 } }, request(1, '/', { method: 'POST', more: true }), piece, piece, piece, piece);
    let got = 0;
    let granted = 0;
    let owed = 65536;
    for (let frame; got < 4 * 65536;) {
        frame = await worker.next();
        if (frame.type === 'credit') {
            granted += frame.bytes;
            continue;
        }
        const size = Buffer.from(frame.body64 ?? '', 'base64').length;
        got += size;
        owed -= size;
        assert.ok(owed >= 0, 'more than there is credit for');
        if (owed === 0) {
            worker.send({ type: 'credit', id: 1, bytes: 65536 });
            owed = 65536;
        }
    }
    worker.send({ type: 'end', id: 1 });
    let last;
    do {
        last = await worker.next();
        if (last.type === 'credit') granted += last.bytes;
    } while (last.type !== 'end');
    assert.ok(granted >= 131072, `${granted} bytes were granted`);
    await worker.finish();
});

test('a source is asked for no more than there is credit for', async (t) => {
    const worker = await serve(t, `
        if (request.url.endsWith('pulls')) return new Response(String(pulls));
        return new Response(new ReadableStream({ pull(out) { pulls++; out.enqueue(new Uint8Array(32768)); } }));
    } }); let pulls = 0; ({ x() {`);
    worker.send({ type: 'hello', limits: { window: 65536 } }, request(1, '/'));
    let got = 0;
    while (got < 65536) got += Buffer.from((await worker.next()).body64, 'base64').length;
    await new Promise((resolve) => {
        setTimeout(resolve, 50);
    });
    const { body } = await worker.call(request(2, '/pulls'));
    const pulls = Number(body);
    assert.ok(pulls <= 5, `${pulls} pieces`);
    await worker.call({ type: 'cancel', id: 1 });
    await worker.finish();
});

test('a client that leaves aborts the signal and cancels the body', async (t) => {
    const worker = await serve(t, `
        if (request.url.endsWith('seen')) return Response.json(seen);
        request.signal.addEventListener('abort', () => seen.push('abort'));
        return new Response(new ReadableStream({
            start(out) { out.enqueue(new TextEncoder().encode('first')); },
            cancel() { seen.push('cancel'); },
        }), { headers: { 'content-type': 'text/event-stream' } });
    } }); const seen = []; ({ x() {`);
    const first = await worker.call(request(1, '/'));
    assert.deepEqual([first.more, first.body], [true, 'first']);
    assert.deepEqual(await worker.call({ type: 'cancel', id: 1, reason: 'disconnect' }), { type: 'error', id: 1, code: 'cancelled' });
    assert.deepEqual(JSON.parse((await worker.call(request(2, '/seen'))).body).sort(), ['abort', 'cancel']);
    await worker.finish();
});

test('what it throws is an error, and what is no Response is named', async (t) => {
    const worker = await serve(t, `
        if (request.url.endsWith('text')) return 'text';
        throw new Error('broken');
    `);
    const thrown = await worker.call(request(1, '/'));
    assert.deepEqual([thrown.type, thrown.code, thrown.message], ['error', 'internal', 'Error: broken']);
    assert.match((await worker.call(request(2, '/text'))).message, /fetch returned 'text'; it must return a Response/);
    assert.match(worker.logs[0].message, /GET \/ failed: Error: broken/);
    await worker.finish();
});
