/*
 * publish: facts and orders for the bus, from anywhere in a worker.
 *
 * Within a handler of an event or a job they are kept until it has returned, and stored with
 * its ack: all or none of them.  Elsewhere they go out at once.  What is wrong with the arguments
 * is said before anything is sent.
 */
'use strict';

const asks = require('./ask.cjs');
const { toJson } = require('./encode.cjs');
const { NodeyError, inspect } = require('./errors.cjs');
const log = require('./log.cjs');
const outbox = require('./outbox.cjs');
const { topicFault, milliseconds, instant, startOf, DURATION_ADVICE, INSTANT_ADVICE } = require('./topics.cjs');

const MAX_TEXT = 200; // bytes of a key and of an id
const MAX_OUTPUTS = 1024; // of one handler
const MAX_LATE = 100; // handlers that are told of late publishes
const LINE_ROOM = 200; // bytes of a line beside its content
const OPTIONS = ['key', 'id', 'at', 'delay', 'headers', 'now'];
const NOUNS = { publish: 'topic', enqueue: 'queue' };
const BUFFERED = Object.freeze({ seq: undefined, buffered: true });

const INSTEAD = {
    __proto__: null,
    msgid: 'write id', msgId: 'write id', jobId: 'write id', messageId: 'write id', dedupe: 'write id',
    deduplicationId: 'write id',
    partitionKey: 'write key', groupKey: 'write key', runAt: 'write at', startAfter: 'write delay, or at',
    attempts: 'whoever handles it says that, in its on() or job()',
    retries: 'whoever handles it says attempts, in its on() or job()',
    backoff: 'whoever handles it says that, in its on() or job()',
    timeout: 'whoever handles it says that, in its on() or job()',
    priority: 'enqueue into a queue of its own', removeOnComplete: 'what is done is removed by itself',
    repeat: 'write it into [schedule] of nodey.toml',
};

function wrong(message) {
    return new NodeyError('invalid_argument', message, { status: 500 }); // no fault of a client's
}

/* ---- the message */

function checkName(verb, name) {
    const fault = topicFault(name);
    if (!fault) return;
    const noun = NOUNS[verb];
    const advice = typeof name === 'object' && name !== null ? `: write ${verb}(${noun}, data, { key })` : '';
    throw wrong(`${verb}: the ${noun} is ${inspect(name)}; ${fault}${advice}`);
}

function checkOptions(who, options) {
    if (typeof options !== 'object' || options === null) {
        throw wrong(`${who}: the options must be an object such as { key }, not ${inspect(options)}`);
    }
    for (const name in options) {
        if (OPTIONS.includes(name)) continue;
        const advice = INSTEAD[name] ?? `what there is: ${OPTIONS.join(', ')}`;
        throw wrong(`${who}: there is no option ${name}: ${advice}`);
    }
}

/* A text that names something; numbers are taken for what they look like. */
function nameText(who, option, value) {
    const isNumber = typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value));
    const text = isNumber ? String(value) : value;
    if (typeof text !== 'string') throw wrong(`${who}: ${option} is ${inspect(value)}; it must be a string or a number`);
    if (text === '') throw wrong(`${who}: ${option} is empty; leave it out, or write null for none`);
    const size = Buffer.byteLength(text);
    if (size > MAX_TEXT) throw wrong(`${who}: ${option} has ${size} bytes; ${MAX_TEXT} are the most`);
    return JSON.stringify(text);
}

function timeMembers(who, { at, delay }) {
    if (at !== undefined && delay !== undefined) throw wrong(`${who}: at and delay say the same; one of them may be there`);
    if (at !== undefined) {
        const ms = instant(at);
        if (Number.isNaN(ms)) throw wrong(`${who}: at is ${inspect(at)}; ${INSTANT_ADVICE}`);
        return `,"at":${ms}`;
    }
    if (delay === undefined) return '';
    const ms = milliseconds(delay);
    if (Number.isNaN(ms)) throw wrong(`${who}: delay is ${inspect(delay)}; ${DURATION_ADVICE}`);
    return `,"delay":${ms}`;
}

function headersMember(who, headers) {
    if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
        throw wrong(`${who}: headers must be an object of strings, not ${inspect(headers)}`);
    }
    for (const [name, value] of Object.entries(headers)) {
        if (typeof value !== 'string') throw wrong(`${who}: the header ${name} is ${inspect(value)}; it must be a string`);
    }
    return `,"headers":${JSON.stringify(headers)}`;
}

/* inherited: the key of what is handled, as JSON, or undefined. */
function optionMembers(who, options, inherited) {
    checkOptions(who, options);
    const { key, id, headers, now } = options;
    if (now !== undefined && typeof now !== 'boolean') throw wrong(`${who}: now must be true or false, not ${inspect(now)}`);
    let members = '';
    if (key === null) members += ',"key":null';
    else if (key !== undefined) members += `,"key":${nameText(who, 'key', key)}`;
    else if (inherited !== undefined) members += `,"key":${inherited}`;
    if (id !== undefined && id !== null) members += `,"msgid":${nameText(who, 'id', id)}`;
    members += timeMembers(who, options);
    return headers === undefined ? members : members + headersMember(who, headers);
}

function dataText(who, data) {
    if (data === undefined) return 'null';
    if (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) {
        throw wrong(`${who}: the data is bytes, which JSON has none of: write Buffer.from(data).toString('base64')`);
    }
    try {
        return toJson(data, who);
    } catch (error) {
        throw wrong(error.message);
    }
}

/* Nodey keeps nothing of an event that each worker gets: what it led to says so by itself. */
function causeMembers({ frame }) {
    const id = frame.msgid ?? String(frame.seq);
    const trace = frame.traceparent === undefined ? '' : `,"traceparent":${JSON.stringify(frame.traceparent)}`;
    return `,"cause":${JSON.stringify(id)},"correlation":${JSON.stringify(frame.correlation ?? id)}${trace}`;
}

/* As JSON, or undefined: with the ack nodey adds the key by itself. */
function inheritedKey(call, options) {
    const isHandler = call?.isDelivery || call?.isSilent;
    const key = isHandler && !isBuffered(call, options) ? call.frame.key : undefined;
    return key === undefined ? undefined : JSON.stringify(key);
}

/* The members of a message, or an error. */
function contentOf(verb, name, data, options, call) {
    checkName(verb, name);
    const who = `${verb} ${name}`;
    const members = optionMembers(who, options ?? {}, inheritedKey(call, options));
    const cause = call?.isSilent ? causeMembers(call) : '';
    const text = dataText(who, data);
    return `"${NOUNS[verb]}":"${name}"${members}${cause},"data":${text}`;
}

/* ---- within a handler */

function isBuffered(call, options) {
    return call?.isDelivery === true && !call.ended && options?.now !== true;
}

/* before: bytes of what the same handler has published. */
function checkSize(who, content, before = 0) {
    const { maxLine } = require('./call.cjs').Call.prototype;
    if ((content.length + LINE_ROOM) * 3 + before <= maxLine) return;
    const size = Buffer.byteLength(content) + LINE_ROOM;
    if (size + before <= maxLine) return;
    if (before > 0 && size <= maxLine) {
        throw wrong(`${who}: what this handler publishes must fit one line of ${maxLine} bytes together, for it is stored with ` +
            'its ack: write { now: true } for what may be stored before, or raise max_line');
    }
    throw wrong(`${who}: the data makes a line of ${size} bytes; ${maxLine} are the most (max_line): keep it in a file, ` +
        'and publish its name');
}

function buffer(call, who, content) {
    call.outputs ??= [];
    if (call.outputs.length >= MAX_OUTPUTS) {
        throw wrong(`${who}: a handler publishes at most ${MAX_OUTPUTS} messages with its ack: write { now: true } for more`);
    }
    checkSize(who, content, call.outputBytes);
    call.outputs.push(`{${content}}`);
    call.outputBytes += Buffer.byteLength(content) + 3;
    return Promise.resolve(BUFFERED);
}

/* ---- out of it */

const late = new Set(); // handlers that were told of

function tellLate(call, who) {
    if (late.has(call.who) || late.size >= MAX_LATE) return;
    late.add(call.who);
    log.write('warn', `${who} came after the handler of ${call.who} was done, so it is not stored with its ack: is an "await" ` +
        'missing? (or say { now: true })');
}

/* As an error of ours that nobody awaits must not end the process, it is noted. */
function refused(error, what, call) {
    require('./unawaited.cjs').note(error, what, call);
    return Promise.reject(error);
}

async function sendOut(question) {
    try {
        return await outbox.send(question);
    } catch (error) {
        Error.captureStackTrace(error); // made where the answer came; it belongs where it is awaited
        require('./unawaited.cjs').note(error, `a ${question.what}`, question.call);
        throw error;
    }
}

async function sendMessage(question) {
    const { seq, duplicate } = await sendOut(question);
    return { seq, duplicate: duplicate === true };
}

function put(verb, name, data, options) {
    const call = asks.serving.getStore();
    const who = `${verb} ${typeof name === 'string' ? name : ''}`.trim();
    let content;
    try {
        content = contentOf(verb, name, data, options, call);
        if (isBuffered(call, options)) return buffer(call, who, content);
        checkSize(who, content);
    } catch (error) {
        return refused(error, `a ${who}`, call);
    }
    if (call?.isDelivery && call.ended && options?.now !== true) tellLate(call, who);
    return sendMessage({ type: 'publish', content, what: who, call });
}

function publish(topic, data, options) {
    return put('publish', topic, data, options);
}

function enqueue(queue, data, options) {
    return put('enqueue', queue, data, options);
}

/* ---- where a group stands */

function seek(group, to) {
    const what = `seek ${typeof group === 'string' ? group : ''}`.trim();
    const call = asks.serving.getStore();
    let content;
    try {
        if (typeof group !== 'string' || group === '') {
            throw wrong(`seek: the group is ${inspect(group)}; it must be the name of one, such as the worker's`);
        }
        const start = startOf(to, (advice) => wrong(`${what}: where it shall begin is ${inspect(to)}; ${advice}`));
        content = `"group":${JSON.stringify(group)},"to":${JSON.stringify(start)}`;
    } catch (error) {
        return refused(error, `a ${what}`, call);
    }
    return sendOut({ type: 'seek', content, what, call }).then(() => undefined);
}

module.exports = { publish, enqueue, seek };
