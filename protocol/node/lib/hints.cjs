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

module.exports = { addHints, NODEY, CONTEXT, REQUEST, UPLOAD, SOCKET };
