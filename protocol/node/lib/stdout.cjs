/*
 * stdout: has what is printed go to stderr, where it is a line of the log.
 *
 * That happens below everybody: Node has no dup2, but opening a file takes the lowest free
 * descriptor, and right after closeSync(1) that is 1.
 */
'use strict';

const fs = require('node:fs');

function tryOpen(path) {
    try {
        return fs.openSync(path, 'a');
    } catch {
        return -1; // a socket (ENXIO), another user's pipe (EACCES), no /proc
    }
}

/*
 * With bigints, because realpathSync() looks at the numbers that the last stat without them has
 * left: after that of a pipe it follows no links, and modules behind one are loaded twice.
 */
function statOf(fd) {
    return fs.fstatSync(fd, { bigint: true });
}

function isOpen(fd) {
    try {
        statOf(fd);
        return true;
    } catch {
        return false;
    }
}

/*
 * A file opened anew has an offset of its own, and whoever shares the old one (the shell,
 * when its output goes to that file) would overwrite what we append.
 */
function isFile(fd) {
    return statOf(fd).isFile();
}

/** The second best: console.log and what uses process.stdout, but not native writes. */
function patchStdout() {
    process.stdout.write = process.stderr.write.bind(process.stderr);
}

/** Whoever needs the old descriptor has another of the same by now. */
function sendStdoutToStderr() {
    fs.closeSync(1);
    if (tryOpen('/proc/self/fd/2') !== 1) {
        tryOpen('/dev/null');
        patchStdout();
    } else if (isFile(2)) {
        patchStdout();
    }
}

module.exports = { tryOpen, isOpen, isFile, patchStdout, sendStdoutToStderr };
