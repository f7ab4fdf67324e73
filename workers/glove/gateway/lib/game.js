// What a phone may send: {"id", "title", "rate", "sensors": {"thumb": [0.1, ...], ...}}.
'use strict';

const { HTTPError } = require('nodey');

const SENSORS = 16;
const SAMPLES = 100000;

const isSeries = (samples) => Array.isArray(samples) && samples.length >= 16 && samples.length <= SAMPLES
    && samples.every(Number.isFinite);

/** The game without what does not belong to it, or an answer of 400. */
module.exports = function checked({ id, title, rate, sensors } = {}) {
    const wrong = (why) => { throw new HTTPError(400, why); };
    if (typeof id !== 'string' || !/^[\w-]{1,64}$/.test(id)) wrong('id has 1 to 64 letters, digits, - and _');
    if (typeof title !== 'string' || title.length > 100) wrong('title is a text of up to 100 characters');
    if (!Number.isFinite(rate) || rate < 1 || rate > 10000) wrong('rate is the samples in a second, 1 to 10000');
    const all = Object.entries(sensors ?? {});
    if (all.length < 1 || all.length > SENSORS) wrong(`there are 1 to ${SENSORS} sensors`);
    for (const [name, samples] of all) {
        if (!isSeries(samples)) wrong(`sensor ${name} must have 16 to ${SAMPLES} numbers`);
    }
    return { id, title, rate, sensors };
};
