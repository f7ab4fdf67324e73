/* The same package by `require`, in the ways that TypeScript has for that. */
import nodey = require('nodey');
import { client } from 'nodey/testing';
import { Nodey, get, serve } from 'nodey';

get('/a', (req) => req.params.id);
nodey.get('/b', () => nodey.json({ b: 1 }));
nodey.default.post('/c', (req) => req.body.length);
new Nodey().set({ C: (n: number) => n + 1 });
void serve((_req: unknown, res: { end(): void }) => res.end());
void client().get('/b');
nodey.on('a', (event) => nodey.publish('b', event.data)).job('q', () => { throw new nodey.Retry('1s'); });
