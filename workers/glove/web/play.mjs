// A game as a glove would record it: squeezes of each finger, with its tremble and some noise.
const FINGERS = ['thumb', 'index', 'middle'];
const RATE = 100;
const SECONDS = 5;

function squeezes(count, trembleHz) {
    return Array.from({ length: RATE * SECONDS }, (_, at) => {
        const seconds = at / RATE;
        const squeeze = Math.max(0, Math.sin(2 * Math.PI * (count / SECONDS) * seconds)) ** 4;
        const tremble = 0.05 * Math.sin(2 * Math.PI * trembleHz * seconds);
        return Number((squeeze + tremble + 0.01 * Math.random()).toFixed(4));
    });
}

export function play(number) {
    const sensors = FINGERS.map((finger, at) => [finger, squeezes(5 + at, 8)]);
    // Pages that are not from this machine have randomUUID with https only.
    const id = crypto.randomUUID?.() ?? `game-${Date.now()}`;
    return { id, title: `game ${number}`, rate: RATE, sensors: Object.fromEntries(sensors) };
}
