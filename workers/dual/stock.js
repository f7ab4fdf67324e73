// GET /stock?sku=1 joins what this worker knows with what pricing.py knows.
'use strict';

const nodey = require('nodey');

const pieces = new Map([[1, 7], [2, 0], [3, 12]]);

function stockOf(sku) {
    if (!pieces.has(sku)) throw new nodey.HTTPError(404, `there is no article ${sku}`);
    return { sku, stock: pieces.get(sku) };
}

nodey.set({ Stock: ({ sku }) => stockOf(sku) });

nodey.get('/stock', async (req) => {
    const article = stockOf(Number(req.query.sku));
    const { price } = await nodey.ask('Price', { sku: article.sku });
    return { ...article, price };
});
