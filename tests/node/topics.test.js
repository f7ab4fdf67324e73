/* Topics, patterns, durations and times. */
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { SDK } = require('./lib/worker.js');
const { topicFault, patternFault, matches, milliseconds, instant } = require(path.join(SDK, 'lib/topics.cjs'));

const MATCHES = [
    ['a', 'a', true], ['a', 'b', false], ['a', 'a.b', false], ['a.b', 'a', false], ['*', 'a', true], ['*', 'a.b', false],
    ['a.*', 'a', false], ['a.*', 'a.b', true], ['a.*', 'a.b.c', false], ['*.b', 'a.b', true], ['*.b', 'a.c', false],
    ['a.*.c', 'a.b.c', true], ['a.*.c', 'a.b.d', false], ['>', 'a', true], ['>', 'a.b.c', true], ['a.>', 'a', false],
    ['a.>', 'a.b', true], ['a.>', 'a.b.c', true], ['a.>', 'b.c', false], ['*.>', 'a', false], ['*.>', 'a.b', true],
];

test('which topics a pattern takes', () => {
    for (const [pattern, topic, expected] of MATCHES) assert.equal(matches(pattern, topic), expected, `${pattern} ${topic}`);
});

test('what is a topic, and what a pattern', () => {
    for (const topic of ['a', 'a.b', 'A-1_z.9', 'x'.repeat(255)]) assert.equal(topicFault(topic), null, topic);
    for (const topic of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a*', '*', '>', 'ü', 'a\n', 'a/b', 'x'.repeat(256), 7, null]) {
        assert.equal(typeof topicFault(topic), 'string', String(topic));
    }
    for (const pattern of ['a', '*', '>', 'a.*', '*.a', 'a.>', '*.*.>']) assert.equal(patternFault(pattern), null, pattern);
    for (const pattern of ['', 'a*', '>.a', 'a.>.b', '**', 'a..*', '*.', 'x'.repeat(256), undefined, {}]) {
        assert.equal(typeof patternFault(pattern), 'string', String(pattern));
    }
});

const DURATIONS = [
    [0, 0], [1, 1], [1.2, 2], ['300ms', 300], ['1.5s', 1500], ['10m', 600000], ['2h', 7200000], ['7d', 604800000], ['1m30s', 90000],
    ['1d2h3m4s5ms', 93784005], ['0.1s', 100], ['0s', 0], [-1, NaN], [NaN, NaN], [Infinity, NaN], ['', NaN], ['10', NaN], ['s', NaN],
    ['1s1m', NaN], ['-1s', NaN], ['1 s', NaN], ['1w', NaN], [null, NaN], [[1], NaN], ['9'.repeat(400) + 'd', NaN],
];

test('spans of time', () => {
    for (const [value, expected] of DURATIONS) assert.equal(milliseconds(value), expected, String(value));
});

test('times', () => {
    assert.equal(instant(1.5), 2);
    assert.equal(instant(new Date(7)), 7);
    assert.equal(instant('1970-01-01T00:00:01Z'), 1000);
    for (const value of [-1, NaN, new Date(NaN), 'soon', null, {}, Infinity]) assert.ok(Number.isNaN(instant(value)), String(value));
});
