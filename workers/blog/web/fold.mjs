// What an event makes of its post.  query.mjs and the page read the events by this, in the
// order of each post; one that comes again changes nothing.

export const TOPICS = ['post.created', 'comment.created', 'comment.updated'];

export function fold(post, topic, { post: id, title, comment, text, status = 'pending' }) {
    if (topic === 'post.created') return post ?? { id, title, comments: [] };
    const at = post.comments.findIndex((known) => known.id === comment);
    if (topic === 'comment.created') {
        return at >= 0 ? post : { ...post, comments: [...post.comments, { id: comment, text, status }] };
    }
    if (at < 0) throw new Error(`comment ${comment} was moderated before it was written`);
    return { ...post, comments: post.comments.map((known, n) => (n === at ? { ...known, status } : known)) };
}
