// Shows what GET /posts says, and from there on what GET /events tells.
import { TOPICS, fold } from './fold.mjs';

const posts = new Map();
const list = document.querySelector('#posts');
const said = document.querySelector('#said');

const words = {
    approved: ({ text }) => text,
    pending: () => 'This comment awaits moderation.',
    rejected: () => 'This comment was rejected.',
};

async function send(path, body) {
    const answer = await fetch(path, { method: 'POST', body: JSON.stringify(body) });
    said.textContent = answer.ok ? '' : (await answer.json()).detail;
    return answer.ok;
}

function onSubmit(form, send) {
    form.addEventListener('submit', async (event) => {
        event.preventDefault();
        if (await send(Object.fromEntries(new FormData(form)))) form.reset();
    });
}

function elementOf(id) {
    const known = list.querySelector(`[data-post="${CSS.escape(id)}"]`);
    if (known) return known;
    const element = document.querySelector('#post').content.cloneNode(true).firstElementChild;
    element.dataset.post = id;
    onSubmit(element.querySelector('form'), (fields) => send(`posts/${encodeURIComponent(id)}/comments`, fields));
    list.prepend(element);
    return element;
}

function show(post) {
    const element = elementOf(post.id);
    element.querySelector('h2').textContent = post.title;
    element.querySelector('ul').replaceChildren(...post.comments.map((comment) => {
        const line = document.createElement('li');
        line.className = comment.status;
        line.textContent = words[comment.status](comment);
        return line;
    }));
}

function take(topic, data) {
    const post = posts.get(data.post);
    if (!post && topic !== 'post.created') return; // a comment on nothing
    posts.set(data.post, fold(post, topic, data));
    show(posts.get(data.post));
}

onSubmit(document.querySelector('#write'), (fields) => send('posts', fields));

const { seq, posts: there } = await (await fetch('posts')).json();
for (const post of there) {
    posts.set(post.id, post);
    show(post);
}

// The browser connects again by itself, and goes on where it was.
const events = new EventSource(`events?last_event_id=${seq}`);
for (const topic of TOPICS) {
    events.addEventListener(topic, (event) => take(topic, JSON.parse(event.data)));
}
