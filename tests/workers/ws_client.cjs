// The talk of ws_talk.js with Node's ws; prints what it found.
"use strict";
const { WebSocket } = require("ws");
const talk = require("./ws_talk.js");

talk(WebSocket, process.argv[2]).then((found) => console.log(JSON.stringify(found)));
