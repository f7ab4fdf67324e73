/* testgroup: one group of a TestBus: who is next, who waits for whom, and how often. */
'use strict';

const { matches } = require('./topics.cjs');

const MAX = 16;
const ATTEMPTS = 10;
const BACKOFF_MS = [1000, 5000, 30000, 120000, 600000, 3600000];
const TIMEOUT_MS = 30000; // of an event; a job has none

class Group {
    #bus;
    #entries = []; // handlers: { patterns, handler, settings, from, home }
    #ready = []; // deliveries, in the order of their seq
    #keys = new Map(); // key -> deliveries; the first has the turn, wherever it is
    #count = 0; // with handlers
    #era = 0; // a seek makes what was before void

    /** bus: { now(), after(ms, run), deliver(group, delivery), bury({ message, group, error, attempt }) }. */
    constructor(name, isQueue, bus) {
        Object.assign(this, { name, isQueue });
        this.#bus = bus;
    }

    /** Another handler; one that begins elsewhere than now gets what it wants of the log. */
    takeOn(entry, home, log) {
        if (this.#entries.some(({ handler }) => handler === entry.handler)) return;
        this.#entries.push({ ...entry, home });
        const from = this.isQueue ? 'first' : entry.from ?? 'new';
        if (this.#entries.length === 1) this.#replay(from, log);
    }

    #replay(to, log) {
        const isMeant = ({ seq, time }) => to === 'first' || seq >= to.seq || time >= to.time;
        if (to !== 'new') log.filter(isMeant).forEach((message) => this.offer(message));
    }

    seek(to, log) {
        this.#era++;
        this.#ready = [];
        this.#keys.clear();
        this.#count = 0;
        this.#replay(to, log);
    }

    #entryFor({ topic, queue }) {
        const name = this.isQueue ? queue : topic;
        if (name === undefined) return undefined;
        return this.#entries.find(({ patterns }) => patterns.some((pattern) => matches(pattern, name)));
    }

    /** A message that has just been stored. */
    offer(message) {
        const entry = this.#entryFor(message);
        if (!entry) return;
        const { attempts = ATTEMPTS, backoff = BACKOFF_MS, timeout = this.isQueue ? 0 : TIMEOUT_MS } = entry.settings;
        const { home } = entry;
        const delivery = { message, home, attempts, backoff, timeout, attempt: 0, last: false, era: this.#era };
        const { key } = message;
        if (key !== undefined) {
            const line = this.#keys.get(key) ?? [];
            this.#keys.set(key, line);
            line.push(delivery);
            if (line.length > 1) return;
        }
        this.#wake(delivery);
    }

    #wake(delivery) {
        this.#ready.push(delivery);
        this.#ready.sort((a, b) => a.message.seq - b.message.seq);
        this.#next();
    }

    #next() {
        const most = Math.max(...this.#entries.map(({ settings }) => settings.max ?? MAX));
        while (this.#count < most && this.#ready.length > 0) {
            const delivery = this.#ready.shift();
            this.#count++;
            delivery.attempt++;
            delivery.last = delivery.attempt >= delivery.attempts;
            this.#bus.deliver(this, delivery);
        }
    }

    /* Its place is free; what waited for its key has its turn when `isOver`. */
    #leave({ era, message: { key } }, isOver) {
        if (era !== this.#era) return false;
        this.#count--;
        const line = isOver && key !== undefined ? this.#keys.get(key) : undefined;
        if (line) {
            line.shift();
            if (line.length > 0) this.#wake(line[0]);
            else this.#keys.delete(key);
        }
        return true;
    }

    handled(delivery) {
        if (this.#leave(delivery, true)) this.#next();
    }

    /** how: { error, delay, dead } of a nack. */
    failed(delivery, { error, delay, dead }) {
        const { attempt, backoff, last, message } = delivery;
        const isOver = dead === true || last;
        if (!this.#leave(delivery, isOver)) return;
        if (isOver) {
            this.#bus.bury({ message, group: this.name, error, attempt });
        } else {
            const wait = delay ?? backoff[Math.min(attempt, backoff.length) - 1];
            this.#bus.after(wait, () => delivery.era === this.#era && this.#wake(delivery));
        }
        this.#next();
    }
}

module.exports = { Group };
