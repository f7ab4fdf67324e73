"""Run it with: nodey run python3 -m pytest"""

from pathlib import Path

from nodey.testing import Bus

HERE = Path(__file__).parent.parent
POST = "0f6f2d6c-6d0c-4d5e-9d5a-0c3f5d7b1a11"


def test_a_comment_is_moderated_and_updated_in_the_order_of_its_post() -> None:
    with Bus(HERE / "comments.py", HERE / "moderation.py") as bus:
        for text in ("nice", "an Orange"):
            answer = bus.client.post(f"/posts/{POST}/comments", json={"text": text})
            assert answer.status == 201
        bus.idle()
        updated = bus.published("comment.updated")
        assert [(one.data["text"], one.data["status"]) for one in updated] \
            == [("nice", "approved"), ("an Orange", "rejected")]
        assert {one.key for one in bus.published()} == {POST}
        assert len({one.correlation for one in bus.published()}) == 2, "one story each"
        assert bus.dead() == []


def test_what_is_no_comment_is_refused() -> None:
    with Bus(HERE / "comments.py") as bus:
        assert bus.client.post(f"/posts/{POST}/comments", json={"text": " "}).status == 400
        assert bus.client.post(f"/posts/{POST}/comments", json=[]).status == 400
        assert bus.client.post("/posts/none/comments", json={"text": "hm"}).status == 404
        assert bus.published() == []
