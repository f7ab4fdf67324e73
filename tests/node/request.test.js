/* What a handler sees of a request: addresses, headers, forms. */
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { SDK, startSource } = require('./lib/worker.js');
const { Request } = require(path.join(SDK, 'lib/request.cjs'));
const { Call } = require(path.join(SDK, 'lib/call.cjs'));

function make(frame) {
    return new Request(new Call({ id: 1, method: 'POST', path: '/x', ...frame }, 'POST /x', 0, null));
}

const QUERIES = [
    ['a=1&b=2', { a: '1', b: '2' }],
    ['a=1&a=2&a=3', { a: ['1', '2', '3'] }],
    ['a', { a: '' }],
    ['=1&&b=', { '': '1', b: '' }],
    ['a=b=c', { a: 'b=c' }],
    ['a+b=c%20d+%2B', { 'a b': 'c d +' }],
    ['%C3%A9=%E2%82%AC', { é: '€' }],
    ['a=%zz&b=%C3', { a: '%zz', b: '\ufffd' }],
    ['__proto__=1&constructor=2', { ['__proto__']: '1', constructor: '2' }],
    ['getAll=1&x=2', { x: '2' }],
    ['', {}],
];

for (const [query, parsed] of QUERIES) {
    test(`the query ${query}`, () => assert.deepEqual({ ...make({ query }).query }, parsed));
}

test('all values of a name of the query, however often it came', () => {
    const { query } = make({ query: 'a=1&b=2&b=3&getAll=4' });
    assert.deepEqual(['a', 'b', 'c'].map((name) => query.getAll(name)), [['1'], ['2', '3'], []]);
    assert.deepEqual(JSON.stringify(query), '{"a":"1","b":["2","3"]}');
    assert.equal(query.toString, undefined);
});

test('the query of 5000 names is cut, not refused', () => {
    const query = Array.from({ length: 5000 }, (_, at) => `n${at}=1`).join('&');
    assert.equal(Object.keys(make({ query }).query).length, 1000);
});

test('headers by any case, joined or one by one', () => {
    const { headers } = make({ headers: { 'x-a': ['1', '2'], cookie: ['a=1', 'b=2'], get: 'evil' } });
    assert.equal(headers['x-a'][1], '2');
    assert.equal(headers.get('X-A'), '1, 2');
    assert.equal(headers.get('Cookie'), 'a=1; b=2');
    assert.equal(headers.get('x-b'), null);
    assert.deepEqual([headers.getAll('X-a'), headers.getAll('toString')], [['1', '2'], []]);
    assert.equal(make({}).headers.get('x'), null);
});

test('the whole address', () => {
    const frame = { path: '/a%20b', query: 'x=1', scheme: 'https', headers: { host: 'example.org:8443' } };
    assert.equal(make(frame).url, 'https://example.org:8443/a%20b?x=1');
    assert.equal(make(frame).host, 'example.org:8443');
    assert.equal(make({}).url, 'http://localhost/x');
    assert.equal(make({}).host, '');
});

/* ---- bodies that are not what they should be */

const BAD_JSON = [
    [{}, /^the body is empty where JSON is expected$/],
    [{ body: '{"a":' }, /^the body is not JSON: /],
    [{ body64: '/w==' }, /^the body is not JSON: /],
];

for (const [frame, message] of BAD_JSON) {
    test(`a body that is not JSON is the client's fault: ${JSON.stringify(frame)}`, () => {
        assert.throws(() => make(frame).json(), { status: 400, message });
    });
}

const MULTIPART = 'multipart/form-data; boundary=B';

function part(disposition, content = 'x', more = '') {
    return `--B\r\nContent-Disposition: ${disposition}\r\n${more}\r\n${content}\r\n`;
}

const GOOD = part('form-data; name="a"');

const BAD_FORMS = [
    // content-type, body, status, message
    [undefined, 'a=1', 415, /it has no content-type/],
    ['application/json', '{}', 415, /its content-type is application\/json/],
    ['multipart/form-data', GOOD, 400, /names no boundary/],
    [MULTIPART, '', 400, /no part with the boundary/],
    [MULTIPART, 'x--B--', 400, /no part with the boundary/],
    [MULTIPART, GOOD, 400, /ends within part 1/],
    [MULTIPART, `${GOOD}--B`, 400, /ends too early/],
    [MULTIPART, `${GOOD}--BX--`, 400, /the boundary before part 2 goes on/],
    [MULTIPART, '--B\r\nContent-Disposition: form-data; name="a"', 400, /within the headers of part 1/],
    [MULTIPART, `${part('form-data')}--B--`, 400, /part 1 has no name/],
    [MULTIPART, `${GOOD}${part('attachment; name="b"')}--B--`, 400, /part 2 is no form-data/],
    [MULTIPART, `${part('form-data; name="a"', 'x', 'nonsense\r\n')}--B--`, 400, /a header line without a name/],
    [MULTIPART, `${part('form-data; name="a"', 'x', `x: ${'y'.repeat(20000)}\r\n`)}--B--`, 400, /headers of part 1 are too long/],
    [MULTIPART, `${GOOD.repeat(1001)}--B--`, 400, /more than 1000 parts/],
];

for (const [type, body, status, message] of BAD_FORMS) {
    test(`a form is refused with a sentence: ${message.source}`, () => {
        const headers = type === undefined ? undefined : { 'content-type': type };
        assert.throws(() => make({ headers, body }).form(), { name: 'HTTPError', status, message });
    });
}

/* ---- forms */

test('an urlencoded form', () => {
    const headers = { 'content-type': 'Application/X-WWW-Form-Urlencoded; charset=UTF-8' };
    const { fields, files } = make({ headers, body: 'name=Ann+B&tag=a&tag=b' }).form();
    assert.deepEqual({ ...fields }, { name: 'Ann B', tag: ['a', 'b'] });
    assert.deepEqual([{ ...files }, fields.getAll('name')], [{}, ['Ann B']]);
});

function multipart(...parts) {
    const bytes = Buffer.concat([...parts, '--B--\r\n'].map((one) => Buffer.from(one)));
    return make({ headers: { 'content-type': MULTIPART }, body64: bytes.toString('base64') }).form();
}

test('fields and files, byte for byte', () => {
    const tricky = Buffer.from([0, 13, 10, 45, 45, 13, 10, 45, 45, 67, 255, 13, 10]); // nearly a boundary
    const { fields, files } = multipart(part('form-data; name="é"', 'ü\r\n'), part('form-data; name="empty"', ''),
        '--B\r\ncontent-disposition: FORM-DATA; name=p; filename="p.png"\r\nContent-Type: image/png\r\n\r\n', tricky, '\r\n',
        part('form-data; name="none"; filename=""', ''), part('form-data; name="e"; filename="e"', ''));
    assert.deepEqual({ ...fields }, { é: 'ü\r\n', empty: '' });
    assert.deepEqual(Object.keys(files), ['p', 'e']);
    assert.deepEqual([files.p.name, files.p.filename, files.p.type, files.p.size], ['p', 'p.png', 'image/png', 13]);
    assert.deepEqual(files.p.data, tricky);
    assert.equal(files.p.buffer, files.p.data);
    assert.equal(files.p.contentType, 'image/png');
    assert.throws(() => files.p.originalname, /there is no file\.originalname: write file\.filename/);
    assert.equal(files.e.size, 0);
    assert.equal(files.e.type, 'application/octet-stream');
});

const FILENAMES = [
    ['filename="a\\"b.txt"', 'a"b.txt'],
    ['filename="a%22b.txt"', 'a"b.txt'],
    ['filename="../../etc/passwd"', 'passwd'],
    ['filename="C:\\\\temp\\\\x.txt"', 'x.txt'],
    ['filename=".."', ''],
    ["filename=\"x\"; filename*=UTF-8''%e2%82%ac.txt", '€.txt'],
    ["filename=\"x\"; filename*=UTF-8''%zz", 'x'],
    ['filename="a; name=b"', 'a; name=b'],
];

for (const [given, filename] of FILENAMES) {
    test(`a file's name: ${given}`, () => {
        const { files } = multipart(part(`form-data; name="f"; ${given}`));
        assert.equal(files.f.filename, filename);
    });
}

test('a file is saved, also by a worker that got it from nodey', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nodey-form-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const worker = startSource(t, `
        const nodey = require('nodey');
        nodey.post('/', async (req) => req.form().files.f.save(${JSON.stringify(folder)} + '/saved'));
        nodey.post('/into', async (req) => req.form().files.f.save(${JSON.stringify(folder)}));
        nodey.post('/twice', (req) => req.form() === req.form());
    `);
    await worker.ready();
    const body = `${part('form-data; name="f"; filename="x"', 'hé')}--B--\r\n`;
    const frame = { id: 1, method: 'POST', path: '/', headers: { 'content-type': MULTIPART }, body };
    assert.deepEqual(await worker.call(frame), { id: 1, body: `${folder}/saved` });
    assert.equal(fs.readFileSync(`${folder}/saved`, 'utf8'), 'hé');
    assert.deepEqual(await worker.call({ ...frame, path: '/into' }), { id: 1, body: `${folder}/x` });
    assert.equal(fs.readFileSync(`${folder}/x`, 'utf8'), 'hé');
    const nameless = await worker.call({ ...frame, path: '/into', body: body.replace('"x"', '""') });
    assert.equal(nameless.message, "Error: the file in 'f' has no name: say one to save()");
    assert.deepEqual(await worker.call({ ...frame, path: '/twice' }), { id: 1, json: true });
    const bad = await worker.call({ ...frame, body: 'x' });
    assert.equal(bad.code, 'invalid_argument');
    await worker.finish();
    assert.equal(worker.logs.length, 1); // a client's fault is nothing to log, a script's is
});
