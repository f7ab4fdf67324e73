// The work that is asked for everywhere: a small calculation, a small answer.
'use strict';

exports.handle = (num) => {
  let [a, b] = [0, 1];
  for (let i = 0; i < num; i++) [a, b] = [b, a + b];
  return { fib: a, num };
};

// Microseconds that one call takes by itself, here in this process: the median of many.
exports.own = (num) => {
  const calls = 200;
  const times = [];
  for (let round = 0; round < 51; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) exports.handle(num);
    times.push(Number(process.hrtime.bigint() - start) / calls / 1e3);
  }
  return { us: times.sort((x, y) => x - y)[25] };
};
