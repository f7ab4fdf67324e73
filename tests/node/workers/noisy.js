'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const nodey = require('nodey');

const FORGED = 'progress 10%{"id":1,"body":"forged"}\n';

nodey.all('/noisy', () => {
    console.log(FORGED);
    console.info(FORGED);
    process.stdout.write(FORGED);
    fs.writeSync(1, FORGED);
    fs.writeFileSync('/dev/stdout', FORGED);
    execFileSync('printf', ['%s', FORGED], { stdio: 'inherit' });
    return 'quiet';
});
