// Asks over the HTTP bridge (flask_app.py) on kept-alive connections, as many at once as
// wanted.  Arguments: port, asks, in flight.  Prints {"asks", "seconds"}.
'use strict';

const http = require('node:http');

const [port, total, inFlight] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: inFlight });
const options = {
  agent,
  port,
  host: '127.0.0.1',
  method: 'POST',
  path: '/ask',
  headers: { 'content-type': 'application/json' },
};

function ask(token, args) {
  const encoded = Buffer.from(JSON.stringify(args)).toString('base64');
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
        const answer = Buffer.from(JSON.parse(text).answer, 'base64').toString();
        resolve(JSON.parse(answer));
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify({ asking_about: token, args: encoded }));
  });
}

async function main() {
  let next = 0;
  async function askOn() {
    while (next < total) {
      const num = next++;
      const answer = await ask('Double', { num });
      if (answer.num !== num * 2) throw new Error(`wrong answer to ${num}`);
    }
  }
  const start = process.hrtime.bigint();
  await Promise.all(Array.from({ length: inFlight }, askOn));
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  console.log(JSON.stringify({ asks: total, seconds }));
  agent.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
