"""POST /posts/ID/comments {"text": "..."}: states that there is a comment, and what became of it."""

import uuid

import nodey

MOST = 2000


def checked(post: str, body: object) -> dict[str, str]:
    try:
        post = str(uuid.UUID(post))
    except ValueError:
        raise nodey.HTTPError(404, "there is no such post") from None
    text = str(body.get("text", "") if isinstance(body, dict) else "").strip()
    if not 0 < len(text) <= MOST:
        raise nodey.HTTPError(400, f"a comment has 1 to {MOST} characters")
    return {"post": post, "comment": str(uuid.uuid4()), "text": text}


@nodey.post("/posts/:post/comments")
async def create(req: nodey.Request) -> tuple[int, dict[str, str]]:
    comment = checked(req.params["post"], req.json())
    await nodey.publish_async("comment.created", comment, key=comment["post"])
    return 201, comment


@nodey.on("comment.moderated", from_="first")
async def update(event: nodey.Event) -> None:
    nodey.publish("comment.updated", event.data)
