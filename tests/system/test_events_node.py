"""Events and jobs of Node's SDK through the real supervisor and its store."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGKILL
from typing import Any, Callable

import pytest

from app import App
from checks import kill
from timing import slow, until
from workers import script

Nodey = Callable[..., App]
pytestmark = pytest.mark.outside

# What handlers saw, one JSON value in a line, whichever process it was.
SEEN = '''
const fs = require('node:fs');
const nodey = require('nodey');
const { on, job, publish, enqueue, Dead, Retry } = nodey;
const { setTimeout: sleep } = require('node:timers/promises');
const see = (value) => fs.appendFileSync('seen', `${JSON.stringify(value)}\\n`);
'''

# Publishes what it is sent: [verb, name, data, options].
PUBLISHER = SEEN + '''
nodey.post('/put', async (req) => {
    const [verb, ...args] = req.json();
    try {
        return await nodey[verb](...args);
    } catch ({ code, message }) {
        return { code, message };
    }
});
'''


def seen(app: App) -> list[Any]:
    path = Path(app.folder) / "seen"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_seen(app: App, count: int, seconds: float = 10) -> list[Any]:
    until(lambda: len(seen(app)) >= count, seconds, f"{count} lines")
    return seen(app)


def put(app: App, *args: object) -> Any:
    return app.post("/put", json.dumps(args).encode()).json()


def start(nodey: Nodey, handlers: str, instances: int = 1, **more: Any) -> App:
    files = {"workers/web.js": PUBLISHER, "workers/blog.js": SEEN + handlers}
    pools = script("web", "js", instances=1) + script("blog", "js", instances=instances)
    return nodey(files, pools, **more)


def test_a_chain_of_events_and_jobs_with_key_cause_and_story(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('comment.created', (e) => publish('comment.moderated', { ...e.data, ok: true }));
        on('comment.*', (e) => see([e.topic, e.key, e.data, e.group]), { group: 'audit' });
        on('comment.moderated', (e) => enqueue('mail', e.data.text));
        job('mail', (e, { attempt }) => {
            see([e.queue, e.key, e.data, attempt, e.cause !== e.correlation]);
        });
    ''')
    stored = put(app, "publish", "comment.created", {"text": "é"}, {"key": "p1", "id": "c1"})
    assert stored["seq"] >= 1 and stored["duplicate"] is False
    again = put(app, "publish", "comment.created", {"text": "é"}, {"id": "c1"})
    assert again == {"seq": stored["seq"], "duplicate": True}
    found = sorted(wait_seen(app, 3), key=str)
    assert found == [["comment.created", "p1", {"text": "é"}, "audit"],
                     ["comment.moderated", "p1", {"text": "é", "ok": True}, "audit"],
                     ["mail", "p1", "é", 1, True]]


def test_what_a_failed_attempt_published_is_dropped_and_retries_come_in_time(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('a', async (e, { attempt, last }) => {
            await publish('b', attempt);
            see(['attempt', attempt, last]);
            if (attempt === 1) throw new Error('once');
            if (attempt === 2) throw new Retry('20ms');
        }, { attempts: 3, backoff: 10 });
        on('b', (e) => see(['b', e.data]), { group: 'b' });
        job('bad', () => { throw new Dead('never'); });
        job('bytes', () => { throw 'a text'; }, { attempts: 2, backoff: [5] });
    ''')
    put(app, "publish", "a", 1)
    assert wait_seen(app, 4) == [["attempt", 1, False], ["attempt", 2, False],
                                 ["attempt", 3, True], ["b", 3]]
    put(app, "enqueue", "bad", 1)
    put(app, "enqueue", "bytes", 1)
    app.wait_log(r"never", slow(5))
    app.wait_log(r"a text", slow(5))


def test_a_worker_that_dies_gives_its_message_back(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('a', async (e, { attempt }) => {
            see(['begun', attempt]);
            if (attempt === 1) await sleep(60000);
            await publish('done', attempt);
        });
        on('done', (e) => see(['done', e.data]));
    ''')
    put(app, "publish", "a", 1)
    wait_seen(app, 1)
    kill(app.worker_pids("blog"), SIGKILL)
    assert wait_seen(app, 3)[1:] == [["begun", 2], ["done", 2]]


def test_a_handler_out_of_time_is_cancelled_and_progress_gives_it_time(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('hangs', async (e, { signal, attempt }) => {
            if (attempt > 1) { see('again'); return; }
            signal.addEventListener('abort', () => see(signal.reason.name));
            await sleep(60000, null, { signal });
        }, { timeout: 300, backoff: 1 });
        on('slow', async (e, { progress, attempt, signal }) => {
            for (let n = 0; n < 8; n++) { await sleep(100); progress(); }
            see(['slow', attempt, signal.aborted]);
        }, { timeout: 700 });
    ''')
    put(app, "publish", "hangs", 1)
    assert wait_seen(app, 2) == ["AbortError", "again"]
    put(app, "publish", "slow", 1)
    assert wait_seen(app, 3)[2] == ["slow", 1, False]


def test_keys_keep_their_order_and_workers_share_the_rest(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('n', async (e) => {
            await sleep(Math.random() * 20);
            see([e.key, e.data, process.pid]);
        });
    ''', instances=2)
    count = 0

    def both_work() -> bool:
        nonlocal count
        for count in range(count + 1, count + 41):
            put(app, "publish", "n", count, {"key": f"k{count % 4}"})
        return len({pid for _, _, pid in seen(app)}) == 2
    until(both_work, 15, "both have had some")
    found = wait_seen(app, count)
    for key in range(4):
        ours = [n for k, n, _ in found if k == f"k{key}"]
        assert ours == [n for n in range(1, count + 1) if n % 4 == key]


def test_each_reaches_every_process(nodey: Nodey) -> None:
    app = start(nodey, "on('tick', (e) => see([e.data, process.pid]), { each: true, max: 1 });",
                instances=3)

    def hear() -> bool:
        put(app, "publish", "tick", -1)
        return len({pid for _, pid in seen(app)}) == 3
    until(hear, 15, "all three are ready")
    pids = {pid for _, pid in seen(app)}
    for n in range(5):
        put(app, "publish", "tick", n)
    until(lambda: len([n for n, _ in seen(app) if n >= 0]) >= 15, 10, "15 lines")
    for pid in pids:
        assert [n for n, of in seen(app) if of == pid and n >= 0] == [0, 1, 2, 3, 4]


def test_big_data_comes_as_a_file_and_bytes_stay_as_they_are(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('big', (e) => { see([e.data.text.length, e.data.text.at(-1)]); });
        on('small', (e) => see(e.data));
    ''')
    assert put(app, "publish", "big", {"text": "x" * 600000 + "é"})["seq"]
    assert wait_seen(app, 1) == [[600001, "é"]]
    value = {"z": 1.5, "a": ["ü😀\\u0000\n\"", None, True], "": {}}
    put(app, "publish", "small", value)
    assert wait_seen(app, 2)[1] == value


def test_what_cannot_be_published_is_refused_in_words(nodey: Nodey) -> None:
    app = start(nodey, "on('a', () => {});")
    answer = put(app, "publish", "a b", 1)
    assert answer["code"] == "invalid_argument" and "a space cannot be in it" in answer["message"]


def test_ten_thousand_at_once_are_all_stored_and_handled(nodey: Nodey) -> None:
    app = start(nodey, '''
        let count = 0;
        on('n', () => { if (++count === 10000) see('all'); }, { max: 100 });
        nodey.get('/many', async () => {
            const all = await Promise.all(Array.from({ length: 10000 }, (_, n) => publish('n', n)));
            return { seqs: new Set(all.map(({ seq }) => seq)).size };
        });
    ''')
    assert app.connect(timeout=slow(30)).request("GET", "/many").json() == {"seqs": 10000}
    assert wait_seen(app, 1, 30) == ["all"]


def test_all_that_was_stored_is_there_after_nodey_was_killed(nodey: Nodey) -> None:
    app = start(nodey, '''
        on('a', (e) => {
            if (!fs.existsSync('go')) throw new Retry(10);
            see(e.data);
        }, { attempts: 1000 });
    ''', exit_code=None)
    for n in range(20):
        put(app, "publish", "a", n)
    app.kill()
    (Path(app.folder) / "go").write_text("")
    again = nodey(folder=app.folder)
    assert sorted(wait_seen(again, 20)) == list(range(20))


def test_a_worker_without_routes_that_publishes_at_its_start(nodey: Nodey) -> None:
    app = nodey({"workers/early.mjs": '''
        import { appendFileSync } from 'node:fs';
        import { on, publish } from 'nodey';
        const { seq } = await publish('started', { pid: process.pid });
        const see = (value) => appendFileSync('seen', JSON.stringify(value) + '\\n');
        on('started', (e) => see([e.seq === seq, e.data.pid === process.pid]), { from: 'first' });
    '''}, script("early", "mjs", instances=1))
    assert wait_seen(app, 1) == [[True, True]]
