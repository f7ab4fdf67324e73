// POST /posts {"title": "..."}: states that there is a post.
'use strict';

const { randomUUID } = require('node:crypto');
const nodey = require('nodey');

const MOST = 200;

nodey.post('/posts', async (req) => {
    const title = String(req.json()?.title ?? '').trim();
    if (!title || title.length > MOST) throw new nodey.HTTPError(400, `a title has 1 to ${MOST} characters`);
    const post = randomUUID();
    await nodey.publish('post.created', { post, title }, { key: post });
    return [201, { post, title }];
});
