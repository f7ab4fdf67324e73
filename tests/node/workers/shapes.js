'use strict';

const nodey = require('nodey');

nodey.all('/text', () => 'héllo 😀');
nodey.all('/blank', () => '');
nodey.all('/bytes', () => Buffer.from([0x00, 0xff, 0xfe]));
nodey.all('/null', () => null);
nodey.all('/list', () => [1, 'two', null, true, 0.5]);
nodey.all('/full', () => [201, '<p>hi', {
    'Content-Type': 'text/html; charset=utf-8',
    'Set-Cookie': ['a=1', 'b=2'],
}]);
nodey.all('/nothing', () => {});
nodey.all('/boom', () => {
    throw new Error('boom');
});
nodey.all('/missing', () => {
    throw new nodey.NodeyError('not_found', 'no such thing');
});
nodey.all('/nan', () => ({ values: [1, NaN] }));
