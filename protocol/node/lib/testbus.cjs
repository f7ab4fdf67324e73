/*
 * testbus: events and jobs in a test, without nodey, and with a clock of its own.
 *
 * Messages go to the handlers as the frames that nodey would write, and what the handlers answer
 * comes back as lines; so groups, keys, attempts, back-off and dead letters are as they will be.
 * Nothing is stored, and time passes in tick() only.
 */
'use strict';

const { randomBytes } = require('node:crypto');
const path = require('node:path');
const { serveEvent } = require('./deliver.cjs');
const calls = require('./calls.cjs');
const { NodeyError, inspect } = require('./errors.cjs');
const { Event } = require('./event.cjs');
const { readFrame } = require('./frame.cjs');
const { enqueue, publish } = require('./publish.cjs');
const registry = require('./registry.cjs');
const { milliseconds, matches, DURATION_ADVICE } = require('./topics.cjs');
const { Group } = require('./testgroup.cjs');

const PATIENCE_MS = 5000; // real ones that idle() waits for handlers
const STEP_MS = 100; // real ones that tick() waits for them before time goes on
const DEDUPE_MS = 120000;
const MAX_LISTED = 5;

const owners = new Map(); // frame id -> the bus whose handler runs
const busOf = new WeakMap(); // registry -> the bus that its handlers take part in

let latest = null; // the bus of what is published outside of them

function newTrace(parent) {
    const trace = parent?.split('-')[1] ?? randomBytes(16).toString('hex');
    return `00-${trace}-${randomBytes(8).toString('hex')}-01`;
}

function nameOf(file) {
    return path.basename(String(file)).replace(/\.[cm]?[jt]s$/, '');
}

class TestBus {
    #targets;
    #services;
    #patience;
    #started = null;
    #now = Date.now();
    #log = []; // messages, in the order of their seq
    #seq = 0;
    #ids = new Map(); // msgid -> its message
    #groups = new Map();
    #homes = new Set();
    #running = new Map(); // frame id -> { group, delivery }
    #broadcasts = new Map(); // promise -> who
    #timers = []; // { due, order, run }
    #order = 0;
    #dead = [];
    #watchers = [];

    /** services: { newId(), load(target, home) }. */
    constructor(targets, { patience = PATIENCE_MS } = {}, services) {
        this.#targets = targets === undefined ? [] : [targets].flat();
        this.#services = services;
        this.#patience = patience;
        if (targets === undefined) this.attach(registry.current);
        latest = this;
    }

    /* ---- for tests */

    async publish(topic, data, options) {
        await this.start();
        return this.#out(() => publish(topic, data, options));
    }

    async enqueue(queue, data, options) {
        await this.start();
        return this.#out(() => enqueue(queue, data, options));
    }

    /** Loads the scripts; the first publish does it by itself. */
    start() {
        return (this.#started ??= this.#load()).then(() => this);
    }

    /** Resolves when nothing runs and nothing is due now. */
    async idle() {
        await this.start();
        await this.#quiet(this.#patience, true);
    }

    /** Lets time pass: what becomes due happens, in order. */
    async tick(duration) {
        const ms = milliseconds(duration);
        if (Number.isNaN(ms)) throw new RangeError(`tick: the time is ${inspect(duration)}; ${DURATION_ADVICE}`);
        await this.start();
        const end = this.#now + ms;
        do await this.#quiet(STEP_MS, false);
        while (this.#fire(end));
        this.#now = end;
    }

    now() {
        return this.#now;
    }

    published(pattern = '>') {
        return this.#list(({ topic }) => topic !== undefined && matches(pattern, topic));
    }

    enqueued(queue = undefined) {
        return this.#list((message) => message.queue !== undefined && (queue ?? message.queue) === message.queue);
    }

    #list(isMeant) {
        return this.#log.filter(isMeant).map((message) => new Event(this.#frameOf(message)));
    }

    dead() {
        return this.#dead.map(({ message, group, error, attempt }) =>
            ({ event: new Event(this.#frameOf(message, { group, attempt, last: true })), group, error, attempts: attempt }));
    }

    /* ---- what is loaded */

    async #load() {
        for (const target of this.#targets) {
            const home = new registry.Registry();
            home.name = nameOf(target);
            await this.#services.load(target, home);
            this.attach(home);
        }
    }

    /** Has the handlers of a worker take part.  home: its registry. */
    attach(home) {
        this.#homes.add(home);
        busOf.set(home, this);
    }

    /* Groups of what is registered by now. */
    #declare() {
        for (const home of this.#homes) {
            for (const entry of home.subscriptions?.events ?? []) {
                if (!entry.each) this.#group(home.subscriptions.groupOf(entry)).takeOn(entry, home, this.#log);
            }
            for (const [queue, entry] of home.subscriptions?.jobs ?? []) {
                this.#group(`queue ${queue}`, queue).takeOn({ ...entry, patterns: [queue] }, home, this.#log);
            }
        }
    }

    #group(name, queue) {
        if (!this.#groups.has(name)) {
            this.#groups.set(name, new Group(queue ?? name, queue !== undefined, {
                now: () => this.#now,
                after: (ms, run) => this.#after(ms, run),
                deliver: (group, delivery) => this.#deliver(group, delivery),
                bury: (letter) => this.#dead.push(letter),
            }));
        }
        return this.#groups.get(name);
    }

    /* ---- what is published */

    /* Whatever a test publishes itself belongs to this bus. */
    #out(send) {
        latest = this;
        return send();
    }

    /** A `publish` or `seek` frame of a worker; call: the one that it is for.  Returns the ack's members. */
    accept(frame, call) {
        if (frame.type === 'seek') return this.#seek(frame);
        const delivery = call ? this.#running.get(call.id)?.delivery : undefined;
        const message = this.#store(frame, delivery?.message);
        this.#changed();
        return message;
    }

    /* source: the message that it comes from.  Returns { seq, duplicate }. */
    #store({ topic, queue, key, msgid, at, delay, headers, cause, correlation, traceparent, data = null }, source) {
        const first = msgid === undefined ? undefined : this.#ids.get(msgid);
        if (first && this.#now - first.time < DEDUPE_MS) return { seq: first.seq, duplicate: true };
        const message = {
            topic, queue, key: key ?? undefined, msgid, headers, data: JSON.stringify(data), seq: 0, time: this.#now,
            cause: source ? source.msgid ?? String(source.seq) : cause, correlation: source ? source.correlation : correlation,
            traceparent: newTrace(source ? source.traceparent : traceparent),
        };
        if (msgid !== undefined) this.#ids.set(msgid, message);
        const wait = at === undefined ? delay ?? 0 : at - this.#now;
        if (wait > 0) this.#after(wait, () => this.#append(message));
        else this.#append(message);
        return { seq: message.seq, duplicate: false };
    }

    #append(message) {
        this.#declare();
        message.seq = ++this.#seq;
        message.time = this.#now;
        message.correlation ??= message.msgid ?? String(message.seq);
        this.#log.push(message);
        for (const group of this.#groups.values()) group.offer(message);
        if (message.topic !== undefined) this.#broadcast(message);
    }

    #seek({ group: name, to }) {
        this.#declare();
        const group = this.#groups.get(name);
        if (!group) throw new NodeyError('invalid_argument', `seek ${name}: there is no such group`);
        for (const [id, { group: of }] of [...this.#running]) if (of === group) this.#end(id);
        group.seek(to, this.#log);
        this.#changed();
        return { seq: 0 };
    }

    /* ---- what is handled */

    #frameOf({ data, ...message }, members) {
        return { type: 'event', ...message, ...members, data: JSON.parse(data) };
    }

    #serve(message, members, home) {
        return serveEvent(readFrame(JSON.stringify(this.#frameOf(message, members))), this.#now, home);
    }

    #broadcast(message) {
        for (const home of this.#homes) {
            if (!home.subscriptions) continue;
            const done = this.#serve(message, { group: home.name }, home);
            this.#broadcasts.set(done, `event ${message.topic} (each)`);
            done.finally(() => {
                this.#broadcasts.delete(done);
                this.#changed();
            });
        }
    }

    #deliver(group, delivery) {
        const id = this.#services.newId();
        const { message, attempt, last, timeout, home } = delivery;
        owners.set(id, this);
        this.#running.set(id, { group, delivery });
        this.#watch(id, timeout);
        const members = { id, group: group.name, attempt, last: last || undefined, timeout: timeout || undefined };
        setImmediate(() => this.#serve(message, members, home));
    }

    #watch(id, timeout) {
        const entry = this.#running.get(id);
        if (!entry || !(timeout > 0)) return;
        const timer = this.#after(timeout, () => this.#overtime(id, timeout));
        entry.stop = () => (this.#timers = this.#timers.filter((one) => one !== timer));
    }

    #overtime(id, timeout) {
        const entry = this.#end(id);
        if (!entry) return;
        calls.cancel(id, 'timeout');
        entry.group.failed(entry.delivery, { error: { name: 'Timeout', message: `it was not done in ${timeout} ms` } });
        this.#changed();
    }

    #end(id) {
        const entry = this.#running.get(id);
        this.#running.delete(id);
        owners.delete(id);
        entry?.stop?.();
        return entry;
    }

    /** A line of a handler that runs here. */
    take(frame) {
        if (frame.type === 'progress') {
            const { delivery: { timeout }, stop } = this.#running.get(frame.id);
            stop?.();
            this.#watch(frame.id, timeout);
            return;
        }
        const { group, delivery } = this.#end(frame.id);
        if (frame.type === 'ack') this.#settle(group, delivery, frame);
        else group.failed(delivery, frame.type === 'nack' ? frame : { error: { name: 'Error', message: frame.message } });
        this.#changed();
    }

    #settle(group, delivery, { publish: outputs = [] }) {
        const { message } = delivery;
        for (const { key = message.key, ...output } of outputs) this.#store({ ...output, key }, message);
        group.handled(delivery);
    }

    /* ---- time, and quiet */

    /* Does the first thing that is due by then: false when there is none. */
    #fire(end) {
        const next = this.#timers[0];
        if (!next || next.due > end) return false;
        this.#timers.shift();
        this.#now = Math.max(this.#now, next.due);
        next.run();
        return true;
    }

    #after(ms, run) {
        const timer = { due: this.#now + ms, order: ++this.#order, run };
        this.#timers.push(timer);
        this.#timers.sort((a, b) => a.due - b.due || a.order - b.order);
        return timer;
    }

    #changed() {
        if (this.#running.size + this.#broadcasts.size > 0) return;
        for (const watcher of this.#watchers.splice(0)) watcher();
    }

    /* Resolves when no handler runs, or has run for so long, which fails with isStrict. */
    async #quiet(patience, isStrict) {
        const end = performance.now() + patience;
        for (;;) {
            await new Promise((resolve) => setImmediate(resolve)); // what they began with may be a publish
            if (this.#fire(this.#now)) continue;
            if (this.#running.size + this.#broadcasts.size === 0) return;
            const left = end - performance.now();
            if (left > 0) {
                await this.#change(left); // and then one more turn, for a slow machine
                continue;
            }
            if (isStrict) throw new Error(`idle: after ${patience} ms there still runs ${this.#listRunning()}`);
            return;
        }
    }

    /* Resolves when nothing runs any more, or after so many real milliseconds. */
    #change(ms) {
        return new Promise((resolve) => {
            const timer = setTimeout(resolve, ms);
            this.#watchers.push(() => {
                clearTimeout(timer);
                resolve();
            });
        });
    }

    #listRunning() {
        const names = [...this.#running.values()].map(({ group, delivery: { message: { topic, queue }, attempt } }) =>
            `${topic === undefined ? `job ${queue}` : `event ${topic}`} (group ${group.name}, attempt ${attempt})`);
        const all = [...names, ...this.#broadcasts.values()];
        return all.slice(0, MAX_LISTED).join(', ') + (all.length > MAX_LISTED ? `, and ${all.length - MAX_LISTED} more` : '');
    }
}

/** The bus that was made last, or null. */
function current() {
    return latest;
}

/** A line of a handler; false when no bus is waiting for it. */
function take(frame) {
    const bus = owners.get(frame.id);
    bus?.take(frame);
    return bus !== undefined;
}

/** A `publish` or `seek` frame: where it belongs.  Returns the ack's members. */
function accept(frame, call) {
    const bus = busOf.get(call?.home) ?? latest;
    if (!bus) {
        throw new NodeyError('unavailable', "nothing takes it in this test: make a bus first, with  testBus()  of 'nodey/testing'");
    }
    return bus.accept(frame, call);
}

module.exports = { TestBus, current, nameOf, take, accept };
