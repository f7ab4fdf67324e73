/*
 * deliver: runs the handlers of a message, and says how it went.
 *
 * What returns is acknowledged, together with what it has published; what throws is tried again
 * by nodey, when and how often the subscription says.
 */
'use strict';

const { serving } = require('./ask.cjs');
const calls = require('./calls.cjs');
const { errorLine } = require('./encode.cjs');
const { inspect, stackOf } = require('./errors.cjs');
const { Event, Delivery, Broadcast, EventContext } = require('./event.cjs');
const log = require('./log.cjs');

const MAX_MESSAGE = 4000;
const MAX_NAME = 200;
const EACH_AT_ONCE = 16; // handlers of broadcasts, if `max` is not said
const EACH_WAITING = 10000; // broadcasts that wait for them

/* ---- how it went */

function finish(delivery) {
    const { outputs, idText } = delivery;
    const tail = outputs ? `,"publish":[${outputs.join(',')}]` : '';
    calls.end(delivery, `{"type":"ack","id":${idText}${tail}}\n`);
}

function clip(text, most) {
    return text.length > most ? `${text.slice(0, most)}...` : text;
}

/* Whatever was thrown, in words; handlers throw the strangest things. */
function describe(error) {
    try {
        if (error instanceof Error || typeof error?.message === 'string') {
            const name = typeof error.name === 'string' && error.name !== '' ? error.name : 'Error';
            return { name: clip(name, MAX_NAME), message: clip(String(error.message), MAX_MESSAGE), stack: stackOf(error) };
        }
        return { name: 'Error', message: clip(typeof error === 'string' ? error : `${inspect(error)} was thrown`, MAX_MESSAGE) };
    } catch {
        return { name: 'Error', message: 'something was thrown that cannot be looked at' };
    }
}

/*
 * "dead", "retry", or null for what was thrown by mistake.  By name: the script may have loaded
 * another copy of the package.
 */
function meaningOf(error) {
    try {
        if (!(error instanceof Error) && Object.prototype.toString.call(error) !== '[object Error]') return null;
        if (error.name === 'Dead') return 'dead';
        return error.name === 'Retry' ? 'retry' : null;
    } catch {
        return null;
    }
}

function nackLine({ idText }, error, meaning) {
    const delay = meaning === 'retry' && Number.isSafeInteger(error.delay) && error.delay >= 0 ? `,"delay":${error.delay}` : '';
    const dead = meaning === 'dead' ? ',"dead":true' : '';
    return `{"type":"nack","id":${idText}${delay}${dead},"error":${JSON.stringify(describe(error))}}\n`;
}

function tell(call, error) {
    const { name, message, stack } = describe(error);
    const { attempt = 1, last } = call.frame;
    const times = call.isSilent ? '' : ` (attempt ${attempt}${last ? ', the last one' : ''})`;
    log.write('error', `${call.who} failed${times}: ${stack ?? `${name}: ${message}`}`, undefined, call);
}

/* Given up because nodey said so. */
function isCancelled(call, error) {
    return call.cancelled && (error?.name === 'AbortError' || error?.code === 'cancelled');
}

function fail(delivery, error) {
    if (delivery.ended) return;
    if (isCancelled(delivery, error)) {
        const message = `${delivery.who} was cancelled: ${delivery.cancelled}`;
        calls.end(delivery, errorLine(delivery.idText, { code: 'cancelled', message }));
        return;
    }
    const meaning = meaningOf(error);
    if (!meaning) tell(delivery, error);
    calls.end(delivery, nackLine(delivery, error, meaning));
}

/* ---- one message of a group */

async function runAll(handlers, event, context) {
    for (const { handler } of handlers) await handler(event, context);
}

function whoOf({ topic, queue }) {
    return topic === undefined ? `job ${queue}` : `event ${topic}`;
}

function isThenable(value) {
    return typeof value === 'object' && value !== null && typeof value.then === 'function';
}

function run(delivery, handlers) {
    const event = new Event(delivery.frame);
    const context = new EventContext(delivery, calls.services);
    let result;
    try {
        result = handlers.length === 1 ? serving.run(delivery, handlers[0].handler, event, context)
            : serving.run(delivery, runAll, handlers, event, context);
    } catch (error) {
        fail(delivery, error);
        return;
    }
    if (!isThenable(result)) finish(delivery);
    else calls.hold(delivery, Promise.resolve(result), () => finish(delivery), (error) => fail(delivery, error));
}

/* ---- one that each worker gets */

const lanes = new WeakMap(); // subscription -> { running, waiting }

function laneOf(subscription) {
    if (!lanes.has(subscription)) lanes.set(subscription, { running: 0, waiting: [], isTold: false });
    return lanes.get(subscription);
}

function goOn(subscription, lane) {
    lane.running--;
    lane.waiting.shift()?.();
}

/* Resolves when the handler is done, whatever comes of it. */
async function runOne(subscription, lane, call) {
    lane.running++;
    try {
        await serving.run(call, subscription.handler, new Event(call.frame), new EventContext(call, calls.services));
    } catch (error) {
        if (!isCancelled(call, error)) tell(call, error);
    }
    goOn(subscription, lane);
}

function broadcastTo(subscription, frame, nowMs, home) {
    const lane = laneOf(subscription);
    const { max = EACH_AT_ONCE } = subscription.settings;
    const call = new Broadcast(frame, whoOf(frame), nowMs, home);
    if (lane.waiting.length >= EACH_WAITING) {
        if (!lane.isTold) log.write('warn', `${call.who}: more than ${EACH_WAITING} wait for this handler; some are left out`);
        lane.isTold = true;
        return Promise.resolve();
    }
    const turn = lane.running < max ? runOne(subscription, lane, call)
        : new Promise((resolve) => lane.waiting.push(() => resolve(runOne(subscription, lane, call))));
    calls.hold(call, turn, () => calls.end(call, ''));
    return turn;
}

/**
 * An `event` frame.  home: the registry whose handlers it is for.  Of one that each worker gets
 * it returns a promise of all its handlers' ends.
 */
function serveEvent(frame, nowMs, home) {
    const handlers = home.subscriptions?.find(frame) ?? [];
    if (frame.id === undefined) {
        return Promise.all(handlers.map((subscription) => broadcastTo(subscription, frame, nowMs, home)));
    }
    const delivery = new Delivery(frame, whoOf(frame), nowMs, home);
    if (handlers.length > 0) {
        run(delivery, handlers);
    } else {
        const message = `this worker has no handler for ${delivery.who} of the group ${frame.group}`;
        calls.end(delivery, errorLine(delivery.idText, { code: 'unimplemented', message }));
    }
    return undefined;
}

/** A `gap` frame. */
function tellGap({ group, from, to }) {
    log.write('warn', `group ${group}: the messages ${from} to ${to} were removed before it had read them, ` +
        'because the stream is full and lets the oldest go');
}

module.exports = { serveEvent, tellGap };
