"""Prices, told to whoever asks, and with the stock that stock.js knows."""

import nodey

PRICES = {1: 9.5, 2: 24.0}


@nodey.token("Price")
def price(args: dict[str, int]) -> dict[str, object]:
    sku = args["sku"]
    if sku not in PRICES:
        raise nodey.Error("not_found", f"no price for sku {sku}")
    return {"sku": sku, "price": PRICES[sku]}


@nodey.get("/pricing", description="price and stock of a sku")
def pricing(req: nodey.Request) -> dict[str, object]:
    sku = req.query.get("sku", "")
    if not sku.isdecimal():
        raise nodey.HTTPError(400, "sku must be a number")
    stock = nodey.ask("Stock", {"sku": int(sku)})
    return {**price({"sku": int(sku)}), "stock": stock["stock"]}
