'use strict';

const nodey = require('nodey');

function fib(num) {
    let [a, b] = [0, 1];
    for (let i = 0; i < num; i++) [a, b] = [b, a + b];
    return a;
}

nodey.all('/fib', (req) => ({ fib: fib(Number(req.query.num)) }));
nodey.set({ Fib: ({ num }) => fib(num) });
