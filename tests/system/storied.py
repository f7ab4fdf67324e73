"""A small blog of Node and Python programs, whose events the tests of flow and stories watch."""

from __future__ import annotations

import json
from typing import Any

from app import App
from workers import script

POSTS = '''
const nodey = require('nodey');
const { on, publish } = nodey;
nodey.post('/put/:topic', async (req) => {
    const { key, data } = req.json();
    return publish(req.params.topic, data, key ? { key } : {});
});
on('comment.moderated', (e) => publish('comment.updated', { ...e.data, at: Date.now() }));
'''

MODERATION = '''
import uuid
import nodey

@nodey.on("comment.created")
def moderate(event):
    status = "rejected" if "orange" in event.data["text"] else "approved"
    nodey.publish("comment.moderated",
                  {**event.data, "status": status, "review": str(uuid.uuid4())})
'''

QUERY = '''
const { on, enqueue, Dead, Retry } = require('nodey');
on(['post.created', 'comment.updated'], async (e) => {
    if (e.data.retry && e.attempt < 2) throw new Retry(10, 'not yet');
    if (e.data.dead) throw new Dead('it is broken');
});
'''

FILES = {"workers/posts.js": POSTS, "workers/moderation.py": MODERATION,
         "workers/query.js": QUERY}
POOLS = "".join(script(name, suffix, instances=1)
                for name, suffix in (("posts", "js"), ("moderation", "py"), ("query", "js")))


def put(app: App, topic: str, data: Any, key: str = "") -> int:
    """Publishes from within a request to `posts`; its seq."""
    response = app.post(f"/put/{topic}", json.dumps({"key": key, "data": data}).encode())
    assert response.status == 200, response.text
    return int(response.json()["seq"])
