// What both services have for whoever operates them: how they are, and ways to fail on purpose.
const GRACE_MS = 10000;
const MB = 1024 * 1024;
const kept = [];

const report = () => ({
    service: process.env.SERVICE_NAME,
    pid: process.pid,
    uptime: Math.round(process.uptime()),
    memory: Math.round(process.memoryUsage().rss / MB),
});

module.exports = function operate(app) {
    app.get('/health', (req, res) => res.json({ status: 'ok', ...report() }));

    // Ends at once, as an error that nobody catches would end it.
    app.post('/crash', (req, res) => {
        res.status(202).json({ crashing: true, ...report() });
        setTimeout(() => {
            throw new Error('crashed on purpose');
        }, 50);
    });

    // Answers nothing any more, not even to be asked for its health.
    app.post('/freeze', (req, res) => {
        res.status(202).json({ freezing: true, ...report() });
        setTimeout(() => {
            for (;;);
        }, 50);
    });

    // Keeps so many megabytes for ever.
    app.post('/leak', (req, res) => {
        const size = Math.min(Number(req.query.mb) || 20, 1024);
        res.status(202).json({ leaking: size, ...report() });
        setTimeout(() => kept.push(Buffer.alloc(size * MB, 1)), 50);
    });

    // Works for so many milliseconds: slow where CPU time is short, but alive.
    app.get('/work', (req, res) => {
        const used = () => process.cpuUsage().user + process.cpuUsage().system;
        const end = used() + Math.min(Number(req.query.ms) || 100, 5000) * 1000;
        while (used() < end);
        res.json({ worked: true, ...report() });
    });
};

// SIGTERM: takes nothing new, finishes what it has, and ends.
module.exports.endGracefully = function endGracefully(server) {
    const end = (signal) => {
        console.log(`${signal}: finishing what is under way`);
        server.close(() => {
            console.log('all is finished');
            process.exit(0);
        });
        server.closeIdleConnections();
        setTimeout(() => process.exit(1), GRACE_MS).unref();
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
};
