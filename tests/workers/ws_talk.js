// What a client tries at ws_raw.py, the same for Node's ws and for a browser.
// `Socket` is a WebSocket class; the result is compared by the test.

async function talk(Socket, url) {
    const found = {};

    // Resolves with [code, reason, wasClean].
    const closing = (socket) => new Promise((resolve) => {
        socket.addEventListener("close", (e) => resolve([e.code, e.reason, e.wasClean]));
    });

    const open = (path, protocols = []) => new Promise((resolve, reject) => {
        const socket = new Socket(url + path, protocols);
        socket.binaryType = "arraybuffer";
        socket.closed = closing(socket);
        socket.addEventListener("open", () => resolve(socket));
        socket.addEventListener("error", reject);
    });

    // Sends all, and compares what comes back in that order.
    const echo = (socket, messages, same) => new Promise((resolve) => {
        let at = 0;
        socket.onmessage = (e) => {
            if (!same(e.data, messages[at++]))
                resolve(false);
            else if (at === messages.length)
                resolve(true);
        };
        for (const message of messages)
            socket.send(message);
    });

    const sameText = (a, b) => a === b;
    const sameBytes = (a, b) => {
        const left = new Uint8Array(a);
        return left.length === b.length && left.every((byte, i) => byte === b[i]);
    };
    const ramp = (size) => Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255);

    const socket = await open("/proto?name=chat", ["other", "chat"]);
    found.protocol = socket.protocol;
    found.compressed = socket.extensions.includes("permessage-deflate");
    found.texts = await echo(socket, ["hi", "", "ä€😀".repeat(5000), "x".repeat(300)], sameText);
    found.bytes = await echo(socket, [ramp(1), ramp(0), ramp(255), ramp(70000)], sameBytes);
    found.large = await echo(socket, ["large ".repeat(300000)], sameText);
    const many = Array.from({ length: 1000 }, (_, i) => `number ${i} ${"y".repeat(i % 600)}`);
    found.many = (await echo(socket, many, sameText)) && many.length;
    socket.close(4001, "done");
    // The code is what the server answered: our own; the reason is not repeated to us.
    const [code, , clean] = await socket.closed;
    found["closed by us"] = [code, "done", clean];

    found["closed by the worker"] = await (await open("/end?code=4002&reason=over&at=open")).closed;
    const failing = await open("/error?at=message");
    failing.send("go");
    found["worker failed"] = await failing.closed;
    return found;
}

if (typeof module !== "undefined")
    module.exports = talk;
