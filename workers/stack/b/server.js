// Service b: tells the time, slowly if it is asked to.
const express = require('express');
const operate = require('../lib/operate');

const app = express();

app.get('/', (req, res) => res.json({ service: process.env.SERVICE_NAME, greeting: process.env.GREETING }));
app.get('/time', (req, res) => {
    const wait = Math.min(Number(req.query.after) || 0, 30000);
    setTimeout(() => res.json({ time: new Date().toISOString() }), wait);
});

operate(app);
const server = app.listen(process.env.PORT, () => console.log(`b listens on ${process.env.PORT}`));
operate.endGracefully(server);
