// Service a: keeps a counter.
const express = require('express');
const operate = require('../lib/operate');

const app = express();
let count = 0;

app.get('/', (req, res) => res.json({ service: process.env.SERVICE_NAME, greeting: process.env.GREETING }));
app.post('/count', (req, res) => res.json({ count: ++count }));

operate(app);
const server = app.listen(process.env.PORT, () => console.log(`a listens on ${process.env.PORT}`));
operate.endGracefully(server);
