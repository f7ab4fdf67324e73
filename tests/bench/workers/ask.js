// GET /ask?asks=20000&inflight=64 asks that often and tells how long it took.
'use strict';

const nodey = require('nodey');

async function askAll(total, inFlight) {
  let next = 0;
  async function askOn() {
    while (next < total) {
      const num = next++;
      const answer = await nodey.ask('Double', { num });
      if (answer.num !== num * 2) throw new Error(`wrong answer to ${num}`);
    }
  }
  const start = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, askOn));
  return Number(process.hrtime.bigint() - start) / 1e9;
}

nodey.get('/ask', async (request) => {
  const asks = Number(request.query.asks);
  return { asks, seconds: await askAll(asks, Number(request.query.inflight)) };
});
nodey.start();
