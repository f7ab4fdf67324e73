"""Decides about comments: none may name the orange fruit."""

import nodey


@nodey.on("comment.created", from_="first")
def moderate(event: nodey.Event) -> None:
    status = "rejected" if "orange" in event.data["text"].lower() else "approved"
    nodey.publish("comment.moderated", {**event.data, "status": status})
