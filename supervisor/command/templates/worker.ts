// GET /@NAME@?name=Ann answers {"hello": "Ann"}.
import nodey from 'nodey';
import type { NodeyRequest } from 'nodey';

type Hello = { hello: string };

nodey.get('/@NAME@', (req: NodeyRequest): Hello => {
    const name = String(req.query.name ?? 'world');
    nodey.log.info('somebody says hello', { name });
    return { hello: name };
});
