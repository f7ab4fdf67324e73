// GET /@NAME@?name=Ann answers {"hello": "Ann"}.
'use strict';

const nodey = require('nodey');

nodey.get('/@NAME@', (req) => {
    const name = req.query.name ?? 'world';
    nodey.log.info('somebody says hello', { name });
    return { hello: name };
});
