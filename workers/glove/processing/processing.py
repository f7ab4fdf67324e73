"""Analyses games.  nodey starts as many of this as there is work for."""

import nodey
import signals
from store import Store

store = Store()


# When this process ends after the result is stored, the job comes again, and changes nothing.
# The event is stored together with the end of the job: there is one, and not without a result.
@nodey.job("processing", concurrency=1)
def process(job: nodey.Event) -> None:
    game = job.data
    analysis = {name: signals.analyse(samples, game["rate"]) for name, samples in game["sensors"].items()}
    store.add_result(job.id, game, analysis)
    nodey.publish("reconciliation.done", {"user": game["user"], "game": game["id"]}, key=game["user"])
