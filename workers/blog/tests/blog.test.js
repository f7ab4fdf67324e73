// Run it with: nodey run node --test
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { client, testBus } = require('nodey/testing');

const script = (name) => path.join(__dirname, '..', name);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blog-'));
const started = process.cwd();

// query.mjs keeps its files in the folder that it runs in.
before(() => process.chdir(folder));
after(() => {
    process.chdir(started);
    fs.rmSync(folder, { recursive: true });
});

const comment = (text, status) => ({ post: 'p1', comment: 'c1', text, ...status });

test('a post and what becomes of its comment are shown', async () => {
    const bus = testBus(script('query.mjs'));
    const query = client(script('query.mjs'));
    await bus.publish('post.created', { post: 'p1', title: 'hello' }, { key: 'p1' });
    await bus.publish('comment.created', comment('nice'), { key: 'p1' });
    await bus.idle();
    const shown = async () => (await query.get('/posts')).json().posts[0];
    const pending = { id: 'c1', text: 'nice', status: 'pending' };
    assert.deepEqual(await shown(), { id: 'p1', title: 'hello', comments: [pending], seq: 2 });
    await bus.publish('comment.updated', comment('nice', { status: 'approved' }), { key: 'p1' });
    await bus.publish('comment.created', comment('nice'), { key: 'p1' }); // once more
    await bus.idle();
    const { comments } = await shown();
    assert.deepEqual(comments, [{ id: 'c1', text: 'nice', status: 'approved' }]);
    assert.deepEqual(bus.dead(), []);
});

test('a comment on no post is a dead letter', async () => {
    const bus = testBus(script('query.mjs'));
    await bus.publish('comment.created', { ...comment('hm'), post: 'none' }, { key: 'none' });
    await bus.idle();
    assert.equal(bus.dead()[0].error.message, 'there is no post none');
});

test('a post is published under its own key', async () => {
    const bus = testBus(script('posts.js'));
    const posts = client(script('posts.js'));
    const answer = await posts.post('/posts', { json: { title: ' hello ' } });
    await bus.idle();
    const [event] = bus.published('post.created');
    assert.equal(answer.status, 201);
    assert.deepEqual(event.data, { post: event.key, title: 'hello' });
    assert.equal((await posts.post('/posts', { json: { title: '' } })).status, 400);
    assert.equal(bus.published().length, 1);
});
