// GET /posts: all posts with their comments, from a file for each, which the events make.
import fs from 'node:fs';
import path from 'node:path';
import { Dead, get, on } from 'nodey';
import { TOPICS, fold } from './web/fold.mjs';

const FOLDER = path.join(process.env.NODEY_STORY ?? 'data', 'query'); // `nodey test` has a folder for stories
fs.mkdirSync(FOLDER, { recursive: true });

const fileOf = (post) => path.join(FOLDER, `${post}.json`);
const read = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

// A reader sees the old file or the new one, also when this process ends in between.
function write(file, value) {
    fs.writeFileSync(`${file}.new`, JSON.stringify(value));
    fs.renameSync(`${file}.new`, file);
}

on(TOPICS, ({ topic, key, data, seq }) => {
    const file = fileOf(key);
    const post = fs.existsSync(file) ? read(file) : undefined;
    if (!post && topic !== 'post.created') throw new Dead(`there is no post ${key}`);
    write(file, { ...fold(post, topic, data), seq });
}, { from: 'first' });

// `seq` is the newest event in it: whoever goes on from there misses none.
get('/posts', () => {
    const names = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
    const posts = names.map((name) => read(path.join(FOLDER, name)));
    return { seq: Math.max(0, ...posts.map(({ seq }) => seq)), posts };
});
