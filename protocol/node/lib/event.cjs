/* event: what a handler of events and jobs is given. */
'use strict';

const { readFileSync } = require('node:fs');
const { Call, Context } = require('./call.cjs');
const { addHints, EVENT, DELIVERY } = require('./hints.cjs');
const wire = require('./wire.cjs');

/** A message, as one attempt sees it.  frame: has been checked. */
class Event {
    constructor(frame) {
        this.id = frame.msgid ?? String(frame.seq);
        if (frame.topic === undefined) this.queue = frame.queue;
        else this.topic = frame.topic;
        if (frame.file === undefined) this.data = frame.data ?? null;
        else loadLater(this, frame);
        this.key = frame.key;
        this.seq = frame.seq;
        this.time = frame.time;
        this.attempt = frame.attempt ?? 1;
        this.last = frame.last === true;
        this.group = frame.group;
        this.cause = frame.cause;
        this.correlation = frame.correlation ?? this.id;
        this.traceparent = frame.traceparent;
        this.headers = frame.headers ?? {};
    }
}

addHints(Event.prototype, 'event', EVENT);

/* Big data is in a file, which is there until the message is settled. */
function loadLater(event, { file }) {
    let isLoaded = false;
    let data;
    Object.defineProperty(event, 'data', {
        enumerable: true,
        configurable: true,
        get() {
            if (!isLoaded) data = load(event, file);
            isLoaded = true;
            return data;
        },
    });
}

function load({ id }, file) {
    let text;
    try {
        text = readFileSync(file, 'utf8');
    } catch (cause) {
        const advice = cause.code === 'ENOENT' ? 'it is kept until the handler is done: read event.data before' : cause.message;
        throw new Error(`the data of event ${id} cannot be read: ${advice}`, { cause });
    }
    return JSON.parse(text);
}

/** One attempt: a call whose answer is an ack. */
class Delivery extends Call {
    constructor(frame, who, nowMs, home) {
        super(frame, who, nowMs, home);
        this.isDelivery = true; // what is published goes with the ack
        this.outputs = null; // messages as text
        this.outputBytes = 0;
        this.isProgressing = false;
    }

    /* Tells that the handler is alive: its time begins anew.  Once in a turn is often enough. */
    progress() {
        if (this.ended || this.isProgressing) return;
        this.isProgressing = true;
        setImmediate(() => (this.isProgressing = false));
        if (this.frame.timeout > 0) this.deadline = Date.now() + this.frame.timeout;
        wire.send(`{"type":"progress","id":${this.idText}}\n`);
    }
}

/** The same of a message that each worker gets: nobody waits for an answer. */
class Broadcast extends Call {
    constructor(frame, who, nowMs, home) {
        super({ ...frame, id: null }, who, nowMs, home);
        this.isSilent = true;
    }

    progress() {}
}

class EventContext extends Context {
    #call;

    constructor(call, services) {
        super(call, services);
        this.#call = call;
    }

    get attempt() {
        return this.#call.frame.attempt ?? 1;
    }

    get last() {
        return this.#call.frame.last === true;
    }

    get progress() {
        return () => this.#call.progress();
    }
}

addHints(EventContext.prototype, 'ctx', DELIVERY, { isFixed: true });

module.exports = { Event, Delivery, Broadcast, EventContext };
