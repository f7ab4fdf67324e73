'use strict';

const nodey = require('nodey');

nodey.get('/hello', () => ({ hello: 'world' }));
nodey.ws('/echo', (socket) => {
  socket.onmessage = (message) => socket.send(message);
});
nodey.start();
