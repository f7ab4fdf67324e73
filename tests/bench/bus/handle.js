// What a worker of the Node SDK handles per second: it only counts.
'use strict';

const nodey = require('nodey');

const counted = { handled: 0, last_ns: 0 };

nodey.on('bench.>', async () => {
  counted.handled++;
  counted.last_ns = Number(process.hrtime.bigint());
}, { group: 'node', max: 256 });

nodey.get('/handle/stats', (request) => {
  const told = { ...counted };
  if (request.query.reset) Object.assign(counted, { handled: 0, last_ns: 0 });
  return told;
});
nodey.start();
