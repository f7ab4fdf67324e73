"""Keeps what is known of each game, and answers the gateway's questions about them."""

from typing import Any

import nodey
from store import Store

store = Store()


@nodey.on("game.received", from_="first")
def received(event: nodey.Event) -> None:
    store.add_game(event.id, event.time, event.data)


@nodey.token("Games")
def games(args: dict[str, Any]) -> list[dict[str, Any]]:
    return store.games(args["user"])


@nodey.token("Results")
def results(args: dict[str, Any]) -> list[dict[str, Any]]:
    return store.results(args["user"], args["after"])
