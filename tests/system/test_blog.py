"""workers/blog: the event-driven blog, and what it does when parts of it are away."""

from __future__ import annotations

import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from app import App
from command import Done, run, run_pytest
from examples import Killer, Listener, Start, browse, copied
from timing import slow, until
pytestmark = pytest.mark.outside

SERVICES = ["comments", "moderation", "query"]


def start(nodey: Start, tmp_path: Path, replaced: Optional[dict[str, str]] = None, **options: Any) -> App:
    """Workers that are killed are back at once."""
    quick = {"[workers.posts]": '[defaults]\nbackoff_max = "100ms"\nmax_restarts = 1000\n\n[workers.posts]'}
    folder = copied("blog", tmp_path / "blog", {**quick, **(replaced or {})})
    return nodey(folder=folder, **options)


def send(app: App, path: str, body: object) -> dict[str, str]:
    answer = app.post(path, json.dumps(body).encode())
    assert answer.status == 201, answer
    found: dict[str, str] = answer.json()
    return found


def new_post(app: App, title: str = "hello") -> str:
    return send(app, "/posts", {"title": title})["post"]


def comment_on(app: App, post: str, text: str) -> str:
    return send(app, f"/posts/{post}/comments", {"text": text})["comment"]


def comments(app: App, post: str) -> list[dict[str, str]]:
    answer = app.get("/posts")
    posts = {one["id"]: one for one in answer.json()["posts"]} if answer.status == 200 else {}
    return posts[post]["comments"] if post in posts else []


def wait_settled(app: App, post: str, count: int, seconds: float = 10) -> list[dict[str, str]]:
    """Its comments, once there are so many and none awaits moderation."""

    def check() -> list[dict[str, str]]:
        found = comments(app, post)
        settled = [one for one in found if one["status"] != "pending"]
        return found if len(settled) >= count and len(settled) == len(found) else []

    return until(check, seconds, f"{count} comments are settled, not {comments(app, post)[-2:]}")


def test_a_comment_goes_through_all_four_services(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    with Listener(lambda: app.port, "/events?last_event_id=0") as page:
        post = new_post(app)
        comment_on(app, post, "nice")
        comment_on(app, post, "an Orange")
        found = wait_settled(app, post, 2)
        assert [(one["text"], one["status"]) for one in found] == [("nice", "approved"), ("an Orange", "rejected")]
        page.wait(5)
    topics = [name for _, name, _ in page.events]
    assert sorted(topics) == ["comment.created"] * 2 + ["comment.updated"] * 2 + ["post.created"]
    assert topics[0] == "post.created" and len({id for id, _, _ in page.events}) == 5
    assert app.get("/posts").json()["seq"] == int(page.events[-1][0]), "a page goes on from where query is"
    assert app.post("/posts", b"{}").status == 400
    assert app.post(f"/posts/{post}/comments", b'{"text":" "}').status == 400


def test_a_comment_on_no_post_is_a_dead_letter_and_holds_up_nobody(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    nowhere = "0f6f2d6c-6d0c-4d5e-9d5a-0c3f5d7b1a11"
    comment_on(app, nowhere, "hello?")
    app.wait_log(f"there is no post {nowhere}")
    post = new_post(app)
    comment_on(app, post, "nice")
    wait_settled(app, post, 1)
    assert len(app.get("/posts").json()["posts"]) == 1


@pytest.mark.parametrize("away", SERVICES)
def test_a_stopped_service_catches_up_when_it_is_back(nodey: Start, tmp_path: Path, away: str) -> None:
    app = start(nodey, tmp_path)
    post = new_post(app)
    if away == "comments":  # which takes the comments: only what it hears may come later
        assert run(app.folder, "stop", "moderation").code == 0
        written = [comment_on(app, post, f"number {n}") for n in range(20)]
        assert run(app.folder, "stop", "comments").code == 0
        assert run(app.folder, "start", "moderation").code == 0
    else:
        assert run(app.folder, "stop", away).code == 0
        written = [comment_on(app, post, f"number {n}") for n in range(20)]
    until(lambda: [one["status"] for one in comments(app, post)] == ([] if away == "query" else ["pending"] * 20), 10,
          "what is shown is as far as it goes without")
    assert run(app.folder, "start", away).code == 0
    found = wait_settled(app, post, 20)
    assert [one["id"] for one in found] == written and {one["status"] for one in found} == {"approved"}


def test_a_new_service_begins_with_the_first_event(nodey: Start, tmp_path: Path) -> None:
    query = '[workers.query]\nscript = "query.mjs"\ninstances = 1\n'
    app = start(nodey, tmp_path, {query: ""})
    post = new_post(app)
    written = [comment_on(app, post, f"number {n}") for n in range(5)]
    config = app.folder / "nodey.toml"
    config.write_text(config.read_text().replace("[[routes]]", f"{query}\n[[routes]]", 1))
    assert run(app.folder, "reload").code == 0
    assert [one["id"] for one in wait_settled(app, post, 5)] == written


def test_what_happened_is_still_there_after_nodey_was_killed(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    post = new_post(app)
    assert run(app.folder, "stop", "query").code == 0
    written = [comment_on(app, post, f"number {n}") for n in range(10)]
    app.kill()
    again = nodey(folder=app.folder)
    assert [one["id"] for one in wait_settled(again, post, 10)] == written


def keep_commenting(app: App, post: str, written: list[str], has_ended: Callable[[], bool]) -> None:
    """One after the other, each until it is taken.  One that got no answer may have been taken, too."""
    while len(written) < 25 or (not has_ended() and len(written) < 2000):
        body = json.dumps({"text": f"{'orange' if len(written) % 5 == 0 else 'fine'} {len(written)}"}).encode()
        answer = app.post(f"/posts/{post}/comments", body)
        if answer.status == 201:
            written.append(answer.json()["comment"])


@pytest.mark.long
def test_the_order_of_each_post_is_kept_while_services_are_killed(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    posts = [new_post(app, f"post {n}") for n in range(4)]
    written: dict[str, list[str]] = {post: [] for post in posts}
    with Killer(lambda: app, SERVICES, every=0.15) as killer:
        writers = [threading.Thread(target=keep_commenting, args=(app, post, written[post], lambda: killer.count() >= 12))
                   for post in posts]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    assert set(killer.kills) == set(SERVICES) and killer.count() >= 12, killer.kills
    for post in posts:
        found = wait_settled(app, post, len(written[post]), 30)
        ids = [one["id"] for one in found]
        assert [id for id in ids if id in set(written[post])] == written[post], "in the order of writing, each once"
        assert len(set(ids)) == len(ids)
        assert all((one["status"] == "rejected") == one["text"].startswith("orange") for one in found)
    assert "before it was written" not in app.log() and "dead letter" not in app.log()
    print(f"{killer.count()} kills {killer.kills}, {sum(map(len, written.values()))} comments, 0 lost")


def test_query_is_made_again_from_the_first_event(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path)
    post = new_post(app)
    written = [comment_on(app, post, f"number {n}") for n in range(5)]
    wait_settled(app, post, 5)
    before = app.get("/posts").json()
    shutil.rmtree(app.folder / "data" / "query")
    assert run(app.folder, "restart", "query").code == 0
    assert app.get("/posts").json()["posts"] == []
    done = run(app.folder, "events", "replay", "query", "--from", "first", "--yes")
    assert done.code == 0, done
    assert [one["id"] for one in wait_settled(app, post, 5)] == written
    assert until(lambda: app.get("/posts").json() == before, 5, "it is as it was")


def test_saved_changes_are_taken_in_both_languages(nodey: Start, tmp_path: Path) -> None:
    app = start(nodey, tmp_path, args=["--watch"])
    post = new_post(app)

    def change(name: str, old: str, new: str, worker: str) -> None:
        at, file = len(app.log()), app.folder / name
        pids = app.worker_pids(worker)
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        app.wait_workers(1, worker, without=pids)
        assert "does not start" not in app.log()[at:]

    change("moderation.py", '"orange" in', '"lemon" in', "moderation")
    comment_on(app, post, "a lemon")
    assert wait_settled(app, post, 1)[0]["status"] == "rejected"
    change("posts.js", "const MOST = 200", "const MOST = 3", "posts")
    assert app.post("/posts", b'{"title":"four"}').status == 400
    change("web/fold.mjs", "status = 'pending'", "status = 'new'", "query")
    assert run(app.folder, "stop", "moderation").code == 0
    comment_on(app, post, "later")
    until(lambda: [one["status"] for one in comments(app, post)] == ["rejected", "new"], 10, "the import was changed, too")


def test_the_flow_is_the_picture_that_is_drawn(nodey: Start, tmp_path: Path) -> None:
    """What was observed, against the file that is kept and the graph in the README."""
    app = start(nodey, tmp_path)
    post = new_post(app)
    comment_on(app, post, "nice")
    wait_settled(app, post, 1)

    def check() -> Done:
        return run(app.folder, "flow", "--check", "flow.txt")

    until(lambda: check().code == 0, 5, "the flow is as it was")
    drawn = re.findall(r"(?s)```mermaid\n(.*?)```", (app.folder / "README.md").read_text())
    assert sorted(drawn[0].splitlines()) == sorted(run(app.folder, "flow", "--mermaid").out.splitlines())
    script = app.folder / "moderation.py"
    script.write_text(script.read_text().replace('"comment.moderated"', '"comment.judged"'))
    assert run(app.folder, "reload").code == 0
    comment_on(app, post, "nice")
    until(lambda: check().code == 1, 5, "another topic is another flow")
    assert "comment.judged" in check().out + check().err


def test_its_story_ends_as_it_did(tmp_path: Path) -> None:
    folder = copied("blog", tmp_path / "blog")
    took = []
    for _ in range(3):
        done = run(folder, "test", "stories/comments.ndjson")
        found = re.search(r"as it was, 3 given, 4 expected, ([\d.]+) s", done.out)
        assert done.code == 0 and found, done
        took.append(float(found[1]))
    assert min(took) < slow(1), took
    assert not (folder / "data").exists(), "what is there is not touched by a story"
    script = folder / "moderation.py"
    script.write_text(script.read_text().replace('"orange" in', '"lemon" in'))
    done = run(folder, "test", "stories/comments.ndjson")
    assert done.code == 1 and 'data.status is "approved", and was "rejected"' in done.out, done


def test_its_own_tests_pass_in_a_second(tmp_path: Path) -> None:
    folder = copied("blog", tmp_path / "blog")
    javascript = run(folder, "run", "node", "--test", "--test-reporter=tap")
    assert javascript.code == 0 and "# pass 3" in javascript.out, javascript
    python = run_pytest(folder)
    assert python.code == 0 and "2 passed" in python.out, python
    took = [float(re.findall(pattern, text)[-1]) / unit for pattern, text, unit in
            ((r"# duration_ms ([\d.]+)", javascript.out, 1000), (r"passed in ([\d.]+)s", python.out, 1))]
    assert max(took) < slow(1), took


PAGE = """
        fill(all('#write')[0], { title: 'hello' });
        const article = await until(() => all('article')[0]);
        seen.push(article.querySelector('h2').textContent);
        fill(article.querySelector('form'), { text: 'nice <b>' });
        await until(() => all('li.approved').length);
        fill(article.querySelector('form'), { text: 'an orange' });
        await until(() => all('li.rejected').length);
        seen.push(all('li').map((line) => line.textContent).join('|'));
        await fetch('/posts', { method: 'POST', body: JSON.stringify({ title: 'of somebody else' }) });
        await until(() => all('article').length === 2);
        const before = frame.contentDocument;
        frame.contentWindow.location.reload();
        await until(() => frame.contentDocument !== before && all('article').length === 2 && all('li').length === 2);
        seen.push('the same after a reload');
"""


@pytest.mark.long
def test_the_page_shows_posts_and_comments_as_they_come(nodey: Start, tmp_path: Path) -> None:
    seen = browse(nodey, copied("blog", tmp_path / "blog"), PAGE)
    assert seen == ["hello", "nice <b>|This comment was rejected.", "the same after a reload"]
