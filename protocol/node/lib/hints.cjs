/*
 * hints: what to write instead, for names that other frameworks have and nodey has not.
 *
 * A wrong name would be undefined, and Node's "x is not a function" tells nobody what is
 * right.  These are getters on prototypes: they cost nothing until a wrong name is read.
 */
'use strict';

function refuse(label, name, advice) {
    throw new TypeError(`there is no ${label}.${name}: ${advice}`);
}

/**
 * hints: the advice by the wrong name.  To assign to one makes it a property of that
 * object, which is anybody's right; with isFixed it is refused as well, where it would be
 * without effect.
 */
function addHints(prototype, label, hints, { isFixed = false } = {}) {
    for (const [name, advice] of Object.entries(hints)) {
        Object.defineProperty(prototype, name, {
            configurable: true,
            enumerable: false,
            get: () => refuse(label, name, advice),
            set(value) {
                if (isFixed) refuse(label, name, advice);
                Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
            },
        });
    }
}

const HTTP_ERROR = 'write nodey.HTTPError, as in  throw new nodey.HTTPError(404, message)';
const ITSELF = "nodey is the app: write nodey.get('/path', (req) => value)";
const NO_LISTEN = 'nodey serves by itself, no port and no server are needed: leave it out';

const ON = "write nodey.on('comment.*', async (event) => { ... })";
const PUBLISH = "write await nodey.publish('comment.created', data)";
const ENQUEUE = "write await nodey.enqueue('thumb', data)";
const JOB = "write nodey.job('thumb', async (event) => { ... })";
const SCHEDULE = 'write it into [schedule] of nodey.toml';

const NODEY = {
    HttpError: HTTP_ERROR,
    httpError: HTTP_ERROR,
    HTTPException: HTTP_ERROR,
    abort: HTTP_ERROR,
    error: 'write nodey.HTTPError to throw one, and nodey.log.error(message) to log one',
    Router: ITSELF,
    router: ITSELF,
    express: ITSELF,
    App: ITSELF,
    app: ITSELF,
    listen: NO_LISTEN,
    run: NO_LISTEN,
    use: 'write nodey.before((req) => ...) for what runs before all handlers, nodey.after((req, res) => ...) after',
    any: "write nodey.all('/path', handler)",
    del: "write nodey.delete('/path', handler)",
    send: 'return the value from the handler instead',
    static: "write nodey.get('/files/*path', (req) => nodey.file(req.params.path, { root: 'files' }))",
    sendFile: 'write  return nodey.file(path)',
    websocket: "write nodey.ws('/path', async (socket) => { for await (const message of socket) ... })",
    stream: 'return a generator or a stream from the handler',
    events: 'write  return nodey.sse(generator)',
    subscribe: ON,
    onEvent: ON,
    onMessage: ON,
    consume: ON,
    addListener: ON,
    addEventListener: ON,
    once: ON,
    off: 'a handler stays as long as its worker',
    emit: PUBLISH,
    dispatch: PUBLISH,
    trigger: PUBLISH,
    produce: PUBLISH,
    notify: PUBLISH,
    Queue: ENQUEUE,
    queue: ENQUEUE,
    add: ENQUEUE,
    addJob: ENQUEUE,
    Worker: JOB,
    process: JOB,
    task: JOB,
    UnrecoverableError: "write nodey.Dead, as in  throw new nodey.Dead('bad image')",
    DelayedError: "write nodey.Retry, as in  throw new nodey.Retry('1m')",
    cron: SCHEDULE,
    schedule: SCHEDULE,
    every: SCHEDULE,
    call: "write await nodey.ask('Token', args)",
    register: 'write nodey.set({ Token: (args) => value })',
};

const VALUE = 'a handler returns its answer: write  return value';
const STATUS = 'a handler returns its answer: write  return [404, value]';
const HEADERS = "a handler returns its answer: write  return [200, value, { 'x-name': 'value' }]";

const CONTEXT = {
    json: 'a handler returns its answer: write  return { ... }',
    send: VALUE,
    end: VALUE,
    write: VALUE,
    body: VALUE,
    render: 'a handler returns its answer: write  return nodey.html(text)',
    status: STATUS,
    statusCode: STATUS,
    sendStatus: STATUS,
    writeHead: HEADERS,
    set: HEADERS,
    header: HEADERS,
    setHeader: HEADERS,
    type: HEADERS,
    redirect: 'a handler returns its answer: write  return nodey.redirect(url)',
    sendFile: 'a handler returns its answer: write  return nodey.file(path)',
    download: 'a handler returns its answer: write  return nodey.file(path, { download: true })',
    cookie: 'a handler returns its answer: write  return nodey.text(value).setCookie(name, text)',
};

const RETURNS = 'a handler that returns has handled it, and one that throws has not: leave it out';
const DATA = 'write event.data';
const PROGRESS = 'write ctx.progress(), with ctx as the second argument of the handler';

const EVENT = {
    ack: RETURNS,
    acknowledge: RETURNS,
    nack: RETURNS,
    done: RETURNS,
    complete: RETURNS,
    moveToCompleted: RETURNS,
    moveToFailed: "write  throw new nodey.Dead('why')",
    retry: "write  throw new nodey.Retry('1m')",
    discard: "write  throw new nodey.Dead('why')",
    progress: PROGRESS,
    updateProgress: PROGRESS,
    attemptsMade: 'write event.attempt',
    attempts: 'write event.attempt',
    opts: 'write event.attempt, event.last, event.key',
    payload: DATA,
    body: DATA,
    value: DATA,
    detail: DATA,
    json: 'event.data is parsed already',
    type: 'write event.topic',
    name: 'write event.topic, of a job event.queue',
    timestamp: 'write event.time',
    offset: 'write event.seq',
};

const DELIVERY = {
    ack: RETURNS,
    nack: RETURNS,
    done: RETURNS,
    next: RETURNS,
    info: 'an event has no answer',
    retry: "write  throw new nodey.Retry('1m')",
    publish: "write nodey.publish(topic, data): what it publishes is stored with this message's end",
    enqueue: "write nodey.enqueue(queue, data): it is stored with this message's end",
};

const FORM = 'write req.form(), which gives { fields, files }';
const HEADER = 'write req.headers.get(name)';

const REQUEST = {
    formData: FORM,
    files: 'write req.form().files',
    file: 'write req.form().files.NAME',
    get: HEADER,
    header: HEADER,
    param: 'write req.params.NAME',
    args: 'write req.query.NAME',
    pipe: 'write req.stream().pipe(...)',
    on: 'write req.stream(), which is a Readable',
    arrayBuffer: 'write req.body: the bytes are there already',
    blob: 'write req.body: the bytes are there already',
    originalUrl: 'write req.url for the whole address, req.path for the path',
    hostname: 'write req.host',
    protocol: 'write req.scheme',
};

const UPLOAD = {
    originalname: 'write file.filename',
    mimetype: 'write file.contentType',
    content_type: 'write file.contentType',
    mv: 'write await file.save(path)',
    arrayBuffer: 'write file.data: the bytes are there already',
};

const ON_MESSAGE = 'write  for await (const message of socket)  or  socket.onmessage = (message) => ...';

const SOCKET = {
    on: ON_MESSAGE,
    once: ON_MESSAGE,
    addEventListener: ON_MESSAGE,
    receive: ON_MESSAGE,
    emit: 'write socket.send(JSON.stringify(value))',
    sendJson: 'write socket.send(JSON.stringify(value))',
    terminate: 'write socket.close()',
    ping: 'nodey pings by itself',
    readyState: 'write socket.isOpen',
};

module.exports = { addHints, NODEY, CONTEXT, REQUEST, UPLOAD, SOCKET, EVENT, DELIVERY };
