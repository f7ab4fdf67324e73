"""FastAPI, as its documentation begins: under uvicorn as `fastapi_app:app`."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
