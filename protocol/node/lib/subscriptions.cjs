/*
 * subscriptions: which events and jobs a worker handles, and how.
 *
 * Each group gets a message once.  When several handlers of one group want it, all of them run,
 * in the order of registration, and it is handled when all are done.
 */
'use strict';

const { inspect } = require('./errors.cjs');
const { topicFault, patternFault, matches, milliseconds, startOf, DURATION_ADVICE } = require('./topics.cjs');

const MAX_AT_ONCE = 100000;
const MAX_ATTEMPTS = 1000;
const MAX_BACKOFF = 64;
const MAX_GROUP = 200; // bytes
const MAX_KNOWN = 1000; // topics whose handlers are remembered

const EVENT_OPTIONS = ['group', 'from', 'each', 'max', 'attempts', 'backoff', 'timeout'];
const JOB_OPTIONS = ['max', 'concurrency', 'attempts', 'backoff', 'timeout'];
const NOT_WITH_EACH = {
    group: 'every worker gets it', from: 'it begins now', attempts: 'it comes once', backoff: 'it comes once',
    timeout: 'nobody waits for it',
};
const INSTEAD = {
    __proto__: null,
    concurrency: 'write max', prefetch: 'write max', retries: 'write attempts', maxAttempts: 'write attempts',
    max_attempts: 'write attempts', retry: 'write attempts and backoff', delay: 'write backoff: [1000, 5000]',
    broadcast: 'write each: true', fanout: 'write each: true', consumer: 'write group', consumerGroup: 'write group',
    queue: 'write group', fromBeginning: "write from: 'first'", startFrom: 'write from', limiter: 'write max',
    lockDuration: 'nothing is locked: the worker\'s end is noticed', stalledInterval: 'the worker\'s end is noticed at once',
};

/* ---- what the script says */

function checkHandler(what, handler) {
    if (typeof handler === 'function') return;
    const advice = handler === undefined ? 'is it spelled right, and exported?' : 'write (event) => { ... }';
    throw new TypeError(`${what}: the handler must be a function, not ${inspect(handler)}: ${advice}`);
}

function checkNames(what, options, known) {
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
        throw new TypeError(`${what}: the options must be an object, not ${inspect(options)}`);
    }
    for (const name in options) {
        if (known.includes(name)) continue;
        throw new TypeError(`${what}: there is no option ${name}: ${INSTEAD[name] ?? `what there is: ${known.join(', ')}`}`);
    }
}

function checkWhole(what, name, value, most) {
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return;
    throw new RangeError(`${what}: ${name} is ${inspect(value)}; it must be 1 to ${most}`);
}

function duration(what, name, value, advice = DURATION_ADVICE) {
    const ms = milliseconds(value);
    if (Number.isNaN(ms)) throw new RangeError(`${what}: ${name} is ${inspect(value)}; ${advice}`);
    return ms;
}

function backoffOf(what, value) {
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? value : [value];
    if (typeof value === 'object' && !Array.isArray(value)) {
        throw new TypeError(`${what}: backoff is ${inspect(value)}; ` +
            "write what each attempt waits: ['1s', '5s', '30s'], the last repeats");
    }
    if (list.length === 0 || list.length > MAX_BACKOFF) {
        throw new RangeError(`${what}: backoff has ${list.length} members; it must have 1 to ${MAX_BACKOFF}`);
    }
    return list.map((one) => duration(what, 'backoff', one));
}

/* As `ready` declares them; what was not said is undefined, and left out. */
function settingsOf(what, { max, attempts, backoff, timeout }) {
    checkWhole(what, 'max', max, MAX_AT_ONCE);
    checkWhole(what, 'attempts', attempts, MAX_ATTEMPTS);
    return {
        max,
        attempts,
        backoff: backoffOf(what, backoff),
        timeout: timeout === undefined ? undefined
            : duration(what, 'timeout', timeout, `${DURATION_ADVICE}; 0 is none`),
    };
}

function checkGroup(what, group) {
    if (group === undefined) return;
    if (typeof group !== 'string' || group === '' || Buffer.byteLength(group) > MAX_GROUP) {
        throw new TypeError(`${what}: group is ${inspect(group)}; it must be a name of 1 to ${MAX_GROUP} bytes`);
    }
}

function checkEach(what, options) {
    if (options.each !== undefined && typeof options.each !== 'boolean') {
        throw new TypeError(`${what}: each must be true or false, not ${inspect(options.each)}`);
    }
    if (!options.each) return;
    for (const [name, why] of Object.entries(NOT_WITH_EACH)) {
        if (options[name] === undefined) continue;
        throw new TypeError(`${what}: with each: true there is no ${name}: ${why}, and what a worker misses is lost to it`);
    }
}

function patternsOf(pattern) {
    const patterns = Array.isArray(pattern) ? pattern : [pattern];
    if (patterns.length === 0) throw new TypeError('on: the array of topics is empty');
    for (const one of patterns) {
        const fault = patternFault(one);
        if (fault) throw new TypeError(`on: the topic is ${inspect(one)}; ${fault}`);
    }
    return [...new Set(patterns)];
}

/* ---- what there is */

class Subscriptions {
    #known = new Map(); // group and topic, or queue -> handlers
    #own;

    /** own: the group of those that name none. */
    constructor(own) {
        this.#own = own;
        this.events = []; // { patterns, handler, group, from, each, settings }
        this.jobs = new Map(); // queue -> { handler, settings }
    }

    /** Checks and adds a handler of events, which it returns. */
    on(pattern, handler, options = {}) {
        // As with routes, which take the options first.
        if (typeof options === 'function') [handler, options] = [options, handler];
        const patterns = patternsOf(pattern);
        const what = `on ${patterns.join(', ')}`;
        checkHandler(what, handler);
        checkNames(what, options, EVENT_OPTIONS);
        checkGroup(what, options.group);
        checkEach(what, options);
        const { group, each = false } = options;
        const from = options.from === undefined ? undefined
            : startOf(options.from, (advice) => new TypeError(`${what}: from is ${inspect(options.from)}; ${advice}`));
        this.events.push({ patterns, handler, group, from, each, settings: settingsOf(what, options) });
        this.#known.clear();
        return handler;
    }

    /** The same for the orders of a queue. */
    job(queue, handler, options = {}) {
        if (typeof options === 'function') [handler, options] = [options, handler];
        const fault = topicFault(queue);
        if (fault) throw new TypeError(`job: the queue is ${inspect(queue)}; ${fault}`);
        const what = `job ${queue}`;
        checkHandler(what, handler);
        checkNames(what, options, JOB_OPTIONS);
        if (this.jobs.has(queue)) throw new Error(`${what} has a handler already; an order is for one`);
        const { max, concurrency } = options;
        if (max !== undefined && concurrency !== undefined) {
            throw new TypeError(`${what}: max and concurrency say the same; one of them may be there`);
        }
        checkWhole(what, 'concurrency', concurrency, MAX_AT_ONCE);
        this.jobs.set(queue, { handler, settings: settingsOf(what, { ...options, max: max ?? concurrency }) });
        this.#known.clear();
        return handler;
    }

    groupOf({ group }) {
        return group ?? this.#own;
    }

    /** The members of `ready`. */
    declared() {
        const subscribe = this.events.flatMap(({ patterns, group, from, each, settings }) => patterns.map((topic) =>
            ({ topic, group, from, each: each || undefined, ...settings })));
        const jobs = [...this.jobs].map(([queue, { settings }]) => ({ queue, ...settings }));
        return { subscribe, jobs };
    }

    /** The handlers of an `event` frame; none is an empty array. */
    find(frame) {
        const { topic, queue, group, id } = frame;
        const name = id === undefined ? `e ${topic}` : topic === undefined ? `q ${queue}` : `t ${topic} ${group}`;
        let found = this.#known.get(name);
        if (!found) {
            found = this.#find(frame);
            if (this.#known.size >= MAX_KNOWN) this.#known.clear();
            this.#known.set(name, found);
        }
        return found;
    }

    #find({ topic, queue, group, id }) {
        if (topic === undefined) return this.jobs.has(queue) ? [this.jobs.get(queue)] : [];
        const wanted = this.events.filter(({ each, patterns }) =>
            each === (id === undefined) && patterns.some((pattern) => matches(pattern, topic)));
        if (id === undefined) return wanted;
        const named = wanted.filter((one) => this.groupOf(one) === group);
        // A worker that nodey knows by another name than its own.
        return named.length > 0 ? named : wanted.filter((one) => one.group === undefined);
    }
}

module.exports = { Subscriptions };
