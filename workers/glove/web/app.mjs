// Logs in, sends games, and shows the results as they come.
import { play } from './play.mjs';

const byId = (id) => document.getElementById(id);
let played = 0;

async function send(path, body) {
    const answer = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
    byId('said').textContent = answer.ok ? '' : (await answer.json()).detail;
    return answer.ok;
}

function show({ n, game, analysis }) {
    for (const [finger, { peaks, rms, frequency }] of Object.entries(analysis).reverse()) {
        const row = byId('results').insertRow(0);
        row.dataset.game = game;
        const texts = [n, finger, peaks, rms.toFixed(2), `${frequency.toFixed(1)} Hz`];
        for (const text of texts) row.insertCell().textContent = text;
    }
}

// The browser connects again by itself, and says which result it has seen last.
function listen() {
    byId('login').hidden = true;
    byId('game').hidden = false;
    new EventSource('notifications').addEventListener('reconciled', (event) => show(JSON.parse(event.data)));
}

byId('login').addEventListener('submit', async (event) => {
    event.preventDefault();
    if (await send('login', Object.fromEntries(new FormData(event.target)))) listen();
});
byId('play').addEventListener('click', () => send('game', play(++played)));
